"""What a command's exit code says. `docs/cli.md` is checked against this."""

from __future__ import annotations

from enum import IntEnum

from dicast.base.errors import (
    AdapterError,
    ConfigurationError,
    DicastError,
    LocalProtocolError,
    Rejection,
    RemoteProtocolError,
)


class Exit(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    UNDETERMINED = 3
    NO_NETWORK = 4
    INVALID = 5
    INTERRUPTED = 130


NO_NETWORK_CODES = frozenset({"no_peers", "no_model", "node_not_running", "relay_down", "signal_down"})
"""Error codes that mean: there is nobody to talk to."""


def exit_of(error: DicastError) -> Exit:
    """The exit code of an error that ends a command."""
    if error.code in NO_NETWORK_CODES:
        return Exit.NO_NETWORK
    if error.code == "cancelled":
        return Exit.INTERRUPTED
    match error:
        case ConfigurationError() | Rejection() | LocalProtocolError():
            return Exit.USAGE
        case RemoteProtocolError():
            return Exit.INVALID
        case AdapterError():
            return Exit.FAILED
        case _:
            return Exit.FAILED
