"""What was said, for those who look at it: events with their seals opened, as far as the keys at hand go."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dicast.base.codec import encode
from dicast.base.errors import RemoteProtocolError
from dicast.base.events import Event, encode_event
from dicast.base.types import NodeId
from dicast.protocol.attached import attached_key, messages_in
from dicast.protocol.envelope import PacketReader
from dicast.protocol.messages import Body, Kind, Message, Request, Reveal, SealedReveal
from dicast.protocol.network import NetworkSecret
from dicast.protocol.round_key import heard, opened


class _Sheet(msgspec.Struct, frozen=True):
    events: tuple[Event, ...]
    round_key: str = ""


_SHEETS = msgspec.json.Decoder(_Sheet)


def opened_events(
    events: Iterable[Event],
    secret: NetworkSecret | None,
    key: bytes | None,
    messages: tuple[Message, ...] = (),
) -> tuple[Event, ...]:
    """The events with what they meant as their content; what does not open is left as it is.

    `messages` are those of an attached question, where they are known.
    """
    reader = PacketReader(secret)
    bodies = ((event, _body(event, reader, key)) for event in events)
    return tuple(_opened_event(event, body, messages) for event, body in bodies)


def revealed(certificate: bytes, secret: NetworkSecret | None = None) -> dict[NodeId, Reveal]:
    """The reveals in a certificate of our own by author; without those that do not open."""
    sheet, reader = _SHEETS.decode(certificate), PacketReader(secret)
    key = bytes.fromhex(sheet.round_key) if sheet.round_key else None
    reveals = (event for event in sheet.events if event.kind == Kind.REVEAL)
    bodies = ((event, _body(event, reader, key)) for event in reveals)
    return {NodeId(event.pubkey): body for event, body in bodies if isinstance(body, Reveal)}


def attached_messages(attached: str, secret: NetworkSecret | None, key: bytes | None) -> tuple[Message, ...]:
    """The attached question of a certificate of our own; nothing where there is none, or it does not open."""
    try:
        return messages_in(attached.encode(), attached_key(key, secret)) if attached else ()
    except RemoteProtocolError:
        return ()


def _opened_event(event: Event, body: Body | None, messages: tuple[Message, ...]) -> Event:
    if isinstance(body, Request) and body.attachment is not None and messages:
        body = msgspec.structs.replace(body, messages=messages, attachment=None)
    return event if body is None else msgspec.structs.replace(event, content=encode(body).decode())


def _body(event: Event, reader: PacketReader, key: bytes | None) -> Body | None:
    try:
        body = reader.body(reader.parse(encode_event(event)))
        if isinstance(body, Request):
            return opened(body, key)
    except RemoteProtocolError:
        return None
    return heard(body, key) if isinstance(body, SealedReveal) else body
