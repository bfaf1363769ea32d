"""`dicast router`: a hub of Zenoh for an operator's nodes, until interrupted."""

from __future__ import annotations

import asyncio
import ipaddress
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from cyclopts import Parameter

from dicast.base.errors import ConfigurationError
from dicast.cli.common import DEFAULTS, Common, Repeated
from dicast.cli.output import note
from dicast.daemon.files import write_file
from dicast.transports.zenoh_router import RouterSettings, run_router

KINDS = ("tcp", "ws", "tls")
EXAMPLE = "For example --listen tcp/127.0.0.1:7447 or --listen tls/0.0.0.0:7448 with --public."
DEFAULT = ("tcp/127.0.0.1:7447",)
PUBLIC_WARNING = (
    "This router is open to other machines: whoever reaches it can read and publish packets. "
    "Packets are signed, not encrypted."
)


@Parameter(name="*")
@dataclass(frozen=True)
class Endpoints:
    """Where the router listens, and which others it knows."""

    listen: Annotated[tuple[str, ...], Repeated] = DEFAULT
    "An endpoint to listen on: tcp/, ws/ or tls/ with address and port; may be given several times."
    connect: Annotated[tuple[str, ...], Repeated] = ()
    "Another router's endpoint, to be one network with it; may be given several times."


@Parameter(name="*")
@dataclass(frozen=True)
class Proof:
    """What proves the router's name to those who come by TLS."""

    certificate: Path | None = None
    "The certificate (PEM) of tls/ endpoints."
    key: Path | None = None
    "The private key (PEM) of the certificate."


LOOPBACK, UNPROVEN = Endpoints(), Proof()


def router(
    *,
    endpoints: Endpoints = LOOPBACK,
    proof: Proof = UNPROVEN,
    public: Annotated[bool, Parameter(negative="")] = False,
    ready_file: Path | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Run a Zenoh router where your own nodes meet until Ctrl-C; its endpoints go to standard output.

    Parameters
    ----------
    public
        Allow endpoints that other machines can reach.
    ready_file
        Write the endpoints to this file once the router serves, one a line.
    """
    del common
    settings = RouterSettings(endpoints.listen, endpoints.connect, proof.certificate, proof.key)
    _check(settings, public)
    try:
        asyncio.run(_serve(settings, ready_file))
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
    return 0


async def _serve(settings: RouterSettings, ready_file: Path | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)

    def ready(endpoints: tuple[str, ...]) -> None:
        if not all(map(_is_loopback, endpoints)):
            note(PUBLIC_WARNING)
        if ready_file is not None:
            write_file(ready_file, "\n".join(endpoints).encode() + b"\n")
        for endpoint in endpoints:
            sys.stdout.write(f"listening on {endpoint}\n")
        sys.stdout.flush()

    await run_router(settings, stop=stop, ready=ready)


def _check(settings: RouterSettings, is_public: bool) -> None:
    for endpoint in (*settings.listen, *settings.connect):
        if not _is_endpoint(endpoint):
            raise ConfigurationError("router_endpoint", f"{endpoint!r} is no endpoint.", EXAMPLE)
    for endpoint in settings.listen:
        if not is_public and not _is_loopback(endpoint):
            raise ConfigurationError(
                "router_public",
                f"--listen {endpoint} lets other machines in: whoever reaches the port can read and publish "
                "packets, which are signed and not encrypted.",
                "Add --public if that is what you want; else listen on 127.0.0.1.",
            )
        if endpoint.startswith("tls/"):
            _check_files(settings)


def _check_files(settings: RouterSettings) -> None:
    for name, path in (("--certificate", settings.certificate), ("--key", settings.key)):
        if path is None or not path.is_file():
            said = f"there is no file {path}" if path is not None else "it is not given"
            raise ConfigurationError(
                "router_certificate",
                f"{name}: {said}; a tls/ endpoint needs it.",
                "Both are PEM files, as `openssl req` and certificate authorities make them.",
            )


def _is_endpoint(endpoint: str) -> bool:
    kind, _, place = endpoint.partition("/")
    try:
        parts = urlsplit(f"//{place}")
        return kind in KINDS and bool(parts.hostname) and (parts.port or 0) > 0
    except ValueError:
        return False


def _is_loopback(endpoint: str) -> bool:
    host = urlsplit(f"//{endpoint.partition('/')[2]}").hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
