"""What the deciding part of a node costs a question: `Node.handle` and the deadline after it, nothing around.

Run `python benchmarks/core.py [--rounds N] [--parts]`. CPU time of one thread for whole rounds of every node
that takes part, the best of several runs; "bare" is what their signatures and checks alone cost in the same
run, "beyond" is the rest. Engines and embedders answer at once and cost nothing; every packet is
heard by everybody. "Open" rounds are others that stay open meanwhile on every node.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator
from contextlib import contextmanager

import msgspec

from dicast.base import crypto
from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.base.types import NodeId, Now
from dicast.consensus.frame import PRESETS, Frame
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.inputs import (
    Asked,
    Embedded,
    InferenceFinished,
    Input,
    ModelsChanged,
    PacketReceived,
    Question,
    TimeReached,
)
from dicast.protocol.messages import Message, OfferedModel, Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import Batch, CertificateReady, StartEmbedding, StartInference
from dicast.protocol.settings import Identity, NodeSettings

OPEN = (1, 32, 200)
STRANGER_ROUNDS_MAX = 100
"""Open rounds of strangers at a member: beyond 128 it takes no more."""
BEYOND_MS_MAX = 1.2
"""Wanted of each node that takes part in a plain question to one, however many rounds are open."""
REPEATS = 5
UNIX_MS = 1_790_000_000_000
HOLD = "A question that nobody answers"
MODEL = OfferedModel(name="fake-1", engine="fake", context_tokens=4096)
EMBEDDER = MemoryEmbedder()
FEW = PRESETS["default"].frame
ALONE = Frame(quorum=1, sec_percentage_bp=10_000, sec_distance_bits={}, gates=())
THREE = msgspec.structs.replace(
    FEW, quorum=3, sec_percentage_bp=6_600, sec_distance_bits={EMBEDDER.name: 100}, faults=0
)


class Case(msgspec.Struct, frozen=True):
    """A kind of round: its members, and whether the asker is the only one."""

    title: str
    frame: Frame
    members: int
    is_own: bool = False
    encrypted: bool = False


CASES = (
    Case("asked and answered by one node", ALONE, 1, is_own=True),
    Case("the same, encrypted", ALONE, 1, is_own=True, encrypted=True),
    Case("asked of one other node", ALONE, 1),
    Case("the same, encrypted", ALONE, 1, encrypted=True),
    Case("asked of three, embedded", THREE, 3),
    Case("the same, encrypted", THREE, 3, encrypted=True),
)


def main() -> int:
    """Print the table; 1 when the wanted is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--parts", action="store_true", help="where the time goes, at the most open rounds")
    given = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, one used; {given.rounds} rounds, the best of {REPEATS} runs; ms a round\n"
    )
    print(f"{'':34}{'bare':>8}" + "".join(f"{f'beyond, {count} open':>18}" for count in OPEN))
    slowest = 0.0
    for case in CASES:
        beyond: list[float] = []
        bare = 0.0
        for count in OPEN:
            runs = [measured(case, count, given.rounds) for _ in range(REPEATS)]
            bare = min(run[1] for run in runs)
            beyond.append(min(run[0] for run in runs) - bare)
        print(f"{case.title:34}{bare:8.2f}" + "".join(f"{one:18.2f}" for one in beyond), flush=True)
        if case.members == 1 and not case.encrypted:
            slowest = max(slowest, max(beyond) / (2 - case.is_own))
    if given.parts:
        for case in CASES:
            show_parts(case, given.rounds)
    is_met = slowest <= BEYOND_MS_MAX
    print(f"\nplain questions to one node cost each node at most {BEYOND_MS_MAX} ms beyond:", is_met)
    return 0 if is_met else 1


def measured(case: Case, count: int, rounds: int) -> tuple[float, float]:
    """Milliseconds a round in all, and of bare cryptography."""
    world = World(case, count)
    world.ask(5)
    used: Counter[str] = Counter()
    with counted(used):
        world.ask(5)
    world.spent_s = 0.0
    world.ask(rounds)
    prices = bare_prices()
    bare = sum(prices[name] * times / 5 for name, times in used.items())
    return world.spent_s * 1000 / rounds, bare * 1000


def show_parts(case: Case, rounds: int) -> None:
    """cProfile's own view, which makes small functions look dearer than they are."""
    world = World(case, OPEN[-1])
    world.ask(5)
    profile = cProfile.Profile()
    profile.enable()
    world.ask(rounds)
    profile.disable()
    print(f"\n{case.title}, {OPEN[-1]} open")
    pstats.Stats(profile).sort_stats("tottime").print_stats(25)


