"""Encrypted rounds: members read question and answers, whoever has the certificate checks them, no other."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.base import codec
from dicast.base.codec import encode
from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.nip44 import padded_bytes
from dicast.base.types import EventId, NodeId
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.certificate import CertificateError, Fault, signature_digest, verify
from dicast.protocol.envelope import PacketReader, make_packet, parse_packet, topic_of
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Admission, Kind, Message, Refusal, Request, Reveal, SealedReveal, Usage
from dicast.protocol.outputs import AskRefused, CertificateReady, PacketRefused, RoundDecided
from dicast.protocol.round_key import heard, member_key, opened, seal_request, spoken

EMBEDDER = MemoryEmbedder()
TOPIC = topic_of("main")
READER = PacketReader()
STRANGER = KeyPair.from_seed(b"stranger")


def embed(name, texts):
    return EMBEDDER.embed(texts) if name == EMBEDDER.name else None


def words(prompt):
    return (Message("user", prompt),)


@pytest.fixture
def encrypted(network, question):
    """Ask five workers among seven an encrypted question, with answers of our choice."""

    def ask(prompt="What is the capital of France?", answer="The capital of France is Paris.", **changes):
        asker = network.add(roles=(), **changes.pop("asker", {}))
        workers = [network.add() for _ in range(7)]
        for worker in workers:
            worker.answer = lambda _: answer
        network.run_for(1_000)
        members = tuple(worker.identity.node_id for worker in workers[:5])
        asked = msgspec.structs.replace(
            question(encrypted=True, members=members, **changes), messages=words(prompt)
        )
        network.ask(asker, asked)
        network.run_for(10_000)
        return asker, workers

    return ask


def view(wire):
    """What an outsider can tell of a packet, ciphertexts, hashes and signatures apart."""
    packet = parse_packet(wire)
    content = json.loads(packet.event.content)
    return packet.author, packet.kind, packet.created_at, len(wire), shape(content), packet.addressees


def shape(value):
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items() if key != "commits" and key != "reveals"}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return len(value) if isinstance(value, str) else value


@pytest.mark.parametrize("follower", [False, True])
def test_an_encrypted_round_ends_as_a_plain_one_does(encrypted, follower):
    """Also where the requester has no embedder: the signatures that it counts are under the round's key."""
    asker, _ = encrypted(asker={"embedders": ()} if follower else {})
    [decided] = asker.reported(RoundDecided)
    assert (decided.verdict.outcome, decided.verdict.answer) == (
        "accepted",
        "The capital of France is Paris.",
    )
    assert decided.checked is not follower
    [ready] = asker.reported(CertificateReady)
    found = verify(ready.certificate, embed)
    assert (found.prompt, found.encrypted, found.signed_seats) == ("What is the capital of France?", True, 5)


def test_a_requester_that_is_a_member_reads_its_own_round(network, question):
    hosts = [network.add() for _ in range(3)]
    network.run_for(1_000)
    members = tuple(host.identity.node_id for host in hosts)
    network.ask(hosts[0], question(seats=3, quorum=3, encrypted=True, members=members))
    network.run_for(10_000)
    [ready] = hosts[0].reported(CertificateReady)
    assert verify(ready.certificate, embed).signed_seats == 3


def test_theorem_11_9_an_outsider_sees_of_two_questions_only_how_long_they_are(network, question):
    """Two rounds that differ in prompt and answers of the same padded lengths look the same, byte count by
    byte count, and neither says a word of them."""
    views = []
    for prompt, answer in (
        ("What is the capital of France?", "The capital of France is Paris."),
        ("Is the treasure under the oak?", "The treasure lies below an elm."),
    ):
        fresh = type(network)()
        asker, *workers = [fresh.add(roles=())] + [fresh.add() for _ in range(5)]
        for worker in workers:
            worker.answer = lambda _, answer=answer: answer
        fresh.run_for(1_000)
        members = tuple(worker.identity.node_id for worker in workers)
        asked = msgspec.structs.replace(question(encrypted=True, members=members), messages=words(prompt))
        fresh.ask(asker, asked)
        fresh.run_for(10_000)
        views.append([view(wire) for wire in fresh.wires])
        for word in (*prompt.split(), *answer.split()):
            assert not [wire for wire in fresh.wires if len(word) > 3 and word.encode() in wire]
    assert views[0] == views[1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prompt=st.text(min_size=1, max_size=80).filter(str.strip), seats=st.integers(1, 5))
