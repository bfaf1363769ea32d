"""A round as a file that anybody can check offline; see `spec/12-certificate.md`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated, cast

import msgspec

from dicast.base.codec import CodecError, decode, encode
from dicast.base.errors import Rejection, RemoteProtocolError
from dicast.base.hashing import hmac_sha256, tagged
from dicast.base.nip44 import SealError, is_payload
from dicast.base.types import Digest, EventId, Json, NodeId
from dicast.consensus.case import check_case
from dicast.consensus.judge import Verdict, judge
from dicast.protocol.admission import is_drawn, is_possible
from dicast.protocol.attached import attached_key, blob_of, told_by
from dicast.protocol.casework import Bits, case_of, texts_to_embed, unlike
from dicast.protocol.envelope import Packet, PacketReader
from dicast.protocol.messages import (
    Admission,
    Hex64,
    Panel,
    Request,
)
from dicast.protocol.network import NetworkSecret
from dicast.protocol.round import Conflict, Round
from dicast.protocol.round_key import opened

CERTIFICATE_BYTES_MAX = 64 * 1024 * 1024
"""256 reveals of 48 KiB and their commits and signatures are 13 MiB; four times that is hostile."""

Embed = Callable[[str, Sequence[str]], list[bytes] | None]
"""The reader's own embedders: (name, texts) -> packed bits of each text, or None for an unknown name."""
_ENCODER = msgspec.json.Encoder(order="sorted")
"""The encoder of `codec.encode` without its checks: all that a certificate holds has passed them."""


class Fault(StrEnum):
    """The first wrong thing about a certificate."""

    SHAPE = "shape"
    SEALED = "sealed"
    SIGNATURE_BROKEN = "signature_broken"
    WRONG_NETWORK = "wrong_network"
    REQUEST_MISSING = "request_missing"
    REQUEST_IMPOSSIBLE = "request_impossible"
    ATTACHMENT_WRONG = "attachment_wrong"
    PANEL_NOT_DRAWN = "panel_not_drawn"
    PACKET_MISPLACED = "packet_misplaced"
    PACKET_MISSING = "packet_missing"
    CONTRADICTION = "contradiction"
    EMBEDDING_WRONG = "embedding_wrong"
    VERDICT_DIFFERS = "verdict_differs"
    SIGNATURE_DIFFERS = "signature_differs"


class EmbeddingCheck(StrEnum):
    """Did the reader's own weights read the answers?"""

    RECOMPUTED = "recomputed"
    NOT_NEEDED = "not_needed"
    NOT_CHECKED = "not_checked"


class PanelProof(StrEnum):
    """Where the panel comes from: a beacon value the reader knows, one it does not, or no beacon."""

    DRAWN = "drawn"
    DRAW_UNCHECKED = "draw_unchecked"
    REQUESTERS_WORD = "requesters_word"


class CertificateError(Exception):
    """The certificate does not hold: the first wrong thing, and what it is about."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(f"{fault.value}: {detail}")
        self.fault = fault
        self.detail = detail


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a certificate that holds proves, and what it does not.

    `inputs_witnessed`: so many seats signed that any two such groups share one, so that nobody can show a
    second CLOSE unnoticed. `beacon_round`, `beacon`: what a draw rests on, as the certificate tells it.
    """

    request_id: str
    requester: NodeId
    prompt: str
    verdict: Verdict
    admission: Admission
    encrypted: bool
    attempt: int
    previous: str
    embeddings: EmbeddingCheck
    panel: PanelProof
    beacon_round: int
    beacon: str
    signed_seats: int
    inputs_witnessed: bool
    models: dict[NodeId, str]


class _Sheet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    events: tuple[dict[str, object], ...]
    recomputed: dict[str, dict[str, str]]
    verdict: dict[str, object]
    round_key: Hex64 = ""
    attached: Annotated[str, msgspec.Meta(min_length=1)] = ""


def signature_digest(
    topic: str, request_id: str, quorum_id: str, close_id: str, verdict_digest: str
) -> Digest:
    """What a member signs: SHA-256("dicast/signature/1" | topic | request | quorum | close | verdict)."""
    parts = (topic, request_id, quorum_id, close_id, verdict_digest)
    return Digest(tagged("dicast/signature/1", *map(bytes.fromhex, parts)).hex())


def signed_seats(round_: Round, topic: str, verdict: Verdict) -> int:
    """Seats of the members whose signature is about this very verdict."""
    expected = verdict_signature(round_, topic, verdict)
    signers = [author for author, (_, body) in round_.signatures.items() if body.digest == expected]
    return sum(round_.seats_of(author) for author in signers)


def verdict_signature(round_: Round, topic: str, verdict: Verdict) -> Digest:
    """What a member of this closed round signs for a verdict."""
    quorum, close = round_.ends()
    return signature_digest(topic, round_.id, quorum.id, close.id, shown_digest(verdict, round_.key))


