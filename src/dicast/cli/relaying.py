"""`dicast relay` on the command line; the relay itself is in `cli/relay.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dicast.cli.common import DEFAULTS, Common


def relay(
    *,
    host: str = "127.0.0.1",
    port: int = 7777,
    public: Annotated[bool, Parameter(negative="")] = False,
    ready_file: Path | None = None,
    common: Common = DEFAULTS,
) -> int:
    """Run a Nostr relay for your own nodes until Ctrl-C; its address goes to standard output.

    Parameters
    ----------
    host
        The IP address to listen on.
    port
        The port; 0 takes a free one.
    public
        Allow an address that other machines can reach.
    ready_file
        Write the address to this file once the relay serves.
    """
    del common
    from dicast.cli.relay import relay_command

    return relay_command(host, port, ready_file=ready_file, is_public=public)
