"""Vectors of the protocol: one signed packet of every kind, and the certificate of a small round."""

from __future__ import annotations

import msgspec

from dicast.base.codec import decode
from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.events import encode_event, sign_event
from dicast.base.nip44 import seal
from dicast.base.types import EventId, Json, NodeId, Now, RequestId
from dicast.consensus.frame import Frame
from dicast.consensus.judge import Verdict, judge
from dicast.consensus.panel import candidates_root, draw, randomness
from dicast.consensus.selection import commit_digest, selection_salt_hash
from dicast.protocol.casework import case_of
from dicast.protocol.certificate import make_certificate, signature_digest, verify
from dicast.protocol.envelope import (
    Packet,
    decode_body,
    make_packet,
    parse_packet,
    sign_packet,
    tags_for,
    topic_of,
)
from dicast.protocol.messages import (
    KINDS,
    Admission,
    Announcement,
    Body,
    Close,
    Commit,
    Continue,
    DeclineReason,
    Evidence,
    Kind,
    Message,
    OfferedModel,
    Panel,
    Places,
    Quorum,
    Request,
    Reveal,
    Role,
    Seek,
    Signature,
    Stream,
    Usage,
    Want,
    WorkState,
    WorkStatus,
)
from dicast.protocol.round import Round

NETWORK = "vectors"
TOPIC = topic_of(NETWORK)
NOW = Now(0, 1_790_000_000_000)
REQUESTER = KeyPair.from_seed(b"requester")
MEMBERS = [KeyPair.from_seed(b"member %d" % number) for number in range(3)]
SALT = "5a" * 32
BEACON = "be" * 32
ANSWERS = ("The capital of France is Paris.", "the capital of France is Paris", "Lyon.")
FRAME = Frame(quorum=2, sec_percentage_bp=6_000, sec_distance_bits={}, gates=())
STREAMED, WISHED = (seal(b"{}", bytes([one]) * 32, bytes([one]) * 32) for one in (1, 2))
"""Payloads of the right shape; what they seal is in the vectors of what is sealed."""
USAGE = Usage(prompt_tokens=9, completion_tokens=7, first_token_ms=5, total_ms=11)


def generate() -> dict[str, Json]:
    """File name -> content."""
    return {"packets.json": {**packet_vectors(), "certificate": certificate_vectors()}}


def packet_vectors() -> dict[str, Json]:
    """Topics, keys, and a packet of every kind with what it says."""
    round_, packets = small_round()
    quorum, close = round_.ends()
    verdict = judge(case_of(round_, {}))
    packets += [*drawn_packets(), *other_packets(round_), announcement()]
    ids = (TOPIC, round_.id, quorum.id, close.id, verdict.digest)
    named = ("topic", "request_id", "quorum_id", "close_id", "verdict_digest")
    return {
        "topics": [{"network": name, "topic": topic_of(name)} for name in ("main", NETWORK, "", "é")],
        "keys": [{"seed": seed, "node_id": key.node_id} for seed, key in seeds().items()],
        "packets": [row(packet) for packet in packets],
        "refused": refused(packets[0]),
        "signature_digest": {**dict(zip(named, ids, strict=True)), "digest": signature_digest(*ids)},
        "commit_salts": [commit_salt(key) for key in MEMBERS],
        "selection_salt": {"salt": SALT, "hash": selection_salt_hash(SALT)},
    }


def seeds() -> dict[str, KeyPair]:
    """The keys of the vectors by the text that they are made from."""
    return {"requester": REQUESTER, **{f"member {number}": key for number, key in enumerate(MEMBERS)}}


def commit_salt(key: KeyPair) -> str:
    """A member's salt; any 32 bytes would do."""
    return key.node_id[::-1]


def row(packet: Packet) -> Json:
    """A packet as its bytes and as what they say."""
    return {
        "kind": packet.kind.name.lower(),
        "wire": packet.wire.decode(),
        "id": packet.id,
        "author": packet.author,
        "predecessor": packet.predecessor,
        "addressees": list(packet.addressees),
        "expires_at": packet.expires_at,
        "body": decode(packet.event.content.encode()),
    }


def refused(packet: Packet) -> Json:
    """Well signed events that are no packets, with the refusal."""
    tags = [list(tag) for tag in packet.event.tags]
    content = packet.event.content
    kind = int(packet.kind)
    others = (
        ("unknown_kind", 4199, tags, content),
        ("shape", kind, [*tags, ["x", "1"]], content),
        ("shape", kind, [*tags, ["d", ""]], content),
        *(("shape", kind, [["t", topic]], content) for topic in ("main", TOPIC.upper(), f" {TOPIC}")),
        ("body", kind, tags, content.replace('"v":1', '"v":2')),
    )
    return [refused_row(*row) for row in others]


