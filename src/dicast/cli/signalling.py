"""`dicast signal`: a signaller for pages and programs, until interrupted."""

from __future__ import annotations

import asyncio
import signal as signals
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Group, Parameter

from dicast.base.errors import ConfigurationError
from dicast.cli.common import DEFAULTS, Common, Repeated
from dicast.cli.exit_codes import Exit
from dicast.cli.output import note
from dicast.daemon.files import write_file

if TYPE_CHECKING:
    from dicast.signalling.settings import SignalSettings
    from dicast.signalling.signaller import Signaller

SERVING = Group("Where to serve, and whom", sort_key=2)
POOL = Group("Other signallers", sort_key=3)


@Parameter(name="*", group=SERVING)
@dataclass(frozen=True)
class Serving:
    """Where to serve, and whom."""

    listen: str = "127.0.0.1:7780"
    "HOST:PORT for clients and the page; port 0 takes a free one."
    public: Annotated[bool, Parameter(negative="")] = False
    "Allow addresses that other machines can reach; everybody then needs the key."
    key_file: Path | None = None
    "A file whose first line is the key that clients and other signallers show."
    allow_host: Annotated[tuple[str, ...], Repeated] = ()
    "Another name by which clients may call the signaller; may be given several times."
    allow_origin: Annotated[tuple[str, ...], Repeated] = ()
    "An origin whose pages may connect, such as https://example.org; may be given several times."
    stun: Annotated[tuple[str, ...], Repeated] = ()
    "A STUN server that pages are told of, such as stun:192.0.2.1:3478; may be given several times."


@Parameter(name="*", group=POOL)
@dataclass(frozen=True)
class Pooling:
    """How signallers meet."""

    join: Annotated[tuple[str, ...], Repeated] = ()
    "The address of another signaller; may be given several times."
    mesh: str = "127.0.0.1:0"
    "HOST:PORT for other signallers; port 0 takes a free one."
    announce: str = ""
    "The address that clients and other signallers are told, when it is not that of --listen."
    network: str | None = None
    "The network whose documents are carried."


SERVED = Serving()
"""Where it is served when nothing else was said."""
ALONE = Pooling()
"""Whom it joins when nobody was named."""


def signal(
    *,
    serving: Serving = SERVED,
    pooling: Pooling = ALONE,
    ready_file: Path | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Carry documents and introductions between pages and programs until Ctrl-C.

    Parameters
    ----------
    ready_file
        Write the address to this file once the signaller serves.
    """
    try:
        from dicast.signalling.signaller import run_signaller
    except ImportError as error:
        raise ConfigurationError(
            "signal_missing", "Zenoh is not installed here.", "Run: pip install 'dicast[zenoh]'"
        ) from error
    settings = _settings(serving, pooling, common)

    def ready(signaller: Signaller) -> None:
        if ready_file is not None:
            write_file(ready_file, (signaller.url + "\n").encode())
        sys.stdout.write(f"listening on {signaller.url}\n")
        sys.stdout.flush()
        page = signaller.url.replace("ws", "http", 1)
        note(f"the page: {page}/   other signallers: port {signaller.pool.port}")
        pool = signaller.pool.health()
        if pool.state != "up":
            note(f"No other signaller can join yet: {pool.detail}. Is the port of --mesh free? Trying again.")

    async def serve() -> None:
        stop = asyncio.Event()
        for number in (signals.SIGINT, signals.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await run_signaller(settings, stop, ready)

    try:
        asyncio.run(serve())
    finally:
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
    return Exit.DONE


def _settings(serving: Serving, pooling: Pooling, common: Common) -> SignalSettings:
    from dicast.signalling.settings import SignalSettings, parse_place

    return SignalSettings(
        listen=parse_place(serving.listen, "--listen"),
        mesh=parse_place(pooling.mesh, "--mesh"),
        announce=pooling.announce,
        join=pooling.join,
        key=read_key(serving.key_file),
        is_public=serving.public,
        network=common.load(network=pooling.network).settings.network,
        hosts=serving.allow_host,
        origins=serving.allow_origin,
        stun=serving.stun,
    )


def read_key(path: Path | None) -> str:
    """The first line of a key file; empty when none is named. Raises ConfigurationError."""
    if path is None:
        return ""
    try:
        with path.open("rb") as file:
            key = file.read(256).split(b"\n", 1)[0].strip().decode("ascii", "replace")
    except OSError as error:
        raise ConfigurationError(
            "signal_key_file",
            f"--key-file {path} cannot be read: {error.strerror}.",
            "Name a file that holds the key in its first line.",
        ) from error
    if not key:  # to go on would be to serve everybody
        raise ConfigurationError(
            "signal_key_file",
            f"--key-file {path} holds no key in its first line.",
            "For example the output of: openssl rand -hex 16",
        )
    return key
