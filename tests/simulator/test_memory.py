"""Floods of fresh keys and of packets that follow nothing: a node keeps what its limits name, and answers."""

from __future__ import annotations

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.events import Event, encode_event, event_digest
from dicast.base.limits import PEERS_MAX
from dicast.consensus.constants import EMBEDDER
from dicast.protocol.envelope import make_packet
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Announcement, Kind, Role
from dicast.protocol.orphans import ORPHAN_BYTES_MAX
from dicast.simulator.engines import OFFERED
from dicast.simulator.state import sizes
from dicast.simulator.sweep import check_world
from dicast.simulator.watchers import check_memory

KEYS = 300 + PEERS_MAX
ORPHANS = 13_000


@pytest.fixture
def flooded(one_round):
    """A world in which one node, the asker, is flooded before it asks."""
    world = one_round(run=False)
    world.heap.run(1_000)
    asker = world.hosts[0]
    now = asker.clock.now(1_000)
    for number in range(KEYS):
        key = KeyPair.from_seed(b"flood %d" % number)
        offer = Announcement(v=1, models=(OFFERED,), roles=(Role.WORKER,), embedders=(EMBEDDER,), slots=1)
        world.give(asker, PacketReceived(make_packet(key, world.topic, offer, now).wire, "flood"))
    for number in range(ORPHANS):
        world.give(asker, PacketReceived(_orphan(world.topic, number, now.unix_ms // 1000), "flood"))
    return world


def _orphan(topic: str, number: int, stamp: int) -> bytes:
    """A packet that follows nothing known; nobody checks its signature before it does."""
    key, tags = "ab" * 32, (("t", topic), ("e", f"{number:064x}"))
    digest = event_digest(key, stamp, int(Kind.COMMIT), tags, "{}").hex()
    return encode_event(Event(digest, key, stamp, int(Kind.COMMIT), tags, "{}", "00" * 64))


def test_a_flooded_node_keeps_what_its_limits_name_and_still_gets_its_answer(flooded):
    asker = flooded.hosts[0].node
    assert len(asker.peers()) == PEERS_MAX
    held = dict(sizes(asker))
    assert sum(count for path, count in held.items() if "_orphans" in path) < 2 * ORPHANS
    orphan_bytes = asker._orphans._bytes
    assert 0.9 * ORPHAN_BYTES_MAX < orphan_bytes <= ORPHAN_BYTES_MAX
    check_memory(flooded)
    flooded.run()
    check_world(flooded)
    assert flooded.ledger.endings() == {"agreed": 1}
