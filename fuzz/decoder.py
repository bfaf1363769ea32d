"""Coverage-guided fuzzing of whatever reads bytes from elsewhere: `python fuzz/decoder.py -runs=100000`.

Options are libFuzzer's; a folder named as an argument keeps the corpus. A crash is an exception that is not
the decoder's own.
"""

from __future__ import annotations

from typing import cast

import atheris
import msgspec
from harness.loop import fuzz

with atheris.instrument_imports(include=["dicast"]):
    from dicast.base import codec, events, nip19
    from dicast.base.bech32 import KeyTextError
    from dicast.base.crypto import KeyPair
    from dicast.base.errors import RemoteProtocolError
    from dicast.base.types import EventId, Now
    from dicast.consensus.case import CaseError, parse_case
    from dicast.consensus.frame import Frame
    from dicast.protocol import messages, round_key
    from dicast.protocol.certificate import CertificateError, verify
    from dicast.protocol.envelope import decode_body, make_packet, parse_packet, topic_of
    from dicast.protocol.messages import BODIES, Kind
    from dicast.protocol.round_key import heard

KEY = KeyPair.from_seed(b"fuzz")
NOW = Now(0, 1_790_000_000_000)
DIGEST = "ab" * 32
FRAME = Frame(quorum=1, sec_percentage_bp=10_000, sec_distance_bits={"memory/381": 100}, gates=())
CASE = (
    b'{"v":1,"request":{"id":"%(hex)s","frame":{"quorum":1,"sec_percentage_bp":9000,"sec_distance_bits":{},'
    b'"gates":[]}},"selection_salt":"%(hex)s","commits":[{"pubkey":"%(hex)s","digest":"%(hex)s"}],"reveals":[]}'
) % {b"hex": DIGEST.encode()}
SPELLED_KEYS = (nip19.encode_npub(KEY.node_id).encode(), nip19.encode_nsec(KEY.secret).encode())


def genuine() -> list[messages.Body]:
    """One good message of every kind."""
    request = messages.Request(
        v=1,
        messages=(messages.Message("user", "?"),),
        frame=FRAME,
        admission=messages.Admission.LISTED,
        seats=1,
        max_tokens=1,
        temperature_milli=0,
        selection_salt_hash=DIGEST,
        sequence=1,
        attempt=1,
        members=(KEY.node_id,),
    )
    usage = messages.Usage(1, 1, 1, 1)
    reveal = messages.Reveal(
        v=1, answer="a", model="m", salt=DIGEST, embeddings={"memory/381": "00" * 48}, usage=usage, engine="e"
    )
    offer = messages.OfferedModel("m", "e", 9)
    return [
        messages.Announcement(v=1, models=(offer,), roles=(messages.Role.WORKER,)),
        request,
        messages.Panel(v=1, beacon="00", candidates={DIGEST: 1}, members={DIGEST: 1}),
        messages.Commit(1, DIGEST),
        messages.Quorum(1, (DIGEST,)),
        reveal,
        messages.Close(1, (DIGEST,), DIGEST),
        messages.Signature(1, DIGEST),
        messages.Evidence(1, ("{}", "{}")),
        messages.WorkStatus(1, messages.WorkState.DECLINED, messages.DeclineReason.BUSY),
        messages.Want(1, (DIGEST,)),
        messages.Seek(1, ("websocket",)),
        messages.Places(1, {"websocket": ("ws://192.0.2.1:7780",)}),
    ]


ROUND_KEY = bytes(range(32))
SEALED_REQUEST = round_key.seal_request(KEY, ROUND_KEY, cast("messages.Request", genuine()[1]))
SEALED_REVEAL = cast(
    "messages.SealedReveal",
    round_key.spoken(cast("messages.Reveal", genuine()[5]), KEY.node_id, ROUND_KEY),
)


def wires() -> list[bytes]:
    """A signed packet of every kind, and of those that are sealed."""
    topic, previous = topic_of("main"), EventId(DIGEST)
    starts = messages.STARTS
    return [
        make_packet(KEY, topic, body, NOW, None if messages.KINDS[type(body)] in starts else previous).wire
        for body in (*genuine(), SEALED_REQUEST, SEALED_REVEAL)
    ]


WIRES = wires()


def read_packet(data: bytes) -> None:
    """A packet and its body."""
    packet = parse_packet(data)
    assert events.parse_event(data) == packet.event
    decode_body(packet)


def read_body(data: bytes) -> None:
    """The body of any kind, straight from its content: what decodes is its own encoding."""
    kind = list(Kind)[data[0] % len(Kind)] if data else Kind.WANT
    body = codec.decode_as(data[1:], BODIES[kind])
    assert codec.encode(body) == data[1:]


def read_certificate(data: bytes) -> None:
    """A certificate; with the genuine packets before it, so that the replay is reached."""
    verify(data, None)
    joined = b'{"events":[' + b",".join(WIRES[1:3]) + b"," + data
    verify(joined, None)


def read_keys(data: bytes) -> None:
    """Keys as people write them."""
    text = data.decode("utf-8", "replace")
    for decode in (nip19.decode_npub, nip19.decode_nsec, nip19.decode_nevent, nip19.decode_nprofile):
        try:
            decode(text)
        except KeyTextError:
            continue


def read_sealed(data: bytes) -> None:
    """What members open: a payload under the round's key, and the reveal and the question in it."""
    text = data.decode("utf-8", "replace")
    opened = heard(messages.SealedReveal(1, text), ROUND_KEY)
    assert opened is None or codec.decode_as(codec.encode(opened), messages.Reveal) == opened
    round_key.opened(msgspec.structs.replace(SEALED_REQUEST, sealed=text or "A"), ROUND_KEY)


READERS = (read_packet, read_body, read_certificate, parse_case, read_keys, read_sealed)


def one_input(data: bytes) -> None:
    """The first byte chooses the reader; every reader refuses with an error of its own."""
    reader = READERS[data[0] % len(READERS)] if data else read_packet
    try:
        reader(data[1:])
    except (RemoteProtocolError, CertificateError, CaseError):
        return


def seeds() -> list[bytes]:
    """What the fuzzer starts from: each kind of thing once, well formed."""
    contents = [bytes([number]) + codec.encode(body) for number, body in enumerate(genuine())]
    certificate = b'{"events":[' + b",".join(WIRES) + b'],"recomputed":{},"v":1,"verdict":{}}'
    sealed = [SEALED_REQUEST.sealed.encode(), SEALED_REVEAL.sealed.encode()]
    by_reader = (WIRES, contents, [certificate], [CASE], SPELLED_KEYS, sealed)
    return [bytes([number]) + seed for number, group in enumerate(by_reader) for seed in group]


if __name__ == "__main__":
    fuzz(one_input, seeds())
