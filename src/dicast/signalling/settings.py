"""How a signaller is set up, and what must be so before it serves anybody but this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import msgspec

from dicast.base.errors import ConfigurationError

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
JOINS_MAX = 16
"""Each is asked at the start; one that lives is enough."""
_ENDPOINT = re.compile(r"tcp/(?:\[[0-9a-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253}):([0-9]{1,5})\Z")
_STUN = re.compile(r"stuns?:[^\s/@?]{1,255}\Z")
"""What browsers take: any other text, and no page links to another."""
_KEY = re.compile(r"[A-Za-z0-9_-]{16,128}\Z")


class SignalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`listen` takes clients, `mesh` other signallers; `announce` is the address that both are told."""

    listen: tuple[str, int] = ("127.0.0.1", 7780)
    mesh: tuple[str, int] = ("127.0.0.1", 0)
    announce: str = ""
    join: tuple[str, ...] = ()
    key: str = ""
    is_public: bool = False
    network: str = "main"
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    stun: tuple[str, ...] = ()


def check_settings(settings: SignalSettings) -> None:
    """Refuse what would let other machines in unasked or without a key. Raises ConfigurationError."""
    for host, _ in (settings.listen, settings.mesh):
        if not _is_loopback(host) and not settings.is_public:
            raise ConfigurationError(
                "signal_public",
                f"{host} lets other machines in: whoever reaches the port can read and publish documents.",
                "Add --public and --key-file if that is what you want; else use 127.0.0.1.",
            )
    if settings.is_public and not settings.key:
        raise ConfigurationError(
            "signal_keyless",
            "--public needs a key, so that not everybody who finds the port can publish.",
            "Write 16 to 128 letters, digits, - or _ into a file and name it: --key-file FILE.",
        )
    if settings.key and not _KEY.match(settings.key):
        raise ConfigurationError(
            "signal_key",
            "A key has 16 to 128 letters, digits, - or _: it travels in a header.",
            "For example the output of: openssl rand -hex 16",
        )
    if len(settings.join) > JOINS_MAX:
        raise ConfigurationError("signal_joins", f"--join takes {JOINS_MAX} addresses.", "Name fewer.")
    for server in settings.stun:
        if not _STUN.match(server):
            raise ConfigurationError(
                "signal_stun",
                f"--stun {server[:120]!r} is no STUN server.",
                "For example stun:192.0.2.1:3478.",
            )
    for url in (*settings.join, *([settings.announce] if settings.announce else [])):
        check_url(url)


def check_url(url: str) -> str:
    """A signaller's address as a WebSocket URL without a slash at its end. Raises ConfigurationError."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_good, parts = False, urlsplit("")
    if not is_good or parts.query or parts.fragment or parts.username:
        raise ConfigurationError(
            "signal_url", f"{url[:120]!r} is no address of a signaller.", "For example ws://127.0.0.1:7780."
        )
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def parse_place(text: str, option: str) -> tuple[str, int]:
    """`127.0.0.1:7780`, `[::1]:0` or `7780` as host and port. Raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    try:
        ipaddress.ip_address(host)
        number = int(port)
    except ValueError:
        number = -1
    if not 0 <= number <= 65_535:
        raise ConfigurationError(
            "signal_place", f"{option} {text!r} is no HOST:PORT with an IP address.", "E.g. 127.0.0.1:7780."
        )
    return host, number


def is_endpoint(text: str) -> bool:
    """Whether it is `tcp/`, a host and a port, and nothing else: other signallers say where their mesh is."""
    match = _ENDPOINT.match(text)
    return match is not None and 0 < int(match[1]) < 65_536


def host_of(url: str) -> str:
    """The name or address in a signaller's address, without brackets and port."""
    return urlsplit(url).hostname or ""


def origin_of(url: str) -> str:
    """The Origin that a page served at a signaller's address has."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}".lower()


def place(host: str, port: int) -> str:
    """Host and port as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    return ipaddress.ip_address(host).is_loopback
