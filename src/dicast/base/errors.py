"""Five kinds of error, five catchers. `AssertionError` is our own bug and is never caught."""

from __future__ import annotations


class DicastError(Exception):
    """An error with a stable `code`, a `message` for people and, where there is one, the next step."""

    def __init__(self, code: str, message: str, next_step: str = "") -> None:
        super().__init__(code, message, next_step)
        self.code = code
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.message} {self.next_step}".strip() + f" [{self.code}]"


class Rejection(DicastError):  # noqa: N818 - the word of the field
    """Consensus says no: an impossible frame, a case that is not one."""


class LocalProtocolError(DicastError):
    """Our own caller misused the core."""


class RemoteProtocolError(DicastError):
    """A peer broke a rule: caught inside the node, becomes a report and perhaps a penalty."""


class AdapterError(DicastError):
    """The world failed: a dead server, a full disk. Becomes an input, so that the core decides on retries."""


class ConfigurationError(DicastError):
    """A setting is wrong: the message names the key, the value and an example. Exit 2."""
