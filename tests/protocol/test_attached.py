"""Questions that are too long for a packet: named in the request, fetched by members, checked like others."""

from __future__ import annotations

import json

import msgspec
import pytest

from dicast.base import codec
from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.base.limits import (
    ATTACHED_BYTES_MAX,
    ATTACHED_FETCH_MS_MAX,
    ATTACHED_PROMPT_BYTES_MAX,
    ATTACHED_ROUNDS_MAX,
    ATTACHED_ROUNDS_PER_REQUESTER_MAX,
    PROMPT_BYTES_MAX,
)
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.attached import AttachedQuestion, attachment_of, blob_of
from dicast.protocol.certificate import CertificateError, Fault, verify
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import BlobFetched, BlobMissing, Cancelled, PacketReceived
from dicast.protocol.messages import Admission, Kind, Message, Request
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    MemberProgress,
    RoundDecided,
    ShareBlob,
    StartInference,
    WorkProgress,
)

EMBEDDER = MemoryEmbedder()
KEY = bytes(range(32))
STRANGER = KeyPair.from_seed(b"stranger")
TOPIC = topic_of("main")
LONG = "What is the capital of France? " + "Take your time. " * 4_000


def embed(name, texts):
    return EMBEDDER.embed(texts) if name == EMBEDDER.name else None


def words(prompt):
    return (Message("user", prompt),)


@pytest.fixture
def crowd(network):
    """One who asks and five who answer."""
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    return asker, workers


@pytest.fixture
def long(question):
    def make(prompt=LONG, **changes):
        return msgspec.structs.replace(question(**changes), messages=words(prompt))

    return make


@pytest.fixture
def attached_request(question):
    """A request of a stranger's that names a blob."""

    def make(member, attachment, number=0):
        asked = question(seats=1, quorum=1, percentage_bp=10_000)
        return Request(
            v=1,
            attachment=attachment,
            frame=asked.frame,
            admission=Admission.LISTED,
            seats=1,
            max_tokens=10,
            temperature_milli=0,
            selection_salt_hash="ab" * 32,
            sequence=number,
            attempt=1,
            members=(member.identity.node_id,),
        )

    return make


@pytest.mark.parametrize("changes", [{}, {"encrypted": True}, {"admission": "open"}])
def test_a_long_question_ends_as_a_short_one_does(network, crowd, long, changes):
    asker, workers = crowd
    asked = []
    for worker in workers:
        worker.answer = lambda job: asked.append(job.messages) or "The capital of France is Paris."
    network.ask(asker, long(**changes))
    network.run_for(10_000)
    assert asker.reported(RoundDecided)[0].verdict.outcome == "accepted"
    [ready] = asker.reported(CertificateReady)
    found = verify(ready.certificate, embed)
    assert (found.prompt, found.signed_seats) == (LONG, 5)
    assert found.encrypted is bool(changes.get("encrypted"))
    assert asked == [words(LONG)] * 5
    assert all(len(wire) < 32_768 and b"Take your time" not in wire for wire in network.wires)
    assert not found.encrypted or b"time" not in b"".join(network.blobs.values())


def test_members_of_a_draw_fetch_it_once_they_are_drawn(network, crowd, long, prove, publish):
    asker, workers = crowd
    prove(asker, 1)
    publish(1)
    asked = long(seats=3, quorum=3, percentage_bp=10_000, admission="drawn", beacon_round=2)
    network.ask(asker, asked)
    network.settle()
    assert network.fetches == []
    publish(2)
    network.run_for(10_000)
    assert asker.reported(RoundDecided)[0].verdict.outcome == "accepted"
    assert {host.identity.node_id for host, _ in network.fetches} == set(
        asker.reported(RoundDecided)[0].verdict.statuses
    )
    assert len(network.fetches) == 3 < len(workers)