def test_theorem_11_10_only_members_open_what_was_sealed(question, prompt, seats):
    requester = KeyPair.from_seed(b"requester")
    members = [KeyPair.from_seed(b"member %d" % number) for number in range(seats)]
    key = bytes(range(32))
    plain = request_of(question, members, prompt)
    sealed = seal_request(requester, key, plain)
    assert encode(sealed).isascii()
    assert opened(sealed, key) == plain
    for member in members:
        assert member_key(member, requester.node_id, sealed) == key
    assert member_key(STRANGER, requester.node_id, sealed) is None
    moved = msgspec.structs.replace(sealed, members=(STRANGER.node_id, *sealed.members[1:]))
    assert member_key(STRANGER, requester.node_id, moved) is None
    for other in (None, bytes(32)):
        with pytest.raises(RemoteProtocolError):
            opened(sealed, other)
    reveal = reveal_of(prompt)
    spoke = spoken(reveal, members[0].node_id, key)
    assert isinstance(spoke, SealedReveal)
    assert [heard(spoke, one) for one in (key, None, bytes(32))] == [reveal, None, None]
    assert [heard(reveal, one) for one in (key, None)] == [None, reveal]


def request_of(question, members, prompt):
    asked = question(seats=len(members), quorum=1)
    return Request(
        v=1,
        messages=words(prompt),
        frame=msgspec.structs.replace(asked.frame, labels=("yes", "no"), exact=("n",), fuzzy=("f",)),
        admission=Admission.LISTED,
        seats=len(members),
        max_tokens=10,
        temperature_milli=0,
        selection_salt_hash="ab" * 32,
        sequence=1,
        attempt=1,
        members=tuple(member.node_id for member in members),
        schema='{"type":"object"}',
    )


def reveal_of(answer):
    return Reveal(
        v=1, answer=answer, model="m", salt="ab" * 32, embeddings={}, usage=Usage(1, 2, 3, 4), engine="e"
    )


def test_labels_and_schema_are_inside_of_the_seal(question):
    sealed = encode(seal_request(STRANGER, bytes(32), request_of(question, [STRANGER], "a prompt")))
    for told in (b"yes", b"exact", b"fuzzy", b"schema", b"prompt"):
        assert told not in sealed


def test_a_guessed_answer_cannot_be_held_against_the_signatures(encrypted):
    """The verdict has few unknowns for whoever guesses the answer: the signature needs the round's key."""
    asker, _ = encrypted()
    [ready] = asker.reported(CertificateReady)
    events = json.loads(ready.certificate)["events"]
    of = {event["kind"]: event for event in events}
    verdict = asker.reported(RoundDecided)[0].verdict
    guessed = signature_digest(
        TOPIC, of[Kind.REQUEST]["id"], of[Kind.QUORUM]["id"], of[Kind.CLOSE]["id"], verdict.digest
    )
    assert guessed not in of[Kind.SIGNATURE]["content"]


def test_theorem_12_5_a_certificate_of_an_encrypted_round_holds_with_its_key_only(encrypted):
    asker, _ = encrypted()
    [ready] = asker.reported(CertificateReady)
    sheet = json.loads(ready.certificate)
    key = sheet.pop("round_key")
    for changed, fault in (
        (sheet, Fault.SEALED),
        ({**sheet, "round_key": "00" * 32}, Fault.SEALED),
        ({**sheet, "round_key": ""}, Fault.SHAPE),
        ({**sheet, "round_key": "xy"}, Fault.SHAPE),
    ):
        with pytest.raises(CertificateError) as refused:
            verify(codec.encode(changed), embed)
        assert refused.value.fault is fault
    assert verify(codec.encode({**sheet, "round_key": key}), embed).encrypted


