#!/bin/sh
# Servers by other people that the interop tests talk to: install what is missing (root on Debian), or list it and fail.
set -eu
PATH="$PATH:/usr/sbin:/usr/local/sbin"

missing() {
    for need in mosquitto:mosquitto mosquitto_passwd:mosquitto openssl:openssl turnserver:coturn nats-server:nats-server \
        chromium:chromium ip:iproute2 nft:nftables gcc:gcc node:nodejs npm:npm; do
        command -v "${need%%:*}" >/dev/null || echo "${need#*:}"
    done | sort -u
    test -e /usr/include/gmp.h || test -e "/usr/include/$(uname -m)-linux-gnu/gmp.h" || echo libgmp-dev
}

packages=$(missing)
if [ -n "$packages" ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing $(echo $packages) …" >&2
    # RUNLEVEL: the packages bring services, which the tests start themselves on ports of their own.
    { apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $packages; } >/dev/null || true
    packages=$(missing)
fi
if [ -n "$packages" ]; then
    echo "The interop tests need packages that are not installed: $(echo $packages)" >&2
    echo "On Debian and Ubuntu: sudo apt-get install $(echo $packages)" >&2
    exit 1
fi