def test_a_requester_that_is_a_member_fetches_nothing(network, long):
    hosts = [network.add() for _ in range(3)]
    network.run_for(1_000)
    members = tuple(host.identity.node_id for host in hosts)
    network.ask(hosts[0], long(seats=3, quorum=3, encrypted=True, members=members))
    network.run_for(10_000)
    [ready] = hosts[0].reported(CertificateReady)
    assert verify(ready.certificate, embed).signed_seats == 3
    assert [host for host, _ in network.fetches] == hosts[1:]


@pytest.mark.parametrize("encrypted", [False, True])
@pytest.mark.parametrize(
    "moment", [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE]
)
def test_after_a_restart_everybody_finds_the_question_again(network, crowd, long, encrypted, moment):
    asker, workers = crowd
    network.ask(asker, long(encrypted=encrypted))
    network.settle_until(lambda: bool(network.sent(moment)))
    for host in (asker, workers[0]):
        network.restart(host)
    network.run_for(30_000)
    ready = asker.reported(CertificateReady)[-1]
    assert verify(ready.certificate, embed).verdict.outcome == "accepted"
    assert verify(ready.certificate, embed).prompt == LONG


def test_whoever_restarts_while_it_waits_for_the_question_goes_on(network, crowd, long):
    asker, workers = crowd
    network.serves = False
    network.ask(asker, long())
    network.settle()
    network.serves = True
    for worker in workers:
        network.restart(worker)
    network.run_for(10_000)
    assert asker.reported(RoundDecided)[0].verdict.outcome == "accepted"


def test_commits_quorum_and_close_are_heard_before_the_question(network, crowd, long):
    """One member gets the question after everybody has signed: it judges and signs then."""
    asker, workers = crowd
    late = workers[0]
    held = []
    network.fetch = lambda blob: blob
    network.ask(asker, long(quorum=4, grace_ms=0))

    def hold(host, happened):
        if host is late and isinstance(happened, BlobFetched):
            held.append(happened)
            return True
        return False

    while network.queue or not asker.reported(CertificateReady):
        if not network.queue:
            network.run_for(1_000)
            continue
        host, happened = network.queue.popleft()
        if not hold(host, happened):
            network.give(host, happened)
    assert not network.sent(Kind.SIGNATURE, late)
    network.give(late, held[0])
    network.settle()
    assert len(network.sent(Kind.SIGNATURE, late)) == 1
    assert not network.sent(Kind.COMMIT, late)


@pytest.mark.parametrize("lie", [lambda blob: None, lambda blob: blob[:-1], lambda blob: b"[]", bytes.upper])
def test_who_cannot_get_the_question_declines_and_nothing_is_blamed(network, crowd, long, lie):
    asker, workers = crowd
    network.fetch = lie
    network.ask(asker, long())
    network.run_for(30_000)
    declined = [report for report in asker.reported(MemberProgress) if report.step == "declined"]
    assert [report.detail for report in declined] == ["question_missing"] * 5
    assert asker.reported(RoundDecided)[0].verdict.reason == "quorum_not_reached"
    assert all("standing" not in host.tables for host in network.hosts)
    network.run_for(200_000)
    assert all(not worker.node.rounds() for worker in workers)


def test_a_requester_that_never_serves_takes_no_slot(network, crowd, long, question):
    """Every slot of a member stays free while it waits, and the wait has an end that it asked for."""
    asker, workers = crowd
    network.serves = False
    for number in range(6):
        network.ask(asker, long(prompt=f"{number} {LONG}", attempts=1), f"a{number}")
    network.settle()
    assert all(worker.node.load == 0 for worker in workers)
    assert {run.deadline_ms <= ATTACHED_FETCH_MS_MAX for _, run in network.fetches} == {True}
    network.ask(asker, question(), "short")
    network.run_for(10_000)
    assert [one.verdict.outcome for one in asker.reported(RoundDecided) if one.ask_id == "short"] == [
        "accepted"
    ]