def shown_digest(verdict: Verdict, key: bytes | None) -> str:
    """The verdict's digest; keyed in an encrypted round, or guesses at the answer could be tried on it."""
    if key is None:
        return verdict.digest
    return hmac_sha256(key, b"dicast/sealed-verdict/1" + bytes.fromhex(verdict.digest)).hex()


def make_certificate(
    round_: Round, verdict: Verdict, bits: Bits, secret: NetworkSecret | None = None
) -> bytes:
    """The certificate of a judged round: its signed events in their order, the bits, the verdict."""
    quorum, close = round_.ends()
    assert round_.close_body is not None, "a closed round has a close"
    commits = sorted((round_.commits[commit][0] for commit in round_.sealed), key=_author)
    reveals = sorted((round_.reveals[EventId(one)][0] for one in round_.close_body.reveals), key=_author)
    expected = verdict_signature(round_, round_.packet.topic, verdict)
    agreeing = (packet for packet, body in round_.signatures.values() if body.digest == expected)
    signatures = sorted(agreeing, key=_author)
    panel = (round_.panel,) if round_.panel is not None else ()
    packets = (round_.packet, *panel, *commits, quorum, *reveals, close, *signatures)
    events = [packet.event for packet in packets]
    sheet: dict[str, object] = {"v": 1, "events": events, "recomputed": bits, "verdict": verdict}
    if round_.key is not None:
        sheet["round_key"] = round_.key.hex()
    if round_.attachment is not None:
        blob = blob_of(round_.request.messages, attached_key(round_.key, secret))
        sheet["attached"] = blob.decode()
    return _ENCODER.encode(sheet) + b"\n"


def verify(
    data: bytes,
    embed: Embed | None,
    reader: PacketReader | None = None,
    beacons: Mapping[int, str] | None = None,
) -> Verification:
    """Check every signature, digest, embedding and step, offline; raises `CertificateError`.

    `beacons` are values the reader recorded itself: round -> hex.
    """
    sheet = _decode(data)
    reader = reader or PacketReader()
    packets = [_signed(event, reader) for event in sheet.events]
    round_ = _replay(packets, reader, sheet)
    panel = _panel_proof(round_, beacons or {})
    bits, embeddings = _bits(round_, sheet.recomputed, embed)
    try:
        case = case_of(round_, bits)
        check_case(case)
    except (RemoteProtocolError, Rejection) as error:
        raise CertificateError(Fault.CONTRADICTION, error.message) from error
    verdict = judge(case)
    if verdict.encode() != encode(cast("Json", sheet.verdict)):
        raise CertificateError(Fault.VERDICT_DIFFERS, "the inputs give another verdict than the one shown")
    seats = _count_signatures(round_, packets[0].topic, verdict)
    request = round_.request
    return Verification(
        request_id=round_.id,
        requester=round_.requester,
        prompt="\n".join(message.content for message in request.messages),
        verdict=verdict,
        admission=request.admission,
        encrypted=round_.key is not None,
        attempt=request.attempt,
        previous=request.previous,
        embeddings=embeddings,
        panel=panel,
        beacon_round=request.beacon_round,
        beacon=round_.panel_body.beacon if round_.panel_body is not None else "",
        signed_seats=seats,
        inputs_witnessed=seats >= verdict.need and 2 * seats > verdict.n,
        models={packet.author: body.model for packet, body in round_.reveals.values()},
    )


def _decode(data: bytes) -> _Sheet:
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise CertificateError(Fault.SHAPE, "the file is larger than 64 MiB")
    try:
        sheet = msgspec.convert(decode(data.rstrip(b"\n")), _Sheet, strict=True)
    except (CodecError, msgspec.ValidationError) as error:
        raise CertificateError(Fault.SHAPE, f"not a certificate: {error}") from error
    if sheet.v != 1:
        raise CertificateError(Fault.SHAPE, f"version {sheet.v} is not known here")
    return sheet


def _signed(event: dict[str, object], reader: PacketReader) -> Packet:
    try:
        packet = reader.parse(msgspec.json.encode(event))
    except RemoteProtocolError as error:
        raise CertificateError(Fault.SHAPE, f"an event is not one of ours: {error.message}") from error
    if not reader.is_signed(packet):
        raise CertificateError(Fault.SIGNATURE_BROKEN, f"the signature of event {packet.id} does not hold")
    return packet


def _replay(packets: list[Packet], reader: PacketReader, sheet: _Sheet) -> Round:
    """Let a fresh round hear the packets in order: each must be accepted."""
    round_: Round | None = None
    for packet in packets:
        try:
            body = reader.body(packet)
        except RemoteProtocolError as error:
            fault = Fault.SEALED if is_payload(packet.event.content) else Fault.SHAPE
            raise CertificateError(fault, f"event {packet.id}: {error.message}") from error
        if round_ is None:
            round_ = _opened(packet, body, sheet, reader.secret)
        else:
            _hear(round_, packet, body)
    if round_ is None or round_.quorum is None or round_.close is None:
        raise CertificateError(Fault.PACKET_MISSING, "the request, the quorum or the close is missing")
    if round_.request.admission is Admission.DRAWN and round_.panel is None:
        raise CertificateError(Fault.PACKET_MISSING, "the panel of a drawn round is missing")
    if round_.missing():
        raise CertificateError(Fault.PACKET_MISSING, f"event {round_.missing()[0]} is named and missing")
    return round_