def test_a_key_to_a_plain_round_is_no_certificate(network, question):
    asker, *_ = [network.add(roles=())] + [network.add() for _ in range(5)]
    network.run_for(1_000)
    network.ask(asker, question())
    network.run_for(10_000)
    [ready] = asker.reported(CertificateReady)
    sheet = {**json.loads(ready.certificate), "round_key": "00" * 32}
    with pytest.raises(CertificateError) as refused:
        verify(codec.encode(sheet), embed)
    assert refused.value.fault is Fault.SHAPE


def test_whoever_is_no_member_passes_it_over_and_a_member_whose_wrap_is_wrong_says_so(network, question):
    requester, worker, other = STRANGER, network.add(), network.add()
    network.run_for(1_000)
    keys = [worker.identity.key, KeyPair.from_seed(b"elsewhere")]
    request = seal_request(requester, bytes(range(32)), request_of(question, keys, "a prompt"))
    crossed = msgspec.structs.replace(request, wraps=request.wraps[::-1])
    short = msgspec.structs.replace(request, wraps=request.wraps[:1])
    outside = msgspec.structs.replace(request, schema='{"type":"object"}')
    wrong = msgspec.structs.replace(request, sealed=request.wraps[0])
    for body in (crossed, short, outside, wrong):
        wire = make_packet(requester, TOPIC, body, network.now).wire
        for host in (worker, other):
            network.give(host, PacketReceived(wire, "test"))
    assert [report.reason for report in worker.reported(PacketRefused)] == [Refusal.SEALED] * 4
    assert [report.reason for report in other.reported(PacketRefused)] == [Refusal.FOREIGN] * 4
    assert "standing" not in worker.tables


@pytest.mark.parametrize(
    "content",
    [
        '{"v":1,"sealed":"","messages":[]}',
        '{"v":1,"sealed":"AAAA"}',
        '{"v":1,"messages":[{"content":"x","role":"user"}],"sealed":"AAAA","wraps":["AAAA"]}',
    ],
)
def test_a_request_is_open_or_sealed_and_never_both(content, question):
    base = json.loads(encode(request_of(question, [STRANGER], "x")))
    base.pop("messages")
    with pytest.raises(codec.CodecError):
        codec.decode_as(encode({**base, **json.loads(content)}), Request)


def test_a_reveal_in_the_open_does_not_count_and_costs_standing(network, question):
    """Who tells everybody what only the members were to know broke a rule."""
    asker, *workers = [network.add(roles=())] + [network.add() for _ in range(5)]
    network.run_for(1_000)
    members = tuple(worker.identity.node_id for worker in workers)
    network.drop = lambda host, wire: json.loads(wire)["kind"] == Kind.REVEAL
    network.ask(asker, question(encrypted=True, members=members))
    network.settle()
    quorum = parse_packet(network.sent(Kind.QUORUM)[0])
    leak = make_packet(workers[0].identity.key, TOPIC, reveal_of("Paris"), network.now, quorum.id)
    network.give(asker, PacketReceived(leak.wire, "test"))
    assert asker.reported(PacketRefused)[-1].reason == Refusal.BODY
    assert workers[0].identity.node_id in asker.tables["standing"]


