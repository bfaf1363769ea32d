"""Vectors of what is sealed, or attached: a private network, rounds and their certificates."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dicast.base.codec import decode, encode
from dicast.base.crypto import KeyPair
from dicast.base.nip44 import conversation_key, seal
from dicast.base.types import EventId, Json, NodeId, Now, RequestId
from dicast.consensus.frame import Frame
from dicast.consensus.judge import judge
from dicast.consensus.panel import candidates_root
from dicast.consensus.selection import commit_digest, selection_salt_hash
from dicast.protocol.admission import make_panel
from dicast.protocol.attached import AttachedQuestion, attachment_of, blob_of
from dicast.protocol.casework import case_of
from dicast.protocol.certificate import Fault, make_certificate, verdict_signature, verify
from dicast.protocol.envelope import Packet, make_packet, sign_packet, tags_for, topic_of
from dicast.protocol.messages import (
    Admission,
    Announcement,
    Body,
    Close,
    Commit,
    Kind,
    Message,
    Quorum,
    Request,
    Reveal,
    Role,
    Signature,
    Usage,
)
from dicast.protocol.network import network_secret
from dicast.protocol.round import Round
from dicast.protocol.round_key import seal_request, spoken, with_wraps
from dicast.protocol.stream_seal import Line, StreamFrom, StreamText, sealed_text, sealed_wish

NETWORK, PASSPHRASE = "vectors", "correct horse battery staple"
TOPIC = topic_of(NETWORK)
NOW = Now(0, 1_790_000_000_000)
REQUESTER = KeyPair.from_seed(b"requester")
MEMBERS = [KeyPair.from_seed(b"member %d" % number) for number in range(3)]
SALT, ROUND_KEY = "5a" * 32, bytes(range(32))
ANSWERS = ("Yes.", "yes", "No.")
NODES = ("ws://192.0.2.1:7780",)
USAGE = Usage(prompt_tokens=9, completion_tokens=1, first_token_ms=5, total_ms=11)


def generate() -> dict[str, Json]:
    """File name -> content."""
    return {
        "sealed.json": {
            "private": private_vectors(),
            "encrypted": encrypted_vectors(),
            "drawn": drawn_vectors(),
            "streams": streams(),
        },
        "attached.json": {
            "plain": attached_vectors("Is Paris the capital of France? Zürich is not. 🌍", None),
            "encrypted": attached_vectors(
                "Is Paris the capital of France? Take your time. " * 1_500, ROUND_KEY
            ),
            "refused": list(hostile_certificates()),
        },
    }


def attached_vectors(prompt: str, key: bytes | None) -> Json:
    """A round whose question is attached (this one in two sealed pieces), and its certificate."""
    messages = (Message("system", "Answer yes or no."), Message("user", prompt))
    blob = blob_of(messages, key)
    data = attached_certificate(messages, blob, key)
    return {
        "round_key": "" if key is None else key.hex(),
        "attachment": msgspec.to_builtins(attachment_of(blob, NODES)),
        "blob": blob.decode(),
        "messages": msgspec.to_builtins(messages),
        "certificate": data.decode(),
        "verification": msgspec.to_builtins(verify(data, None)),
    }


def attached_certificate(messages: tuple[Message, ...], blob: bytes, key: bytes | None) -> bytes:
    """The certificate of a round that names this blob, whatever it holds."""
    told = msgspec.structs.replace(request(), messages=messages)
    asked = msgspec.structs.replace(told, messages=(), attachment=attachment_of(blob, NODES))
    sent = asked if key is None else seal_request(REQUESTER, key, asked)
    round_ = Round(make_packet(REQUESTER, TOPIC, sent, NOW), asked, 0, NOW.unix_ms, key)
    round_.learn(told)
    hear_everything(round_)
    sheet = decode(make_certificate(round_, judge(case_of(round_, {})), {}).rstrip(b"\n"))
    assert isinstance(sheet, dict), "a certificate is an object"
    return encode({**sheet, "attached": blob.decode()}) + b"\n"


def hostile_certificates() -> Iterator[Json]:
    """Certificates whose attached question is not one, and the fault that each has."""
    short = (Message("user", "Is it?"),)
    text = encode(AttachedQuestion(short))
    blob, sealed = blob_of(short, None), blob_of(short, ROUND_KEY)
    good = decode(attached_certificate(short, blob, None).rstrip(b"\n"))
    assert isinstance(good, dict), "a certificate is an object"
    long = blob_of((Message("user", "x" * 70_000),), ROUND_KEY)
    first, second = long.split(b"\n")
    for name, hostile, key in (
        ("no JSON", b"Is it?", None),
        ("white space", b" " + text, None),
        ("no messages", b'{"messages":[]}', None),
        ("sealed in a plain round", sealed, None),
        ("plain in an encrypted round", blob, ROUND_KEY),
        ("another nonce", seal(text, ROUND_KEY, bytes(32)).encode(), ROUND_KEY),
        ("another key", blob_of(short, bytes(32)), ROUND_KEY),
        ("pieces swapped", second + b"\n" + first, ROUND_KEY),
        ("a piece left out", first, ROUND_KEY),
        ("a line feed at the end", sealed + b"\n", ROUND_KEY),
    ):
        data = attached_certificate(short, hostile, key)
        yield {"name": name, "certificate": data.decode(), "fault": Fault.ATTACHMENT_WRONG.value}
    for name, changes, fault in (
        ("missing", {}, Fault.ATTACHMENT_WRONG),
        ("another question", {"attached": '{"messages":[{"content":"Is she?","role":"user"}]}'}, None),
        ("cut", {"attached": blob.decode()[:-1]}, None),
        ("empty", {"attached": ""}, Fault.SHAPE),
        ("no text", {"attached": 1}, Fault.SHAPE),
    ):
        rest = {word: value for word, value in good.items() if word != "attached"}
        wanted = (fault or Fault.ATTACHMENT_WRONG).value
        yield {"name": name, "certificate": encode({**rest, **changes}).decode() + "\n", "fault": wanted}


def streams() -> Json:
    """What a member and the requester say to each other about an answer that is being made."""
    member, request_id = MEMBERS[0], RequestId("1d" * 32)
    key = conversation_key(member, REQUESTER.node_id)
    said = Line(key, request_id, NodeId(member.node_id))
    wished = Line(key, request_id, NodeId(REQUESTER.node_id))
    chunks = [
        StreamText(0, 0, "The capital"),
        StreamText(1, 11),
        StreamText(2, 11, " of France: Zürich 🌍", True),
    ]
    wish = StreamFrom(1, 11)
    return {
        "member_seed": "member 0",
        "requester_seed": "requester",
        "request_id": request_id,
        "conversation_key": key.hex(),
        "chunks": [
            {"opened": decode(encode(one)), "sealed": sealed_text(said, one).sealed} for one in chunks
        ],
        "wish": {"opened": decode(encode(wish)), "sealed": sealed_wish(wished, wish).sealed},
    }


def private_vectors() -> Json:
    """Name and passphrase, what follows from them, and a packet that was said there."""
    secret = network_secret(NETWORK, PASSPHRASE)
    body = Announcement(v=1, roles=(Role.VALIDATOR,), software="dicast 0.1.0")
    tags = tags_for(Kind.ANNOUNCEMENT, secret.topic, NOW, None, ())
    return {
        "network": NETWORK,
        "passphrase": PASSPHRASE,
        "topic": secret.topic,
        "content_key": secret.content_key.hex(),
        "wire": sign_packet(MEMBERS[0], body, tags, NOW, secret).wire.decode(),
        "body": decode(encode(body)),
    }


def encrypted_vectors() -> Json:
    """A round of three, its packets with what they say once they are opened, and its certificate."""
    opening = request()
    first = make_packet(REQUESTER, TOPIC, seal_request(REQUESTER, ROUND_KEY, opening), NOW)
    round_ = Round(first, opening, 0, NOW.unix_ms, ROUND_KEY)
    reveals = hear_everything(round_)
    data = make_certificate(round_, judge(case_of(round_, {})), {})
    return {
        "requester_seed": "requester",
        "member_seeds": [f"member {number}" for number in range(len(MEMBERS))],
        "round_key": ROUND_KEY.hex(),
        "request": {"wire": first.wire.decode(), "opened": decode(encode(opening))},
        "reveals": [
            {"wire": packet.wire.decode(), "opened": decode(encode(round_.reveals[packet.id][1]))}
            for packet in reveals
        ],
        "certificate": data.decode(),
        "verification": msgspec.to_builtins(verify(data, None)),
    }


def drawn_vectors() -> Json:
    """An encrypted draw of three, its panel with the key for each member, and its certificate."""
    candidates = {key.node_id: 4 for key in MEMBERS}
    opening = msgspec.structs.replace(
        request(),
        admission=Admission.DRAWN,
        members=(),
        streamer="",
        candidates_root=candidates_root(candidates),
        beacon_round=7,
    )
    first = make_packet(REQUESTER, TOPIC, seal_request(REQUESTER, ROUND_KEY, opening), NOW)
    round_ = Round(first, opening, 0, NOW.unix_ms, ROUND_KEY)
    drawn = make_panel(round_.id, candidates, opening.seats, "ab" * 32)
    panel = with_wraps(REQUESTER, drawn, ROUND_KEY)
    said = make_packet(REQUESTER, TOPIC, panel, NOW, EventId(round_.id))
    round_.hear_panel(said, panel)
    hear_everything(round_)
    data = make_certificate(round_, judge(case_of(round_, {})), {})
    return {
        "requester_seed": "requester",
        "member_seeds": [
            f"member {number}" for number, key in enumerate(MEMBERS) if key.node_id in panel.members
        ],
        "round_key": ROUND_KEY.hex(),
        "panel": {"wire": said.wire.decode(), "opened": decode(encode(panel))},
        "certificate": data.decode(),
        "verification": msgspec.to_builtins(verify(data, None)),
    }


def request() -> Request:
    """A question whose every part is sealed."""
    return Request(
        v=1,
        messages=(Message("user", "Is Paris the capital of France?"),),
        frame=Frame(quorum=2, sec_percentage_bp=6_000, sec_distance_bits={}, gates=(), labels=("yes", "no")),
        admission=Admission.LISTED,
        seats=len(MEMBERS),
        max_tokens=64,
        temperature_milli=700,
        selection_salt_hash=selection_salt_hash(SALT),
        sequence=1,
        attempt=1,
        members=tuple(key.node_id for key in MEMBERS),
        streamer=MEMBERS[0].node_id,
    )


def hear_everything(round_: Round) -> list[Packet]:
    """Commits, quorum, reveals, close and signatures; the reveals as they were sent."""

    def say(key: KeyPair, body: Body, predecessor: EventId) -> Packet:
        return make_packet(key, TOPIC, body, NOW, predecessor)

    seated = [pair for pair in zip(MEMBERS, ANSWERS, strict=True) if pair[0].node_id in round_.seats]
    for key, answer in seated:
        salt = key.node_id[::-1]
        commit = Commit(1, commit_digest(round_.id, key.node_id, salt, answer, "tiny-1"))
        round_.hear_commit(say(key, commit, round_.start_id), commit, lambda _: True)
    quorum = Quorum(1, tuple(sorted(round_.commits)))
    round_.hear_quorum(sealed := say(REQUESTER, quorum, round_.start_id), quorum)
    reveals: list[Packet] = []
    for key, answer in seated:
        body = spoken(reveal(key, answer), key.node_id, round_.key)
        assert body is not None, "the answers of the vectors are short"
        reveals.append(packet := say(key, body, sealed.id))
        round_.hear_reveal(packet, body)
    close = Close(1, tuple(sorted(round_.reveals)), SALT)
    round_.hear_close(closed := say(REQUESTER, close, sealed.id), close)
    verdict = judge(case_of(round_, {}))
    for key, _ in seated:
        signed = Signature(1, verdict_signature(round_, TOPIC, verdict))
        round_.hear_signature(say(key, signed, closed.id), signed)
    return reveals


def reveal(key: KeyPair, answer: str) -> Reveal:
    """A member's answer; the frame names no embedder."""
    salt = key.node_id[::-1]
    return Reveal(v=1, answer=answer, model="tiny-1", salt=salt, embeddings={}, usage=USAGE, engine="tiny")