def _opened(packet: Packet, body: object, sheet: _Sheet, secret: NetworkSecret | None) -> Round:
    key = bytes.fromhex(sheet.round_key) if sheet.round_key else None
    if not isinstance(body, Request):
        raise CertificateError(Fault.REQUEST_MISSING, "the first event is not a request")
    if key is not None and not body.sealed:
        raise CertificateError(Fault.SHAPE, "it brings a key to a round that is not encrypted")
    try:
        request = opened(body, key)
    except SealError as error:
        raise CertificateError(Fault.SEALED, f"the question is encrypted: {error.message}") from error
    if not is_possible(request):
        raise CertificateError(Fault.REQUEST_IMPOSSIBLE, "the request's frame or members cannot hold")
    round_ = Round(packet, request, 0, 0, key)
    if sheet.attached and round_.is_known:
        raise CertificateError(Fault.SHAPE, "it brings a question to a round that has none attached")
    if not round_.is_known:
        try:
            round_.learn(told_by(request, sheet.attached.encode(), attached_key(key, secret)))
        except RemoteProtocolError as error:
            raise CertificateError(Fault.ATTACHMENT_WRONG, error.message) from error
    return round_


def _hear(round_: Round, packet: Packet, body: object) -> None:
    if packet.topic != round_.packet.topic:
        raise CertificateError(Fault.WRONG_NETWORK, f"event {packet.id} belongs to another network")
    if not round_.follows(packet, body):
        raise CertificateError(Fault.PACKET_MISPLACED, f"event {packet.id} does not follow its predecessor")
    if isinstance(body, Panel) and not is_drawn(round_.id, round_.request, body):
        raise CertificateError(Fault.PANEL_NOT_DRAWN, "the panel does not follow from the beacon")
    heard = round_.hear(packet, body, lambda _: True)
    if isinstance(heard, Conflict):
        raise CertificateError(Fault.CONTRADICTION, f"{packet.author} signed two of a kind: {packet.id}")
    if heard is not None:
        raise CertificateError(Fault.PACKET_MISPLACED, f"event {packet.id} does not fit: {heard}")


def _panel_proof(round_: Round, beacons: Mapping[int, str]) -> PanelProof:
    """That the seats follow from the beacon was checked when the panel was heard; here: is it the beacon?"""
    if round_.panel_body is None:
        return PanelProof.REQUESTERS_WORD
    known = beacons.get(round_.request.beacon_round)
    if known is None:
        return PanelProof.DRAW_UNCHECKED
    if known != round_.panel_body.beacon:
        number = round_.request.beacon_round
        raise CertificateError(Fault.PANEL_NOT_DRAWN, f"beacon round {number} had another value")
    return PanelProof.DRAWN


def _bits(round_: Round, shown: Bits, embed: Embed | None) -> tuple[Bits, EmbeddingCheck]:
    """The reader's own bits where it can, else those shown; bits that differ are the first wrong thing.

    An empty text marks bits that the signers found to be others than those revealed.
    """
    texts = texts_to_embed(round_)
    revealed = {packet.author: body.embeddings for packet, body in round_.reveals.values()}
    marked = sorted(author for author, of in shown.items() if "" in of.values())
    if any(author not in revealed for author in marked):
        raise CertificateError(Fault.CONTRADICTION, "the certificate marks somebody who revealed nothing")
    shown = {**shown, **{author: unlike(revealed[NodeId(author)]) for author in marked}}
    if not texts or not round_.request.frame.sec_distance_bits:
        return shown, EmbeddingCheck.NOT_NEEDED
    if embed is None:
        return shown, EmbeddingCheck.NOT_CHECKED
    own: Bits = {}
    for name in sorted(round_.request.frame.sec_distance_bits):
        made = embed(name, list(texts.values()))
        if made is None:
            return shown, EmbeddingCheck.NOT_CHECKED
        for author, bits in zip(texts, made, strict=True):
            own.setdefault(author, {})[name] = bits.hex()
    for author, of in sorted(shown.items()):
        made_here = own.get(NodeId(author))
        wrong = made_here == revealed[NodeId(author)] if author in marked else made_here != of
        if wrong:
            raise CertificateError(Fault.EMBEDDING_WRONG, f"the bits of {author} are not of its answer")
    return own, EmbeddingCheck.RECOMPUTED


def _count_signatures(round_: Round, topic: str, verdict: Verdict) -> int:
    """Signatures over another verdict are a fault: a certificate holds none of them."""
    seats = signed_seats(round_, topic, verdict)
    everybody = sum(round_.seats_of(author) for author in round_.signatures)
    if seats != everybody:
        raise CertificateError(Fault.SIGNATURE_DIFFERS, "a signature is about another verdict")
    return seats


def _author(packet: Packet) -> NodeId:
    return packet.author