def refused_row(reason: str, kind: int, tags: list[list[str]], content: str) -> Json:
    """One refusal, made sure of."""
    wire = encode_event(sign_event(REQUESTER, NOW.unix_ms // 1000, kind, tags, content))
    try:
        decode_body(parse_packet(wire))
    except RemoteProtocolError as error:
        if error.code == reason:
            return {"wire": wire.decode(), "refusal": reason}
    raise AssertionError(wire)


def small_round() -> tuple[Round, list[Packet]]:
    """Three members, of which two agree and one does not, all of them signing."""
    opening = request(Admission.LISTED, members=tuple(sorted(key.node_id for key in MEMBERS)))
    first = make_packet(REQUESTER, TOPIC, opening, NOW)
    round_ = Round(first, opening, 0, NOW.unix_ms)
    packets = [first]

    def say(key: KeyPair, body: Body, predecessor: EventId) -> Packet:
        packets.append(made := make_packet(key, TOPIC, body, NOW, predecessor))
        return made

    for key, answer in zip(MEMBERS, ANSWERS, strict=True):
        digest = commit_digest(round_.id, key.node_id, commit_salt(key), answer, "tiny-1")
        body = Commit(1, digest)
        round_.hear_commit(say(key, body, EventId(round_.id)), body, lambda _: True)
    sealed = Quorum(1, tuple(sorted(round_.commits)))
    round_.hear_quorum(quorum := say(REQUESTER, sealed, EventId(round_.id)), sealed)
    for key, answer in zip(MEMBERS, ANSWERS, strict=True):
        opened = reveal(key, answer)
        round_.hear_reveal(say(key, opened, quorum.id), opened)
    closed = Close(1, tuple(sorted(round_.reveals)), SALT)
    round_.hear_close(close := say(REQUESTER, closed, quorum.id), closed)
    verdict = judge(case_of(round_, {}))
    for key in MEMBERS:
        signed = Signature(1, signature_digest(TOPIC, round_.id, quorum.id, close.id, verdict.digest))
        round_.hear_signature(say(key, signed, close.id), signed)
    return round_, packets


def request(admission: Admission, **changes: object) -> Request:
    """A question of the vectors."""
    plain = Request(
        v=1,
        messages=(Message("system", "Answer in one sentence."), Message("user", "Capital of France?")),
        frame=FRAME,
        admission=admission,
        seats=3,
        max_tokens=64,
        temperature_milli=700,
        selection_salt_hash=selection_salt_hash(SALT),
        sequence=1,
        attempt=1,
    )
    return msgspec.structs.replace(plain, **changes)


def reveal(key: KeyPair, answer: str) -> Reveal:
    """A member's opened answer; the frame names no embedder."""
    return Reveal(
        v=1, answer=answer, model="tiny-1", salt=commit_salt(key), embeddings={}, usage=USAGE, engine="tiny"
    )


def drawn_packets() -> list[Packet]:
    """A request that waits for a beacon, and the panel that follows from it."""
    candidates = {NodeId(key.node_id): 2 for key in MEMBERS}
    opening = request(Admission.DRAWN, candidates_root=candidates_root(candidates), beacon_round=7)
    first = make_packet(REQUESTER, TOPIC, opening, NOW)
    members = draw(candidates, 3, randomness(RequestId(first.id), BEACON))
    panel = Panel(v=1, beacon=BEACON, candidates={**candidates}, members={**members})
    return [first, make_packet(REQUESTER, TOPIC, panel, NOW, first.id)]


def other_packets(round_: Round) -> list[Packet]:
    """A status, both sides of a stream, a want, an evidence, a seek and its answer."""
    _, close = round_.ends()
    member, request_id = MEMBERS[0], EventId(round_.id)
    lies = [make_packet(member, TOPIC, Commit(1, digit * 64), NOW, request_id) for digit in "12"]
    quoted = tuple(packet.wire.decode() for packet in sorted(lies, key=lambda packet: packet.id))
    declined = WorkStatus(1, WorkState.DECLINED, DeclineReason.BUSY)
    to = (NodeId(REQUESTER.node_id),)
    return [
        addressed(member, declined, request_id, to),
        addressed(member, Stream(1, STREAMED), request_id, to),
        addressed(REQUESTER, Continue(1, WISHED), request_id, (NodeId(member.node_id),)),
        addressed(member, Want(1, tuple(round_.reveals)[:2]), close.id, to),
        make_packet(REQUESTER, TOPIC, Evidence(1, quoted), NOW),
        addressed(member, Seek(1, ("websocket",)), None, to),
        addressed(member, Places(1, {"websocket": ("wss://node.example",)}), None, to),
    ]


def addressed(key: KeyPair, body: Body, predecessor: EventId | None, to: tuple[NodeId, ...]) -> Packet:
    """A packet to somebody."""
    return sign_packet(key, body, tags_for(KINDS[type(body)], TOPIC, NOW, predecessor, to), NOW)


def announcement() -> Packet:
    """What a member offers."""
    model = OfferedModel(name="tiny-1", engine="tiny", context_tokens=512, quantization="q8", domain="facts")
    body = Announcement(
        v=1,
        models=(model,),
        roles=(Role.WORKER, Role.VALIDATOR),
        embedders=("minilm-l6-v2/381",),
        slots=2,
        load=1,
        software="dicast 0.1.0",
        addresses={"websocket": ("wss://node.example",)},
    )
    return make_packet(MEMBERS[0], TOPIC, body, NOW)


def certificate_vectors() -> Json:
    """The certificate of the small round, and what it proves."""
    round_, packets = small_round()
    verdict: Verdict = judge(case_of(round_, {}))
    data = make_certificate(round_, verdict, {})
    assert [packet.kind for packet in packets].count(Kind.SIGNATURE) == len(MEMBERS)
    return {"text": data.decode(), "verification": msgspec.to_builtins(verify(data, None))}
