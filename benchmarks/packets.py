"""How many packets a second one core takes in: strict decoding, re-encoding, deduplication, Schnorr.

Run `python benchmarks/packets.py`. CPU time of one thread; medians of several runs, with the spread from the
slowest to the fastest; "of bare" is the share of what bare signature checks reach in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence

from dicast.base.crypto import KeyPair
from dicast.base.events import is_signed, parse_event
from dicast.base.hashing import sha256
from dicast.base.types import EventId, NodeId, Now
from dicast.consensus.frame import PRESETS
from dicast.protocol.envelope import PacketReader, make_packet, topic_of
from dicast.protocol.inputs import Asked, PacketReceived, Question
from dicast.protocol.intake import Intake
from dicast.protocol.messages import (
    Announcement,
    Body,
    Commit,
    DeclineReason,
    Message,
    OfferedModel,
    Refusal,
    Role,
    WorkState,
    WorkStatus,
)
from dicast.protocol.node import Node
from dicast.protocol.settings import Identity, NodeSettings

PACKETS = 6_000
KEYS = [KeyPair.from_seed(b"packets-%d" % number) for number in range(300)]
TOPIC = topic_of("main")
NOW = Now(1_000, 1_790_000_000_000)
PREDECESSOR = EventId(sha256(b"request").hex())
VERIFIED_MIN = 12_000
DUPLICATES_MIN = 20
OFFER = OfferedModel(name="tiny-1", engine="tiny", context_tokens=512, quantization="q8")
COMMITTED = "commits, screened and decoded"
ANNOUNCED = "announcements into the directory"
HINTED = "hints into an open round"


def main() -> int:
    """Print the table; 1 when a headline is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    print(
        f"{os.cpu_count()} cores, one used; {PACKETS} packets of {len(KEYS)} keys;",
        f"medians of {repeats} runs\n",
    )
    workloads = {COMMITTED: screened, ANNOUNCED: announced, HINTED: hinted}
    wires = {name: make() for name, make in ((COMMITTED, commits), (ANNOUNCED, offers), (HINTED, hints))}
    bare: list[float] = []
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in workloads}
    for _ in range(repeats):
        bare.append(bare_checks(wires[COMMITTED]))
        for name, workload in workloads.items():
            found[name].append(workload(wires[name]))
    return report(bare, found)


def report(bare: Sequence[float], found: dict[str, list[tuple[float, float]]]) -> int:
    """The table, and whether every headline holds."""
    print(f"{'packets a second':34}{'first time':>30}{'of bare':>9}{'again':>32}{'cheaper':>9}")
    print(f"{'bare Schnorr checks':34}{spread(bare):>30}")
    missed = 0
    for name, pairs in found.items():
        first, again = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        share = statistics.median(one / base for one, base in zip(first, bare, strict=True))
        cheaper = statistics.median(two / one for one, two in pairs)
        print(f"{name:34}{spread(first):>30}{share:9.2f}{spread(again):>32}{cheaper:8.1f}x")
        missed += statistics.median(first) < VERIFIED_MIN or cheaper < DUPLICATES_MIN
    print(f"\nat least {VERIFIED_MIN:,} a second and duplicates {DUPLICATES_MIN}x cheaper:", not missed)
    return 1 if missed else 0


def spread(rates: Sequence[float]) -> str:
    """Median (slowest … fastest)."""
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f} … {max(rates):,.0f})"


def rate(work: Callable[[bytes], bool], wires: Sequence[bytes]) -> float:
    """Wires a second of CPU time; every one must come out as it should."""
    start = time.process_time()
    for wire in wires:
        if not work(wire):
            raise AssertionError(wire)
    return len(wires) / (time.process_time() - start)


def bare_checks(wires: Sequence[bytes]) -> float:
    """The baseline: Schnorr checks of events that are parsed already."""
    events = [parse_event(wire) for wire in wires]
    start = time.process_time()
    for event in events:
        assert is_signed(event)
    return len(events) / (time.process_time() - start)


