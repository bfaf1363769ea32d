"""Encrypted rounds: question and answers are read by the members, and by whoever is given the round's key."""

from __future__ import annotations

from typing import Annotated

import msgspec

from dicast.base.codec import CodecError, decode_as, encode
from dicast.base.crypto import KeyPair
from dicast.base.errors import Rejection
from dicast.base.hashing import hmac_sha256
from dicast.base.nip44 import (
    KEY_BYTES,
    TEXT_BYTES_MAX,
    SealError,
    conversation_key,
    payload_chars,
    seal,
    unseal,
)
from dicast.base.types import NodeId
from dicast.protocol.messages import (
    ENCRYPTED_MEMBERS_MAX,
    Admission,
    Attachment,
    Message,
    Panel,
    Request,
    Reveal,
    SealedReveal,
)
from dicast.protocol.settings import Identity


class SealedQuestion(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a request seals: everything that tells what is asked, or what may be answered."""

    messages: Annotated[tuple[Message, ...], msgspec.Meta(max_length=256)] = ()
    schema: Annotated[str, msgspec.Meta(max_length=32_768)] = ""
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    attachment: Attachment | None = None

    def __post_init__(self) -> None:
        if bool(self.messages) == (self.attachment is not None):
            raise ValueError("a question is inside or attached")


def seal_request(own: KeyPair, key: bytes, request: Request) -> Request:
    """The request as everybody may see it: the question sealed, the key wrapped to each member in turn.

    Raises `Rejection` where the round cannot be encrypted.
    """
    if request.admission is Admission.OPEN or request.seats > ENCRYPTED_MEMBERS_MAX:
        raise Rejection(
            "not_encryptable",
            f"Only listed and drawn rounds of at most {ENCRYPTED_MEMBERS_MAX} seats can be encrypted.",
            "Ask fewer members, or say --plain: everybody on the network can read it then.",
        )
    frame = request.frame
    question = encode(
        SealedQuestion(
            request.messages, request.schema, frame.exact, frame.fuzzy, frame.labels, request.attachment
        )
    )
    if len(question) > TEXT_BYTES_MAX:
        raise Rejection(
            "prompt_too_large",
            f"As JSON the question has {len(question)} bytes, at most {TEXT_BYTES_MAX} can be sealed.",
            "Shorten the schema.",
        )
    return msgspec.structs.replace(
        request,
        messages=(),
        attachment=None,
        schema="",
        frame=msgspec.structs.replace(frame, exact=(), fuzzy=(), labels=()),
        sealed=seal(question, key, hmac_sha256(key, b"dicast/question-nonce/1" + question)),
        wraps=tuple(_wrapped(own, member, key) for member in request.members),
    )


def with_wraps(own: KeyPair, panel: Panel, key: bytes | None) -> Panel:
    """The panel of an encrypted round, its key wrapped to each member; that of a plain one as it is."""
    if key is None:
        return panel
    return msgspec.structs.replace(
        panel, wraps=tuple(_wrapped(own, member, key) for member in sorted(panel.members))
    )


def member_key(own: KeyPair, requester: NodeId, request: Request, panel: Panel | None = None) -> bytes | None:
    """The round's key, from the wrap for us; None when there is none, or it does not open."""
    wraps = dict(zip(request.members, request.wraps, strict=False))
    if panel is not None:
        wraps = dict(zip(sorted(panel.members), panel.wraps, strict=False))
    wrap = wraps.get(own.node_id)
    if wrap is None:
        return None
    try:
        key = bytes.fromhex(unseal(wrap, conversation_key(own, requester)).decode("ascii"))
    except (SealError, ValueError):
        return None
    return key if len(key) == KEY_BYTES else None


def key_for(
    identity: Identity, requester: NodeId, request: Request, salt: str, panel: Panel | None = None
) -> bytes | None:
    """The key of an encrypted round as a node has it: its own round's by the salt, others' by the wrap."""
    if not request.sealed:
        return None
    if requester == identity.node_id and salt:
        return identity.round_key(salt)
    return member_key(identity.key, requester, request, panel)


def check_sealed(request: Request) -> None:
    """A sealed request tells nothing outside of its seal, to as many as it should. Raises `SealError`."""
    frame = request.frame
    if frame.exact or frame.fuzzy or frame.labels or request.schema:
        raise SealError("seal_parts", "A part of the question stands outside of the seal.")
    wraps = len(request.members) if request.admission is Admission.LISTED else 0
    is_open = request.admission is Admission.OPEN
    if is_open or len(request.wraps) != wraps or request.seats > ENCRYPTED_MEMBERS_MAX:
        raise SealError("seal_wraps", "The wraps are not those of the members.")


def opened(request: Request, key: bytes | None) -> Request:
    """The request as its requester meant it; a plain one as it is. Raises `SealError`."""
    if not request.sealed:
        return request
    check_sealed(request)
    frame = request.frame
    if key is None:
        raise SealError("seal_key", "The round is encrypted, and its key is not known.")
    try:
        question = decode_as(unseal(request.sealed, key), SealedQuestion)
    except CodecError as error:
        raise SealError("seal_question", "What was sealed is no question.") from error
    return msgspec.structs.replace(
        request,
        messages=question.messages,
        attachment=question.attachment,
        schema=question.schema,
        frame=msgspec.structs.replace(
            frame, exact=question.exact, fuzzy=question.fuzzy, labels=question.labels
        ),
        sealed="",
        wraps=(),
    )


def spoken(reveal: Reveal, author: NodeId, key: bytes | None) -> Reveal | SealedReveal | None:
    """The reveal as it is sent: sealed in an encrypted round; None when it is too large to be sealed."""
    if key is None:
        return reveal
    text = encode(reveal)
    if len(text) > TEXT_BYTES_MAX:
        return None
    nonce = hmac_sha256(key, b"dicast/reveal-nonce/1" + bytes.fromhex(author) + text)
    return SealedReveal(v=1, sealed=seal(text, key, nonce))


def as_long(reveal: Reveal, key: bytes | None) -> Reveal | SealedReveal | None:
    """A reveal that takes as many bytes as the one that is spoken, without the work of sealing it."""
    if key is None:
        return reveal
    size = len(encode(reveal))
    return None if size > TEXT_BYTES_MAX else SealedReveal(v=1, sealed="A" * payload_chars(size))


def heard(reveal: Reveal | SealedReveal, key: bytes | None) -> Reveal | None:
    """The reveal that was meant; None when it is open in an encrypted round, sealed in a plain one, junk."""
    if isinstance(reveal, Reveal):
        return reveal if key is None else None
    try:
        return decode_as(unseal(reveal.sealed, key), Reveal) if key is not None else None
    except (SealError, CodecError):
        return None


def _wrapped(own: KeyPair, member: str, key: bytes) -> str:
    try:
        shared = conversation_key(own, member)
    except SealError as error:
        raise Rejection("member_key", f"{member} is no key: nothing can be encrypted to it.") from error
    return seal(key.hex().encode(), shared, hmac_sha256(shared, b"dicast/wrap-nonce/1" + key))
