"""Everything a node keeps is bounded, and whoever fills a bound harms nobody but itself."""

from __future__ import annotations

import json

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.limits import OPEN_ROUNDS_MAX, PACKET_BYTES_MAX, PACKETS_PER_KEY_AND_SECOND
from dicast.base.types import EventId
from dicast.consensus.reasons import Outcome
from dicast.consensus.selection import selection_salt_hash
from dicast.protocol.envelope import PacketReader, make_packet, topic_of
from dicast.protocol.inputs import Asked, PacketReceived
from dicast.protocol.messages import Admission, Announcement, Commit, Request, WorkState, WorkStatus
from dicast.protocol.open_rounds import FOREIGN_ROUNDS_MAX, ROUNDS_PER_REQUESTER_MAX
from dicast.protocol.orphans import ORPHAN_BYTES_MAX
from dicast.protocol.outputs import AskRefused, Batch, PacketRefused, RoundDecided
from dicast.simulator.state import sizes

TOPIC = topic_of("main")
REMEMBERED = ("_seen", "chain._ours._entries", "_archive._slots")
STRANGER = KeyPair.from_seed(b"stranger")


@pytest.fixture
def requests(network, question):
    """Requests of strangers, each naming one worker."""

    def make(worker, count, keys=None):
        asked = question(seats=1, quorum=1, percentage_bp=10_000)
        for number in range(count):
            request = Request(
                v=1,
                messages=asked.messages,
                frame=asked.frame,
                admission=Admission.LISTED,
                seats=1,
                max_tokens=16,
                temperature_milli=0,
                selection_salt_hash=selection_salt_hash("00" * 32),
                sequence=number,
                attempt=1,
                members=(worker.identity.node_id,),
            )
            key = KeyPair.from_seed(b"asker-%d" % (number % (keys or count)))
            yield make_packet(key, TOPIC, request, network.now).wire

    return make


def refusals_of(batch):
    return [report.reason for report in batch.reports if isinstance(report, PacketRefused)]


def test_strangers_that_fill_the_table_of_rounds_do_not_keep_us_from_asking(network, question, requests):
    asker = network.add()
    for _ in range(4):
        network.add()
    network.run_for(1_000)
    wires = list(requests(asker, FOREIGN_ROUNDS_MAX + 1))
    batches = [asker.node.handle(PacketReceived(wire, "test"), network.now) for wire in wires]
    assert [refusals_of(batch) for batch in batches] == [[]] * FOREIGN_ROUNDS_MAX + [["full"]]
    assert len(asker.node.rounds()) == FOREIGN_ROUNDS_MAX
    network.ask(asker, question(quorum=4))
    network.run_for(30_000)
    [decided] = asker.reported(RoundDecided)
    assert decided.verdict.outcome is Outcome.ACCEPTED


def test_questions_of_our_own_leave_strangers_their_rounds(network, question, requests):
    asker = network.add()
    for _ in range(4):
        network.add()
    network.run_for(1_000)
    most = OPEN_ROUNDS_MAX - FOREIGN_ROUNDS_MAX
    for number in range(most):
        asker.node.handle(Asked(f"ask {number}", question(quorum=4)), network.now)
    wires = list(requests(asker, FOREIGN_ROUNDS_MAX + 1))
    batches = [asker.node.handle(PacketReceived(wire, "test"), network.now) for wire in wires]
    assert [refusals_of(batch) for batch in batches] == [[]] * FOREIGN_ROUNDS_MAX + [["full"]]
    refused = asker.node.handle(Asked("one more", question(quorum=4)), network.now)
    assert [one.code for one in refused.reports if isinstance(one, AskRefused)] == ["too_many_rounds"]


def test_one_requester_takes_no_more_than_its_share_of_a_node(network, requests):
    worker = network.add()
    network.run_for(1_000)
    greedy = requests(worker, ROUNDS_PER_REQUESTER_MAX + 1, keys=1)
    batches = [worker.node.handle(PacketReceived(wire, "test"), network.now) for wire in greedy]
    assert [refusals_of(batch) for batch in batches] == [[]] * ROUNDS_PER_REQUESTER_MAX + [["full"]]
    modest = list(requests(worker, 3, keys=3))[1:]
    assert [
        refusals_of(worker.node.handle(PacketReceived(wire, "test"), network.now)) for wire in modest
    ] == [[], []]


def test_what_a_requester_withdrew_takes_none_of_its_share(network, requests):
    worker = network.add()
    network.run_for(1_000)
    wires = list(requests(worker, ROUNDS_PER_REQUESTER_MAX + 2, keys=1))
    for wire in wires[:-2]:
        worker.node.handle(PacketReceived(wire, "test"), network.now)
    full = worker.node.handle(PacketReceived(wires[-2], "test"), network.now)
    key, first = KeyPair.from_seed(b"asker-0"), EventId(json.loads(wires[0])["id"])
    withdrawn = make_packet(key, TOPIC, WorkStatus(v=1, state=WorkState.CANCELLED), network.now, first).wire
    worker.node.handle(PacketReceived(withdrawn, "test"), network.now)
    welcome = worker.node.handle(PacketReceived(wires[-1], "test"), network.now)
    assert (refusals_of(full), refusals_of(welcome)) == (["full"], [])


