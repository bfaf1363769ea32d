"""Questions that are too long for a packet: a blob beside the request, which names it by its hash."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dicast.base.codec import decode_as, encode
from dicast.base.errors import Rejection, RemoteProtocolError
from dicast.base.hashing import hmac_sha256, sha256, u32
from dicast.base.limits import ATTACHED_BYTES_MAX, ATTACHED_PROMPT_BYTES_MAX
from dicast.base.merkle import root_of_bytes
from dicast.base.nip44 import TEXT_BYTES_MAX, nonce_of, seal, unseal
from dicast.protocol.admission import is_possible
from dicast.protocol.messages import Attachment, Message, Request
from dicast.protocol.network import NetworkSecret

NODES_MAX = 4
"""Addresses of one node that a request names: as many as an announcement has of one transport."""
SERVING = "websocket"
"""The transport whose nodes give blobs where they listen."""


class AttachedError(RemoteProtocolError):
    """A blob that is not the one named, or holds no question."""


class AttachedQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a blob says."""

    messages: Annotated[tuple[Message, ...], msgspec.Meta(min_length=1, max_length=256)]


def attached_key(round_key: bytes | None, secret: NetworkSecret | None) -> bytes | None:
    """What seals a blob: the round's key, else that of a private network; None where everybody may read."""
    if round_key is not None or secret is None:
        return round_key
    return secret.content_key


def blob_of(messages: tuple[Message, ...], key: bytes | None) -> bytes:
    """The one blob of these messages under a key: their JSON, or a sealed piece a line."""
    text = encode(AttachedQuestion(messages))
    if key is None:
        return text
    pieces = [text[start : start + TEXT_BYTES_MAX] for start in range(0, len(text), TEXT_BYTES_MAX)]
    sealed = (
        seal(piece, key, _nonce(key, number, len(pieces), piece)) for number, piece in enumerate(pieces)
    )
    return "\n".join(sealed).encode("ascii")


def attachment_of(blob: bytes, nodes: tuple[str, ...] = ()) -> Attachment:
    """What names a blob. Raises `Rejection` when it is larger than what may be attached."""
    if len(blob) > ATTACHED_BYTES_MAX:
        raise Rejection(
            "prompt_too_large",
            f"As it is sent the question has {len(blob)} bytes, at most {ATTACHED_BYTES_MAX} travel.",
            "Shorten the prompt.",
        )
    return Attachment(sha256(blob).hex(), len(blob), root_of_bytes(blob).hex(), nodes[:NODES_MAX])


def told_by(request: Request, blob: bytes, key: bytes | None) -> Request:
    """The request with the messages that a blob holds. Raises `RemoteProtocolError`, whatever the bytes."""
    attachment = request.attachment
    assert attachment is not None, "the caller asked for this blob"
    if len(blob) != attachment.size or sha256(blob).hex() != attachment.sha256:
        raise AttachedError("attached_other", "The blob is not the one that the request names.")
    told = msgspec.structs.replace(request, messages=messages_in(blob, key), attachment=None)
    if not is_possible(told, ATTACHED_PROMPT_BYTES_MAX):
        raise AttachedError("attached_impossible", "The attached question is larger than one may be.")
    return told


def messages_in(blob: bytes, key: bytes | None) -> tuple[Message, ...]:
    """What a blob says, whatever its name. Raises `RemoteProtocolError`."""
    return decode_as(blob if key is None else _opened(blob, key), AttachedQuestion).messages


def _opened(blob: bytes, key: bytes) -> bytes:
    """The pieces in their order: every one whole but the last, each under the nonce of its place."""
    try:
        lines = blob.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise AttachedError("attached_shape", "The blob is not base64.") from error
    pieces: list[bytes] = []
    for number, line in enumerate(lines):
        piece = unseal(line, key)
        is_whole = len(piece) == TEXT_BYTES_MAX or number == len(lines) - 1
        if not is_whole or nonce_of(line) != _nonce(key, number, len(lines), piece):
            raise AttachedError("attached_order", "A piece of the blob is not in its place.")
        pieces.append(piece)
    return b"".join(pieces)


def _nonce(key: bytes, number: int, count: int, piece: bytes) -> bytes:
    return hmac_sha256(key, b"dicast/attached-nonce/1" + u32(number) + u32(count) + piece)