@contextmanager
def counted(used: Counter[str]) -> Generator[None]:
    """Count signatures and checks."""
    profile = cProfile.Profile()
    profile.enable()
    yield
    profile.disable()
    for (file, _, function), (_, calls, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if file.endswith("base/crypto.py") and function in ("sign", "verify"):
            used[function] += calls


def bare_prices() -> dict[str, float]:
    """Seconds of processor time of one signature and of one check."""
    key, digest = KeyPair.from_seed(b"price"), sha256(b"digest")
    signature = key.sign(digest)
    return {
        "sign": price(lambda: key.sign(digest)),
        "verify": price(lambda: crypto.verify(key.node_id, digest, signature)),
    }


def price(work: Callable[[], object]) -> float:
    """Seconds of processor time a call, the best of a few hundreds."""
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(60):
            work()
        best = min(best, (time.process_time() - start) / 60)
    return best


class World:
    """The nodes of a case, joined without loss; counts the time inside of them."""

    def __init__(self, case: Case, count: int) -> None:
        self._case = case
        self._now_ms = 1_000
        self._asked = 0
        self._queue: deque[tuple[Node, Input]] = deque()
        self._certified = 0
        self.spent_s = 0.0
        self._nodes = [made(number) for number in range(case.members + (not case.is_own))]
        for node in self._nodes:
            self._perform(node, node.start(self._now()))
            self._give(node, ModelsChanged((MODEL,)))
        self._settle()
        self._hold(count)

    def ask(self, rounds: int) -> None:
        """So many rounds, one after the other, ten milliseconds apart."""
        for _ in range(rounds):
            before = self._certified
            self._now_ms += 10
            self._give(self._nodes[0], Asked(self._next(), self._question(f"What is {self._asked}?")))
            self._settle()
            assert self._certified == before + 1, "a round did not end"

    def _hold(self, count: int) -> None:
        asker, stranger = self._nodes[0], NodeId(KeyPair.from_seed(b"nobody").node_id)
        to = asker.node_id if self._case.is_own else stranger
        for _ in range(count):
            question = Question(messages=(Message("user", HOLD),), frame=ALONE, seats=1, members=(to,))
            self._give(asker, Asked(self._next(), question))
        self._settle()
        for member in () if self._case.is_own else self._nodes[1:]:
            for number in range(min(count, STRANGER_ROUNDS_MAX)):
                for wire in asked_by_stranger(number, member.node_id, self._now()):
                    self._give(member, PacketReceived(wire, "bench"))
        self._settle()

    def _question(self, text: str) -> Question:
        case = self._case
        first = 0 if case.is_own else 1
        members = tuple(node.node_id for node in self._nodes[first : first + case.members])
        return Question(
            messages=(Message("user", text),),
            frame=case.frame,
            seats=case.members,
            members=members,
            encrypted=case.encrypted,
        )

    def _next(self) -> str:
        self._asked += 1
        return f"ask {self._asked}"

    def _now(self) -> Now:
        return Now(self._now_ms, UNIX_MS + self._now_ms)

    def _settle(self) -> None:
        """Until nothing is in flight; deadlines that have come first, as a driver does it."""
        while self._queue:
            self._give(*self._queue.popleft())

    def _give(self, node: Node, happened: Input) -> None:
        now = self._now()
        start = time.process_time()
        batch = node.handle(happened, now)
        deadline = node.deadline
        self.spent_s += time.process_time() - start
        if deadline is not None and deadline.at_ms <= self._now_ms:
            self._queue.appendleft((node, TimeReached()))
        self._perform(node, batch)

    def _perform(self, node: Node, batch: Batch) -> None:
        for send in batch.sends:
            self._queue.extend(
                (other, PacketReceived(send.wire, "bench")) for other in self._nodes if other is not node
            )
        for run in batch.runs:
            match run:
                case StartInference() if run.messages[-1].content != HOLD:
                    done = InferenceFinished(
                        request_id=run.request_id, text="It is a number.", model=run.model, engine="fake"
                    )
                    self._queue.append((node, done))
                case StartEmbedding(job_id, name, texts):
                    bits = tuple(one.hex() for one in EMBEDDER.embed(texts))
                    self._queue.append((node, Embedded(job_id, name, bits)))
                case _:
                    pass
        self._certified += sum(isinstance(report, CertificateReady) for report in batch.reports)


def made(number: int) -> Node:
    """A node that works and signs."""
    identity = Identity(KeyPair.from_seed(b"core %d" % number), sha256(b"core secret %d" % number))
    roles = (Role.WORKER, Role.VALIDATOR)
    return Node(identity, NodeSettings(roles=roles, embedders=(EMBEDDER.name,), slots=512, software="bench"))


def asked_by_stranger(number: int, member: NodeId, now: Now) -> list[bytes]:
    """The request of some other node to a member."""
    asker = made(1_000 + number)
    question = Question(messages=(Message("user", HOLD),), frame=ALONE, seats=1, members=(member,))
    asker.start(now)
    return [send.wire for send in asker.handle(Asked("ask", question), now).sends]


if __name__ == "__main__":
    sys.exit(main())