def test_replaying_somebodys_packets_spends_nobodys_rate(network, requests):
    worker = network.add()
    network.run_for(1_000)
    greedy = list(requests(worker, ROUNDS_PER_REQUESTER_MAX + 2, keys=1))
    for wire in greedy[:-1]:
        worker.node.handle(PacketReceived(wire, "test"), network.now)
    replayed = [
        worker.node.handle(PacketReceived(greedy[-2], "a relay"), network.now)
        for _ in range(2 * PACKETS_PER_KEY_AND_SECOND)
    ]
    assert [refusals_of(batch) for batch in replayed] == [["full"]] * len(replayed)
    fresh = worker.node.handle(PacketReceived(greedy[-1], "test"), network.now)
    assert refusals_of(fresh) == ["full"]


def test_a_request_refused_as_full_is_checked_once_and_welcome_later(network, requests):
    class Counting(PacketReader):
        checks = 0

        def is_signed(self, packet):
            self.checks += 1
            return super().is_signed(packet)

    worker = network.add()
    reader = worker.node._context.reader = worker.node._intake._reader = Counting()
    wires = list(requests(worker, FOREIGN_ROUNDS_MAX + 1))
    for wire in [*wires, wires[-1], wires[-1]]:
        network.give(worker, PacketReceived(wire, "test"))
    assert reader.checks == len(wires)
    assert [report.reason for report in worker.reported(PacketRefused)] == ["full"] * 3


def test_others_requests_evict_nothing_of_a_round_of_ours(network, question):
    """Unsigned requests that concern others are passed over; however many come, ours goes on."""
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    network.ask(asker, question())
    network.settle_until(lambda: len(network.sent(4112)) == 5)
    chain = dict(workers[0].node._table.chain._ours._entries)
    foreign = json.loads(network.wires[0])
    for number in range(2_000):
        foreign["sig"] = f"{number:0128x}"
        network.give(workers[0], PacketReceived(json.dumps(foreign).encode(), "test"))
    assert workers[0].node._table.chain._ours._entries == chain
    network.run_for(10_000)
    [decided] = asker.reported(RoundDecided)
    assert set(decided.verdict.statuses.values()) == {"core"}


def test_theorem_9_3_a_key_is_heard_so_often_a_second_and_costs_no_check_beyond(network):
    host = network.add(roles=())
    made = [
        make_packet(STRANGER, TOPIC, Announcement(v=1, load=load), network.now).wire
        for load in range(PACKETS_PER_KEY_AND_SECOND + 3)
    ]
    batches = [host.node.handle(PacketReceived(wire, "test"), network.now) for wire in made]
    over = Batch(reports=(PacketRefused("rate", "test"),))
    assert batches[PACKETS_PER_KEY_AND_SECOND:] == [over] * 3
    assert over not in batches[:PACKETS_PER_KEY_AND_SECOND]
    network.now_ms += 1_000
    later = host.node.handle(PacketReceived(made[-1], "test"), network.now)
    assert refusals_of(later) in ([], ["older"])


def test_forged_packets_use_up_nobodys_rate(network):
    host = network.add(roles=())
    wire = make_packet(STRANGER, TOPIC, Announcement(v=1, load=1), network.now).wire
    fields = json.loads(wire)
    for number in range(3 * PACKETS_PER_KEY_AND_SECOND):
        forged = json.dumps({**fields, "sig": f"{number:0128x}"}).encode()
        network.give(host, PacketReceived(forged, "test"))
    assert refusals_of(host.node.handle(PacketReceived(wire, "test"), network.now)) == []


def test_theorem_9_4_packets_without_their_predecessor_take_bounded_memory(network):
    host = network.add()
    wire = make_packet(STRANGER, TOPIC, Commit(1, "ab" * 32), network.now, EventId("11" * 32)).wire
    fields = json.loads(wire)
    large = b" " * (PACKET_BYTES_MAX - len(wire) - 200)
    for number in range(200):
        forged = json.dumps({**fields, "sig": f"{number:0128x}"}).encode() + large
        assert refusals_of(host.node.handle(PacketReceived(forged, "test"), network.now)) == [
            "unknown_predecessor"
        ]
    assert host.node._orphans._bytes <= ORPHAN_BYTES_MAX
    assert len(host.node._orphans) <= ORPHAN_BYTES_MAX // len(large)


def test_a_copy_of_an_orphan_is_kept_once(network):
    host = network.add()
    wire = make_packet(STRANGER, TOPIC, Commit(1, "ab" * 32), network.now, EventId("11" * 32)).wire
    for _ in range(5):
        network.give(host, PacketReceived(wire, "test"))
    assert len(host.node._orphans) == 1


def test_hints_of_outsiders_are_heard_and_change_nothing(network, question):
    asker = network.add(roles=())
    for _ in range(5):
        network.add()
    network.run_for(1_000)
    network.ask(asker, question())
    opened = EventId(asker.node.rounds()[0].request_id)
    for state in WorkState:
        wire = make_packet(STRANGER, TOPIC, WorkStatus(1, state), network.now, opened).wire
        assert asker.node.handle(PacketReceived(wire, "test"), network.now) == Batch()
    network.run_for(10_000)
    assert len(asker.reported(RoundDecided)) == 1


def test_nothing_but_remembered_ids_grows_with_the_rounds_that_are_over(network, question):
    """Ids of packets and of predecessors are dropped by time and by their own limits."""
    asker = network.add(roles=())
    for _ in range(3):
        network.add()
    network.run_for(1_000)
    counts = []
    for number in range(4):
        network.ask(asker, question(seats=3, quorum=3, deadline_ms=2_000), f"ask-{number}")
        network.run_for(1_200_000)
        named = {path: count for path, count in sizes(asker.node) if not path.endswith(REMEMBERED)}
        counts.append(named)
    assert counts[1:] == [counts[0]] * 3