def test_two_sealed_reveals_convict_before_everybody_who_has_no_key(network, question):
    asker, *workers = [network.add(roles=())] + [network.add() for _ in range(6)]
    outsider = workers.pop()
    network.run_for(1_000)
    members = tuple(worker.identity.node_id for worker in workers)
    network.ask(asker, question(encrypted=True, members=members))
    network.settle_until(lambda: len(network.sent(Kind.REVEAL)) >= 5)
    first = parse_packet(network.sent(Kind.REVEAL, workers[0])[0])
    record = asker.node._table._rounds[asker.node.rounds()[0].request_id]
    plain = heard(READER.body(first), record.key)
    other = spoken(msgspec.structs.replace(plain, answer="another"), workers[0].identity.node_id, record.key)
    wire = make_packet(
        workers[0].identity.key, TOPIC, other, network.now, EventId(first.predecessor or "")
    ).wire
    for host in (asker, *workers[1:]):
        network.give(host, PacketReceived(wire, "test"))
    network.run_for(10_000)
    assert network.sent(Kind.EVIDENCE)
    assert b"equivocation" in outsider.tables["standing"][workers[0].identity.node_id]


@pytest.mark.parametrize("moment", [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE])
def test_after_a_restart_everybody_still_has_the_key(network, question, moment):
    asker, *workers = [network.add(roles=())] + [network.add() for _ in range(5)]
    network.run_for(1_000)
    members = tuple(worker.identity.node_id for worker in workers)
    network.ask(asker, question(encrypted=True, members=members))
    network.settle_until(lambda: bool(network.sent(moment)))
    for host in (asker, workers[0]):
        network.restart(host)
    network.run_for(30_000)
    [ready] = asker.reported(CertificateReady)[-1:]
    assert verify(ready.certificate, embed).verdict.outcome == "accepted"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"admission": "open"}, "not_encryptable"),
        ({"seats": 65, "quorum": 50}, "not_encryptable"),
        ({"seats": 2, "quorum": 2, "members": ("00" * 32, "01" * 32)}, "member_key"),
    ],
)
def test_what_cannot_be_encrypted_is_refused_before_it_is_sent(network, question, changes, code):
    asker, *_ = [network.add(roles=())] + [network.add() for _ in range(5)]
    network.run_for(1_000)
    if changes.get("seats") == 65:
        changes = {**changes, "members": tuple(KeyPair.from_seed(b"%d" % n).node_id for n in range(65))}
    sent = len(network.wires)
    network.ask(asker, question(encrypted=True, **changes))
    assert [report.code for report in asker.reported(AskRefused)] == [code]
    assert len(network.wires) == sent


@pytest.mark.parametrize("prompt", ["x" * 32_768, "\x00" * 20_000])
def test_a_prompt_that_does_not_fit_once_it_is_sealed_is_attached(network, question, prompt):
    asker = network.add(roles=())
    members = tuple(KeyPair.from_seed(b"%d" % n).node_id for n in range(64))
    asked = question(encrypted=True, seats=64, quorum=50, members=members)
    network.ask(asker, msgspec.structs.replace(asked, messages=words("is it? " + prompt[7:])))
    assert not asker.reported(AskRefused)
    assert len(network.blobs) == 1


def test_the_largest_prompt_fits_a_round_of_nine(network, question):
    asker = network.add(roles=())
    members = tuple(KeyPair.from_seed(b"%d" % n).node_id for n in range(9))
    asked = question(encrypted=True, seats=9, quorum=9, members=members)
    network.ask(asker, msgspec.structs.replace(asked, messages=words("x" * 32_768)))
    assert asker.reported(AskRefused) == []
    assert network.sent(Kind.REQUEST)


def test_an_answer_that_does_not_fit_once_it_is_sealed_is_declined(encrypted):
    """Sealed, a reveal of more than 32 KiB is over the limit of 48."""
    asker, _ = encrypted(answer="word " * 6_600)
    assert padded_bytes(33_000) == 40_960
    assert asker.reported(RoundDecided)[0].verdict.reason == "quorum_not_reached"


def test_a_reveal_that_has_no_seal_at_all_is_never_made():
    assert spoken(reveal_of("x" * 66_000), NodeId("ab" * 32), bytes(32)) is None
