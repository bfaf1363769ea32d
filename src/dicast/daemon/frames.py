"""The lines of JSON between a client and a node: a call there; its events, and its result or error, back."""

from __future__ import annotations

from typing import Any

import msgspec

from dicast.base import errors
from dicast.base.limits import ATTACHED_BYTES_MAX
from dicast.daemon.api import EVENT_NAMES, EVENT_TYPES, AnyCall, ReportsDropped
from dicast.daemon.tellings import Told

CALL_BYTES_MAX = ATTACHED_BYTES_MAX + 256 * 1024
"""The longest question as JSON that can be attached, and its options."""
REPLY_BYTES_MAX = 64 * 1024 * 1024
"""A certificate of 256 full reveals is 12 MB, a third more in base64, twice over while it is read."""


class CallFrame(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One line from a client; a call with `cancel` set ends the call of that id."""

    id: int
    call: AnyCall | None = None
    cancel: bool = False


class ErrorRecord(msgspec.Struct, frozen=True):
    """A `DicastError` on the wire."""

    kind: str
    code: str
    message: str
    next_step: str = ""


class ReplyFrame(msgspec.Struct, frozen=True):
    """One line from a node: an event of a call and its name, or the call's result, or its error."""

    id: int
    name: str = ""
    event: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: ErrorRecord | None = None


class _EventLine(msgspec.Struct, frozen=True):
    id: int
    name: str
    event: Any


class _ResultLine(msgspec.Struct, frozen=True):
    id: int
    result: Any


class _ErrorLine(msgspec.Struct, frozen=True):
    id: int
    error: ErrorRecord


_DROPPED = "reports_dropped"
_KINDS: dict[str, type[errors.DicastError]] = {
    "rejection": errors.Rejection,
    "local": errors.LocalProtocolError,
    "remote": errors.RemoteProtocolError,
    "adapter": errors.AdapterError,
    "configuration": errors.ConfigurationError,
}
_CALLS = msgspec.json.Decoder(CallFrame)
_REPLIES = msgspec.json.Decoder(ReplyFrame)
_EVENTS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(kind) for name, kind in {**EVENT_TYPES, _DROPPED: ReportsDropped}.items()
}
_encode = msgspec.json.Encoder().encode


def call_line(call_id: int, call: AnyCall) -> bytes:
    """A call."""
    return _encode(CallFrame(call_id, call)) + b"\n"


def cancel_line(call_id: int) -> bytes:
    """The end of a call that nobody waits for."""
    return _encode(CallFrame(call_id, cancel=True)) + b"\n"


def event_line(call_id: int, event: Told | ReportsDropped) -> bytes:
    """Something that happened meanwhile."""
    return _encode(_EventLine(call_id, EVENT_NAMES.get(type(event), _DROPPED), event)) + b"\n"


def result_line(call_id: int, result: object) -> bytes:
    """The end of a call."""
    return _encode(_ResultLine(call_id, result)) + b"\n"


def error_line(call_id: int, error: errors.DicastError) -> bytes:
    """The end of a call that failed; 0 is the id of what is no call."""
    kind = next((name for name, known in _KINDS.items() if isinstance(error, known)), "adapter")
    return _encode(_ErrorLine(call_id, ErrorRecord(kind, error.code, error.message, error.next_step))) + b"\n"


def read_call(line: bytes) -> CallFrame:
    """What a client said. Raises what msgspec raises, and UnicodeDecodeError and RecursionError."""
    return _CALLS.decode(line)


def read_reply(line: bytes) -> ReplyFrame:
    """What a node said. Raises what msgspec raises, and UnicodeDecodeError."""
    return _REPLIES.decode(line)


def event_of(frame: ReplyFrame) -> Told | ReportsDropped | None:
    """The event in a reply; None for a kind that this version does not know."""
    decoder = _EVENTS.get(frame.name)
    return None if decoder is None else decoder.decode(frame.event)


def error_of(record: ErrorRecord) -> errors.DicastError:
    """The error that travelled."""
    return _KINDS.get(record.kind, errors.AdapterError)(record.code, record.message, record.next_step)