def screened(wires: Sequence[bytes]) -> tuple[float, float]:
    """Screening, the signature and the strict body, without a node around them."""
    reader = PacketReader()
    intake = Intake(TOPIC, reader)

    def take_in(wire: bytes) -> bool:
        packet = intake.screen(wire, NOW)
        if isinstance(packet, Refusal) or intake.check_signature(packet, NOW) is not None:
            return False
        reader.body(packet)
        intake.remember(packet, NOW)
        return True

    return rate(take_in, wires), rate(lambda wire: intake.screen(wire, NOW) is Refusal.DUPLICATE, wires)


def announced(wires: Sequence[bytes]) -> tuple[float, float]:
    """Whole `Node.handle` of a node that learns whom it may ask."""
    return through(Node(IDENTITY, NodeSettings()), wires)


def hinted(wires: Sequence[bytes]) -> tuple[float, float]:
    """Whole `Node.handle` of a node that hears what members say about a round of its own."""
    return through(asking_node()[0], wires)


def through(node: Node, wires: Sequence[bytes]) -> tuple[float, float]:
    """First every wire once, then every wire again."""

    def is_heard(wire: bytes) -> bool:
        return not any(type(one).__name__ == "PacketRefused" for one in take(wire))

    def take(wire: bytes) -> tuple[object, ...]:
        return node.handle(PacketReceived(wire, "bench"), NOW).reports

    return rate(is_heard, wires), rate(lambda wire: len(take(wire)) == 1, wires)


IDENTITY = Identity(KeyPair.from_seed(b"packets"), sha256(b"packets"))


def asking_node() -> tuple[Node, EventId]:
    """A node with an open question, and the id of its request; the same every time."""
    node = Node(IDENTITY, NodeSettings())
    node.start(NOW)
    members = tuple(NodeId(key.node_id) for key in KEYS[:9])
    preset = PRESETS["default"]
    question = Question(
        messages=(Message("user", "?"),), frame=preset.frame, seats=preset.seats, members=members
    )
    node.handle(Asked("bench", question), NOW)
    return node, EventId(node.rounds()[0].request_id)


def signed(bodies: Sequence[Body], predecessor: EventId | None) -> list[bytes]:
    """One packet a body, the keys in turn."""
    return [
        make_packet(KEYS[number % len(KEYS)], TOPIC, body, NOW, predecessor).wire
        for number, body in enumerate(bodies)
    ]


def commits() -> list[bytes]:
    """Commits of a round."""
    return signed([Commit(1, digest(number)) for number in range(PACKETS)], PREDECESSOR)


def offers() -> list[bytes]:
    """Announcements, newest last, as they would come over half an hour."""
    made: list[bytes] = []
    rounds = PACKETS // len(KEYS)
    for turn in range(rounds):
        then = Now(NOW.monotonic_ms, NOW.unix_ms - (rounds - turn) * 1_000)
        body = Announcement(v=1, models=(OFFER,), roles=(Role.WORKER,), slots=4, load=turn)
        made.extend(make_packet(key, TOPIC, body, then).wire for key in KEYS)
    return made


def hints() -> list[bytes]:
    """Status messages about the round of `asking_node`: each is another packet."""
    _, request_id = asking_node()
    made: list[bytes] = []
    states = (
        WorkStatus(1, WorkState.ACCEPTED),
        *(WorkStatus(1, WorkState.DECLINED, one) for one in DeclineReason),
    )
    for number in range(PACKETS // len(KEYS)):
        then = Now(NOW.monotonic_ms, NOW.unix_ms - number * 1_000)
        made.extend(
            make_packet(key, TOPIC, states[number % len(states)], then, request_id).wire for key in KEYS
        )
    return made


def digest(number: int) -> str:
    """Some digest."""
    return sha256(b"%d" % number).hex()


if __name__ == "__main__":
    sys.exit(main())
