"""What a node keeps so as not to look at every round is what a look at every round finds."""

from __future__ import annotations

import random

import pytest

from dicast.base.types import RequestId
from dicast.protocol.errand import Phase
from dicast.protocol.inputs import (
    Asked,
    Cancelled,
    InferenceFailed,
    InferenceFinished,
    InferenceProgressed,
    LinksSeen,
    PlaceGiven,
    TimeReached,
)
from dicast.protocol.outputs import StartInference
from dicast.protocol.peer_book import PROBE_MS
from dicast.protocol.places import Place
from dicast.protocol.seat import Phase as SeatPhase
from dicast.protocol.speaker import BEAT_MS, CHUNK_MS, CHUNKS_A_SECOND
from dicast.protocol.validator import Stage

STEPS = 250
BUSY = {SeatPhase.RUNNING, SeatPhase.EMBEDDING}
PLACES = [Place("nostr", f"wss://relay-{number}.example") for number in range(5)]


def speaking_due(speaker):
    voices = [one for one in speaker._voices.values() if one.is_on and not one.is_whole]
    pause_ms = max(CHUNK_MS, 1_000 * len(voices) // CHUNKS_A_SECOND)
    for voice in voices:
        waits = len(voice.text) > voice.said
        yield voice.said_ms + ((pause_ms if voice.sequence else 0) if waits else BEAT_MS)


def scanned(node):
    """The earliest of each part, by looking at everything."""
    table = node._table
    due = {
        "place": (one.tried_ms + PROBE_MS for one in node.places() if one.is_probed),
        "round": (one.due_ms for one in errands_of(node).values() if one.phase is not Phase.OVER),
        "slot": (one.until_ms for one in table._worker.slots._waiting.values()),
        "want": (one.want_ms for one in table._validator._open.values() if one.stage is Stage.GATHERING),
        "speaker": speaking_due(table._streams.speaker),
        "listener": (one.due_ms for one in table._streams._listener._hearings.values()),
        "expiry": (one.expires_ms for one in table._rounds.values()),
    }
    return {part: earliest(times) for part, times in due.items()}


def kept(node):
    """The earliest of each part, as the parts know it."""
    table = node._table
    return {
        "place": node._acquaintance.book.deadline_ms,
        "round": table._requester.deadline_ms,
        "slot": table._worker.slots.deadline_ms,
        "want": table._validator.deadline_ms,
        "speaker": table._streams.speaker.deadline_ms,
        "listener": table._streams._listener.deadline_ms,
        "expiry": table._open.deadline_ms,
    }


def earliest(times):
    return min((at_ms for at_ms in times if at_ms is not None), default=None)


def errands_of(node):
    return node._table._requester._errands._errands


def check(node):
    table = node._table
    assert kept(node) == scanned(node)
    others = (node._announcer, node._context.directory, node._context.repeats, node._acquaintance)
    parts = (*(one.deadline_ms for one in others), *kept(node).values())
    assert (node.deadline and node.deadline.at_ms) == earliest(parts)
    assert node.load == sum(seat.phase in BUSY for seat in table._worker._seats.values())
    rounds = table._rounds
    foreign = {name for name, one in rounds.items() if one.requester != node.node_id}
    over = {name for name, one in rounds.items() if table._is_over(one)}
    unfinished = {name for name in foreign if rounds[name].close is None and not rounds[name].withdrawn}
    known = table._open
    assert (known._all.rounds, set(known._all.lingering)) == (set(rounds), over)
    assert (known._foreign.rounds, set(known._foreign.lingering)) == (foreign, over & foreign)
    assert {name for names in known._unfinished.values() for name in names} == unfinished
    for one in errands_of(node).values():
        is_open = [name for name, other in errands_of(node).items() if other.ask_id == one.ask_id]
        is_open = [name for name in is_open if errands_of(node)[name].phase is not Phase.OVER]
        assert table._requester.round_of(one.ask_id) == next(iter(is_open), None)


class Play:
    """A few nodes, and chance that decides what happens to them next."""

    def __init__(self, network, question, seed):
        self.chance = random.Random(seed)
        self.network = network
        self.question = question
        self.jobs = []
        for roles in ((), None, None, None, None):
            network.add(*(() if roles is None else (roles,)))
        for host in network.hosts:
            host.answer = lambda job, host=host: self._work(host, job)
        network.settle()

    def _work(self, host, job: StartInference):
        if self.chance.random() < 0.5:
            return "The capital of France is Paris."
        self.jobs.append((host, job))
        return None

    def step(self):
        pick = self.chance.choice
        action = pick((self.ask, self.cancel, self.engine, self.engine, self.tick, self.flow, self.flow))
        (pick((self.restart, self.links, self.links)) if self.chance.random() < 0.1 else action)()

    def give(self, host, happened):
        self.network.give(host, happened)
        check(host.node)

    def ask(self):
        host = self.chance.choice(self.network.hosts)
        seats = self.chance.choice((1, 3))
        own = seats == 1 and host.settings.roles and self.chance.random() < 0.5
        changes = {"members": (host.node.node_id,)} if own else {}
        question = self.question(
            seats=seats,
            quorum=seats,
            attempts=self.chance.choice((1, 2)),
            stream=self.chance.random() < 0.5,
            encrypted=self.chance.random() < 0.3,
            deadline_ms=self.chance.choice((1_000, 20_000)),
            **changes,
        )
        self.give(host, Asked(f"ask {self.chance.randrange(8)}", question))

    def cancel(self):
        self.give(self.chance.choice(self.network.hosts), Cancelled(f"ask {self.chance.randrange(8)}"))

    def engine(self):
        if not self.jobs:
            return
        host, job = self.chance.choice(self.jobs)
        name = job.request_id
        done = InferenceFinished(request_id=name, text="Paris it is.", model=job.model, engine="fake")
        self.give(
            host,
            self.chance.choice(
                (InferenceProgressed(name, "Paris "), InferenceFailed(name, "engine_failed"), done)
            ),
        )

    def tick(self):
        self.network.now_ms += self.chance.choice((10, 60, 400, 3_000, 30_000))
        for host in self.network.hosts:
            self.give(host, TimeReached())

    def flow(self):
        """Some of what is on its way arrives, in any order; some gets lost."""
        queue = self.network.queue
        for _ in range(min(len(queue), self.chance.randrange(60))):
            queue.rotate(self.chance.randrange(len(queue)))
            host, happened = queue.popleft()
            if self.chance.random() < 0.8:
                self.give(host, happened)

    def restart(self):
        host = self.chance.choice(self.network.hosts)
        self.network.restart(host)
        check(host.node)

    def links(self):
        host = self.chance.choice(self.network.hosts)
        self.give(host, PlaceGiven(self.chance.choice(PLACES)))
        some = tuple(sorted(self.chance.sample(PLACES, self.chance.randrange(3))))
        self.give(host, LinksSeen(dialling=("nostr",), links=some, finders=("dht",)))


@pytest.mark.parametrize("seed", range(12))
def test_after_any_input_what_is_kept_is_what_a_scan_finds(network, question, seed):
    play = Play(network, question, seed)
    for _ in range(STEPS):
        play.step()
    assert any(RequestId(name) for host in network.hosts for name in errands_of(host.node))
