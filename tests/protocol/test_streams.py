"""Token streams: the requester reads along, nobody else does, and no verdict depends on it."""

from __future__ import annotations

import json

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.limits import REVEAL_BYTES_MAX
from dicast.base.nip44 import conversation_key
from dicast.base.types import EventId, RequestId
from dicast.protocol.envelope import PacketReader, parse_packet, sign_packet, tags_for
from dicast.protocol.inputs import InferenceFailed, InferenceFinished, InferenceProgressed, PacketReceived
from dicast.protocol.messages import KINDS, Kind, Refusal
from dicast.protocol.outputs import (
    CertificateReady,
    PacketRefused,
    Penalised,
    RoundDecided,
    StartInference,
    StreamRestarted,
    Token,
)
from dicast.protocol.speaker import BEAT_MS, CHUNK_MS
from dicast.protocol.stream_seal import (
    PIECE_CHARS_MAX,
    Line,
    StreamFrom,
    StreamText,
    opened_text,
    sealed_text,
    sealed_wish,
)

READER = PacketReader()
ANSWER = "The capital of France is Paris."


class Scene:
    """A question that is streamed, and engines whose pieces come when a test says so."""

    def __init__(self, network, question, **changes):
        self.network = network
        self.asker = network.add(roles=())
        self.workers = [network.add() for _ in range(5)]
        self.jobs = {}
        for worker in self.workers:
            worker.answer = self._keep(worker)
        network.run_for(1_000)
        network.wires.clear()
        network.ask(self.asker, question(stream=True, **changes))
        network.settle()
        [self.request] = [READER.body(parse_packet(wire)) for wire in network.sent(Kind.REQUEST)]
        self.request_id = next(iter(self.jobs.values())).request_id

    def _keep(self, worker):
        def start(job):
            self.jobs[worker.identity.node_id] = job

        return start

    def host(self, node_id):
        return next(one for one in self.workers if one.identity.node_id == node_id)

    @property
    def streamer(self):
        return self.host(self.request.streamer)

    def others(self):
        return [one for one in self.workers if one is not self.streamer]

    def piece(self, host, text, wait_ms=CHUNK_MS):
        self.network.give(host, InferenceProgressed(self.request_id, text))
        self.network.run_for(wait_ms)

    def finish(self, host, text=ANSWER):
        done = InferenceFinished(request_id=self.request_id, text=text, model="fake-1", engine="fake")
        self.network.give(host, done)
        self.network.settle()

    def finish_all(self, text=ANSWER):
        for worker in self.workers:
            if worker.alive:
                self.finish(worker, text)
        self.network.run_for(30_000)

    def heard(self):
        """What a caller who follows the events would have on the screen at the end."""
        text = ""
        for report in self.asker.reports:
            if isinstance(report, StreamRestarted):
                text = ""
            elif isinstance(report, Token):
                assert report.offset == len(text)
                text += report.text
        return text

    def verdict(self):
        [decided] = self.asker.reported(RoundDecided)
        return decided.verdict


@pytest.fixture
def scene(network, question):
    return lambda **changes: Scene(network, question, **changes)


def test_the_text_flows_while_it_is_made_and_the_verdict_follows(scene):
    here = scene()
    here.piece(here.streamer, "The capital")
    assert here.heard() == "The capital"
    here.piece(here.streamer, " of France is ")
    assert here.heard() == "The capital of France is"
    here.piece(here.streamer, "Paris.\n")
    assert here.heard() == ANSWER
    here.finish_all(ANSWER + "\n")
    assert here.heard() == here.verdict().answer == ANSWER
    assert here.asker.reported(StreamRestarted) == []


def test_the_first_piece_does_not_wait_and_the_next_ones_come_together(scene):
    here = scene()
    for word in ("one", " two", " three", " four"):
        here.piece(here.streamer, word, wait_ms=0)
    assert here.heard() == "one"
    here.network.run_for(CHUNK_MS)
    assert [report.text for report in here.asker.reported(Token)] == ["one", " two three four"]


def test_only_one_member_streams_and_only_when_it_is_asked_for(network, question, scene):
    here = scene()
    for worker in here.workers:
        here.piece(worker, "The capital", wait_ms=2_000)
    assert {parse_packet(wire).author for wire in network.sent(Kind.STREAM)} == {here.request.streamer}
    assert network.sent(Kind.CONTINUE) == []
    here.finish_all()
    network.wires.clear()
    for worker in here.workers:
        worker.answer = lambda job: None if job.stream else ANSWER
    network.ask(here.asker, question(), "b")
    network.run_for(10_000)
    assert (network.sent(Kind.STREAM), len(here.asker.reported(CertificateReady))) == ([], 2)


@pytest.mark.parametrize("admission", ["open", "drawn"])
def test_only_listed_rounds_stream(network, question, publish, prove, admission):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(6)]
    jobs = []
    for worker in workers:
        worker.answer = jobs.append
    network.run_for(1_000)
    prove(asker, 2)
    publish(1)
    network.ask(asker, question(seats=8, quorum=5, stream=True, admission=admission))
    network.run_for(2_000)
    publish(2)
    network.run_for(1_000)
    assert {(type(job), job.stream) for job in jobs} == {(StartInference, False)}