def test_the_blob_is_durable_before_the_request_is_out_and_gone_after_the_round(network, crowd, long):
    asker, _ = crowd
    network.ask(asker, long(encrypted=True))
    [blob] = asker.tables["attached"].values()
    [shared] = network.blobs.values()
    assert blob == shared
    assert b"Take" not in b"".join(asker.tables["round"].values())
    network.run_for(300_000)
    assert not asker.tables["attached"]
    assert {host.identity.node_id for host, _ in network.dropped} == {
        host.identity.node_id for host in network.hosts
    }
    assert all(not host.node.rounds() for host in network.hosts)


def test_a_withdrawn_round_stops_every_fetch(network, crowd, long):
    asker, workers = crowd
    network.serves = False
    network.ask(asker, long())
    network.settle()
    network.give(asker, Cancelled("a"))
    network.settle()
    assert [host for host, _ in network.dropped] == [asker, *workers]
    [_, first] = network.fetches[0]
    for happened in (BlobFetched(first.request_id, LONG.encode()), BlobMissing(first.request_id)):
        network.give(workers[0], happened)
    assert not [report for report in workers[0].reports if getattr(report, "step", "") == "running"]


def test_a_member_whose_slots_are_taken_meanwhile_declines(network, crowd, long, question):
    asker, workers = crowd
    network.serves = False
    network.ask(asker, long(seats=1, quorum=1, members=(workers[0].identity.node_id,)))
    network.settle()
    workers[0].answer = lambda _: None
    for number in range(4):
        one = question(seats=1, quorum=1, members=(workers[0].identity.node_id,))
        network.ask(asker, one, f"b{number}")
    network.settle()
    [(_, run)] = network.fetches
    network.give(workers[0], BlobFetched(run.request_id, network.blobs[run.attachment.sha256]))
    assert workers[0].reported(WorkProgress)[-1].detail == "busy"


def test_what_no_model_here_could_read_is_declined_before_it_is_fetched(network, crowd, long):
    asker, _ = crowd
    network.ask(asker, long(prompt="x " * 300_000))
    network.run_for(30_000)
    declined = [report.detail for report in asker.reported(MemberProgress) if report.step == "declined"]
    assert (declined, network.fetches) == (["context_length_exceeded"] * 5, [])


