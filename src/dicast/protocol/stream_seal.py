"""What a token stream says, sealed between a member and the requester: nobody else learns of it early."""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from dicast.base.codec import CodecError, decode_as, encode
from dicast.base.hashing import hmac_sha256
from dicast.base.nip44 import SealError, seal, unseal
from dicast.base.types import NodeId, RequestId
from dicast.protocol.messages import Continue, Count, Stream

PIECE_CHARS_MAX = 4_096
"""Of one chunk: at worst six bytes each as JSON, which still fits a packet after both seals."""
P = TypeVar("P", bound=msgspec.Struct)


class StreamText(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`text` stands at `offset` (in characters) of the answer. Empty: still at it. `last`: all was said."""

    sequence: Count
    offset: Count
    text: Annotated[str, msgspec.Meta(max_length=PIECE_CHARS_MAX)] = ""
    last: bool = False


class StreamFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Stream your answer from `offset` on; the requester counts its wishes in `sequence`."""

    sequence: Count
    offset: Count


class Line(msgspec.Struct, frozen=True):
    """One member and the requester in one round: the key they share, and who speaks."""

    key: bytes
    request_id: RequestId
    author: NodeId


def sealed_text(line: Line, text: StreamText) -> Stream:
    """A chunk as it is sent."""
    return Stream(v=1, sealed=_sealed(line, text))


def sealed_wish(line: Line, wish: StreamFrom) -> Continue:
    """A wish as it is sent."""
    return Continue(v=1, sealed=_sealed(line, wish))


def opened_text(line: Line, chunk: Stream) -> StreamText | None:
    """What a chunk says; None when it does not open."""
    return _opened(line, chunk.sealed, StreamText)


def opened_wish(line: Line, wish: Continue) -> StreamFrom | None:
    """What is wished; None when it does not open."""
    return _opened(line, wish.sealed, StreamFrom)


def _sealed(line: Line, said: msgspec.Struct) -> str:
    text = encode(said)
    named = bytes.fromhex(line.author) + bytes.fromhex(line.request_id)
    return seal(text, line.key, hmac_sha256(line.key, b"dicast/stream-nonce/1" + named + text))


def _opened(line: Line, payload: str, kind: type[P]) -> P | None:
    try:
        return decode_as(unseal(payload, line.key), kind)
    except (SealError, CodecError):
        return None