def test_a_node_that_asks_itself_streams_without_a_packet(network, question):
    own = network.add()
    jobs = []
    own.answer = jobs.append
    network.ask(own, question(seats=1, quorum=1, stream=True, members=(own.identity.node_id,)))
    network.give(own, InferenceProgressed(jobs[0].request_id, "Paris"))
    network.run_for(2_000)
    assert ([one.text for one in own.reported(Token)], network.sent(Kind.STREAM)) == (["Paris"], [])


def test_the_most_trusted_streams(network, question, prove):
    """Standing first; of equals the one that was faster before."""
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    prove(asker, 8)
    quick = workers[3]
    slow_jobs = []
    for worker in workers:
        if worker is not quick:
            worker.answer = slow_jobs.append
    network.ask(asker, question())
    network.run_for(500)
    for worker in workers:
        if worker is not quick:
            done = InferenceFinished(
                request_id=slow_jobs[0].request_id, text=ANSWER, model="fake-1", engine="fake"
            )
            network.give(worker, done)
    network.run_for(5_000)
    network.wires.clear()
    network.ask(asker, question(stream=True), "b")
    [request] = [READER.body(parse_packet(wire)) for wire in network.sent(Kind.REQUEST)]
    assert request.streamer == quick.identity.node_id


def test_theorem_11_13_another_goes_on_within_two_seconds_and_nothing_is_repeated_or_missing(scene):
    here = scene()
    here.piece(here.streamer, "The capital of")
    for other in here.others():
        here.piece(other, "The capital of France is", wait_ms=0)
    here.streamer.alive = False
    here.network.run_for(2_000)
    assert here.heard() == "The capital of France is"
    [first, second] = here.asker.reported(Token)
    assert first.member != second.member
    assert (second.offset, second.text) == (len("The capital of"), " France is")
    here.finish_all()
    assert (here.heard(), here.asker.reported(StreamRestarted)) == (ANSWER, [])
    assert here.verdict().answer == ANSWER


def test_one_that_says_something_else_is_told_from_its_beginning(scene):
    here = scene()
    here.piece(here.streamer, "The capital of")
    for other in here.others():
        here.piece(other, "It is Paris", wait_ms=0)
    here.streamer.alive = False
    here.network.run_for(2_000)
    assert len(here.asker.reported(StreamRestarted)) == 1
    assert here.heard() == "It is Paris"


def test_one_that_gives_up_is_replaced_at_once(scene):
    here = scene()
    here.piece(here.streamer, "The capital of")
    for other in here.others():
        here.piece(other, "The capital of France", wait_ms=0)
    here.network.give(here.streamer, InferenceFailed(here.request_id, "engine_failed"))
    here.network.run_for(CHUNK_MS)
    assert here.heard() == "The capital of France"


def test_one_that_thinks_for_long_is_not_replaced(scene):
    here = scene()
    here.network.run_for(8_000)
    assert here.network.sent(Kind.CONTINUE) == []
    chunks = len(here.network.sent(Kind.STREAM))
    assert 8_000 // BEAT_MS - 2 <= chunks <= 8_000 // BEAT_MS + 1


def test_when_everybody_is_silent_the_round_goes_on(scene):
    here = scene()
    for worker in here.workers:
        worker.alive = False
    here.network.run_for(60_000)
    assert here.verdict().reason.value == "quorum_not_reached"
    assert len(here.network.sent(Kind.CONTINUE)) == 4


def test_what_gets_lost_is_asked_for(scene):
    here = scene()
    here.piece(here.streamer, "The")
    here.network.drop = lambda host, wire: host is here.asker and parse_packet(wire).kind is Kind.STREAM
    here.piece(here.streamer, " capital")
    here.network.drop = lambda host, wire: False
    here.piece(here.streamer, " of France", wait_ms=300)
    assert here.heard() == "The capital of France"
    assert len(here.network.sent(Kind.CONTINUE)) == 1
    here.network.drop = lambda host, wire: host is here.asker and parse_packet(wire).kind is Kind.STREAM
    here.finish(here.streamer)
    here.network.drop = lambda host, wire: False
    here.network.run_for(1_500)
    assert here.heard() == ANSWER


def test_a_restarted_member_goes_on(scene):
    here = scene()
    here.piece(here.streamer, "The capital")
    streamer = here.streamer
    here.network.restart(streamer)
    here.network.settle()
    here.piece(streamer, "The capital of", wait_ms=200)
    assert (here.heard(), here.asker.reported(StreamRestarted)) == ("The capital of", [])


def test_a_liar_is_outvoted(scene):
    """Who streams one thing and commits to it is judged by its reveal like everybody."""
    here = scene()
    here.piece(here.streamer, "Lyon, of course, since it is the seat of bread.")
    here.finish(here.streamer, "Lyon, of course, since it is the seat of bread.")
    for other in here.others():
        here.finish(other)
    here.network.run_for(30_000)
    assert here.heard().startswith("Lyon")
    assert here.verdict().answer == ANSWER