def test_nobody_fetches_for_a_round_it_does_not_join(network, crowd, attached_request):
    """A stranger's request costs a fetch only at its members, only so many at a time."""
    _, workers = crowd
    network.serves = False
    attachment = attachment_of(blob_of(words("x"), None))
    for number in range(3 * ATTACHED_ROUNDS_MAX):
        key = KeyPair.from_seed(b"asker-%d" % (number // (2 * ATTACHED_ROUNDS_PER_REQUESTER_MAX)))
        request = attached_request(workers[0], attachment, number)
        wire = make_packet(key, TOPIC, request, network.now).wire
        for worker in workers:
            network.give(worker, PacketReceived(wire, "test"))
    assert {host.identity.node_id for host, _ in network.fetches} == {workers[0].identity.node_id}
    assert len(network.fetches) == ATTACHED_ROUNDS_MAX
    by = {}
    for _, run in network.fetches:
        by[run.requester] = by.get(run.requester, 0) + 1
    assert set(by.values()) == {ATTACHED_ROUNDS_PER_REQUESTER_MAX}


@pytest.mark.parametrize(
    "blob",
    [
        b"{}",
        b"not JSON",
        b'{"messages":[]}',
        b'{"messages":"x"}',
        b'{"messages":[{"role":"user","content":"x"}]}',
        b'{"messages":[{"content":"x","role":"robot"}]}',
        b'{"messages": [{"content":"x","role":"user"}]}',
        b'{"messages":[{"content":"\xff","role":"user"}]}',
        codec.encode(AttachedQuestion(words("x" * (ATTACHED_PROMPT_BYTES_MAX + 1)))),
        codec.encode(AttachedQuestion(words("x"))) + b"\n",
    ],
)
def test_a_blob_that_holds_no_question_makes_the_request_impossible(network, crowd, attached_request, blob):
    _, workers = crowd
    attachment = attachment_of(blob)
    network.blobs[attachment.sha256] = blob
    wire = make_packet(STRANGER, TOPIC, attached_request(workers[0], attachment), network.now).wire
    network.give(workers[0], PacketReceived(wire, "test"))
    network.settle()
    why = "question_missing" if len(blob) < 1_000 else "context_length_exceeded"
    assert workers[0].reported(WorkProgress)[-1].detail == why
    assert "standing" not in workers[0].tables


@pytest.mark.parametrize(("bytes_before", "is_attached"), [(0, False), (1, True)])
def test_a_prompt_is_attached_from_the_first_byte_on_that_is_too_much(
    network, crowd, long, bytes_before, is_attached
):
    asker, _ = crowd
    network.ask(asker, long(prompt="x" * (PROMPT_BYTES_MAX + bytes_before)))
    assert bool(network.blobs) is is_attached


def test_the_largest_prompt_travels_and_a_larger_one_is_refused_with_the_limit(network, crowd, long):
    asker, _ = crowd
    network.ask(asker, long(prompt="x " * (ATTACHED_PROMPT_BYTES_MAX // 2), encrypted=True))
    assert not asker.reported(AskRefused)
    network.ask(asker, long(prompt="x" * (ATTACHED_PROMPT_BYTES_MAX + 1)), "b")
    network.ask(asker, long(prompt="\x00" * (ATTACHED_PROMPT_BYTES_MAX // 2)), "c")
    refused = asker.reported(AskRefused)
    assert [report.code for report in refused] == ["prompt_too_large"] * 2
    assert str(ATTACHED_PROMPT_BYTES_MAX) in refused[0].reason
    assert str(ATTACHED_BYTES_MAX) in refused[1].reason


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_certificate_holds_with_its_attached_question_only(network, crowd, long, encrypted):
    asker, _ = crowd
    network.ask(asker, long(encrypted=encrypted))
    network.run_for(10_000)
    [ready] = asker.reported(CertificateReady)
    sheet = json.loads(ready.certificate)
    other = blob_of(words(LONG + "!"), bytes.fromhex(sheet["round_key"]) if encrypted else None).decode()
    without = {name: value for name, value in sheet.items() if name != "attached"}
    for changed, fault in (
        (without, Fault.ATTACHMENT_WRONG),
        ({**sheet, "attached": other}, Fault.ATTACHMENT_WRONG),
        ({**sheet, "attached": sheet["attached"][:-1]}, Fault.ATTACHMENT_WRONG),
        ({**sheet, "attached": ""}, Fault.SHAPE),
        ({**sheet, "attached": None}, Fault.SHAPE),
    ):
        with pytest.raises(CertificateError) as refused:
            verify(codec.encode(changed), embed)
        assert refused.value.fault is fault


def test_a_question_beside_a_round_that_has_none_attached_is_no_certificate(network, crowd, question):
    asker, _ = crowd
    network.ask(asker, question())
    network.run_for(10_000)
    [ready] = asker.reported(CertificateReady)
    with pytest.raises(CertificateError) as refused:
        verify(codec.encode({**json.loads(ready.certificate), "attached": "x"}), embed)
    assert refused.value.fault is Fault.SHAPE


def test_what_is_shown_of_a_round_has_its_question(network, crowd, long):
    asker, _ = crowd
    network.ask(asker, long(encrypted=True))
    network.settle()
    [view] = asker.node.rounds()
    shown = json.loads(asker.node.disclosed(view.request_id)[0].content)
    assert shown["messages"] == [{"content": LONG, "role": "user"}]


def test_shared_bytes_are_those_that_are_named(network, crowd, long):
    asker, _ = crowd
    runs = []
    usual = network._run
    network._run = lambda host, run: runs.append(run) or usual(host, run)
    network.ask(asker, long())
    [shared] = [run for run in runs if isinstance(run, ShareBlob)]
    assert shared.attachment.sha256 == sha256(shared.data).hex()
    assert not [run for run in runs if isinstance(run, StartInference)]