def say(here, key, body, to):
    tags = tags_for(KINDS[type(body)], here.asker.node.topic, here.network.now, EventId(here.request_id), to)
    return sign_packet(key, body, tags, here.network.now).wire


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("stranger", Refusal.NOT_MEMBER),
        ("other line", Refusal.BODY),
        ("wish by a member", Refusal.NOT_REQUESTER),
    ],
)
def test_what_does_not_belong_to_the_stream_is_refused(scene, who, expected):
    here = scene()
    requester = here.asker.identity.key
    stranger, member = KeyPair.from_seed(b"stranger"), here.others()[0].identity.key
    host, author = here.asker, stranger if who == "stranger" else member
    line = Line(conversation_key(author, requester.node_id), RequestId(here.request_id), author.node_id)
    if who == "other line":
        line = Line(bytes(32), RequestId(here.request_id), author.node_id)
    body = sealed_text(line, StreamText(0, 0, "Berlin"))
    if who == "wish by a member":
        host = here.streamer
        body = sealed_wish(line, StreamFrom(0, 0))
    before = len(host.reports)
    here.network.give(host, PacketReceived(say(here, author, body, (host.identity.node_id,)), "test"))
    refused = [one for one in host.reports[before:] if isinstance(one, PacketRefused)]
    assert [one.reason for one in refused] == [expected.value]
    assert [one.node_id for one in host.reports[before:] if isinstance(one, Penalised)] == (
        [author.node_id] if expected is Refusal.BODY else []
    )
    assert here.heard() == ""


def test_one_whom_nobody_listens_to_is_passed_over(scene):
    here = scene()
    other = here.others()[0].identity.key
    line = Line(
        conversation_key(other, here.asker.identity.node_id), RequestId(here.request_id), other.node_id
    )
    wire = say(here, other, sealed_text(line, StreamText(0, 0, "Berlin")), (here.asker.identity.node_id,))
    here.network.give(here.asker, PacketReceived(wire, "test"))
    assert (here.heard(), here.asker.reported(PacketRefused)) == ("", [])


def test_streams_of_others_cost_no_check(scene):
    """Members of the round hear them on the same topic."""
    here = scene()
    other = here.others()[0]
    before = len(other.reports)
    here.piece(here.streamer, "The capital")
    assert [one.reason for one in other.reports[before:]] == ["foreign"]
    [wire] = here.network.sent(Kind.STREAM)
    forged = wire.replace(json.loads(wire)["sig"].encode(), b"0" * 128)
    here.network.give(other, PacketReceived(forged, "test"))
    assert other.reports[-1].reason == "foreign"


def test_after_the_quorum_nothing_provisional_is_told(scene):
    here = scene()
    for worker in here.workers:
        here.finish(worker)
    here.network.run_for(1_000)
    before = len(here.asker.reported(Token))
    key = here.streamer.identity.key
    line = Line(conversation_key(key, here.asker.identity.node_id), RequestId(here.request_id), key.node_id)
    chunk = StreamText(9, len(ANSWER), " And Rome.")
    wire = say(here, key, sealed_text(line, chunk), (here.asker.identity.node_id,))
    here.network.give(here.asker, PacketReceived(wire, "test"))
    assert len(here.asker.reported(Token)) == before
    assert here.asker.reported(PacketRefused)[-1].reason == Refusal.LATE.value


def test_a_flood_of_wishes_is_followed_within_bounds(scene):
    here = scene()
    text = "word " * 2_000
    here.piece(here.streamer, text, wait_ms=400)
    key, streamer = here.asker.identity.key, here.streamer
    line = Line(conversation_key(key, streamer.identity.node_id), RequestId(here.request_id), key.node_id)
    for number in range(400):
        wire = say(here, key, sealed_wish(line, StreamFrom(number, 0)), (streamer.identity.node_id,))
        here.network.give(streamer, PacketReceived(wire, "test"))
        here.network.run_for(20)
    theirs = Line(line.key, line.request_id, streamer.identity.node_id)
    said = [READER.body(parse_packet(wire)) for wire in here.network.sent(Kind.STREAM, streamer)]
    assert sum(len(opened_text(theirs, body).text) for body in said) <= 4 * REVEAL_BYTES_MAX + PIECE_CHARS_MAX


def test_theorem_11_12_a_stream_changes_no_verdict(network, question):
    """The same answers, streamed or not, end in the same verdict."""
    verdicts = []
    for stream in (False, True):
        here = type(network)()
        asker = here.add(roles=())
        workers = [here.add() for _ in range(5)]
        for worker in workers:
            worker.answer = lambda _: ANSWER
        here.run_for(1_000)
        here.ask(asker, question(stream=stream))
        here.run_for(10_000)
        [decided] = asker.reported(RoundDecided)
        verdict = decided.verdict
        verdicts.append((verdict.outcome, verdict.statuses, verdict.ball_size, verdict.answer))
    assert verdicts[0] == verdicts[1]
