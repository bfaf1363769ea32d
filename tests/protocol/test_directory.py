"""Announcements and standings: whom a node knows, how long, and what it has seen of them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.limits import PEERS_MAX
from dicast.base.types import Now
from dicast.protocol.announcer import ANNOUNCEMENT_PERIOD_MS
from dicast.protocol.directory import STANDINGS_MAX, Directory
from dicast.protocol.effects import Effects
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import ModelsChanged, PacketReceived
from dicast.protocol.messages import Announcement, Kind, OfferedModel, Refusal, Role
from dicast.protocol.outputs import Delete, PacketRefused, PeerSeen, Put, RoundDecided
from dicast.protocol.records import STANDING_DECODER, StandingRecord

TOPIC = topic_of("main")
ONE = KeyPair.from_seed(b"one")
NOW = Now(1_000, 1_790_000_000_000)


def later(now, milliseconds):
    return Now(now.monotonic_ms + milliseconds, now.unix_ms + milliseconds)


def announced(key, now, load=0):
    return make_packet(key, TOPIC, Announcement(v=1, load=load), now)


@pytest.fixture
def directory():
    return Directory(KeyPair.from_seed(b"own").node_id, {})


@pytest.fixture
def effects(network):
    return Effects(network.add(roles=()).identity, TOPIC)


def hear(directory, effects, packet, now):
    body = json.loads(packet.event.content)
    return directory.hear(packet, Announcement(**body), now, effects)


def test_theorem_11_7_the_newest_announcement_wins_then_the_lower_id_in_any_order(effects):
    packets = [
        announced(ONE, NOW, 1),
        announced(ONE, NOW, 2),
        announced(ONE, later(NOW, 5_000), 3),
        announced(ONE, later(NOW, 5_000), 4),
    ]
    expected = min(packets[2:], key=lambda packet: packet.id).id
    for order in ((0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1), (1, 3, 0, 2)):
        directory = Directory(KeyPair.from_seed(b"own").node_id, {})
        refused = {hear(directory, effects, packets[number], later(NOW, 5_000)) for number in order}
        assert refused <= {None, Refusal.OLDER}
        assert [peer.packet_id for peer in directory.peers()] == [expected]


def test_an_announcement_is_forgotten_after_half_an_hour_and_seen_anew(directory, effects):
    hear(directory, effects, announced(ONE, NOW), NOW)
    directory.expire(later(NOW, 1_799_999))
    assert directory.is_known(ONE.node_id)
    gone = later(NOW, 1_800_000)
    hear(directory, effects, announced(ONE, gone), gone)
    assert effects.take().reports == (PeerSeen(ONE.node_id), PeerSeen(ONE.node_id))
    directory.expire(later(gone, 1_800_000))
    assert directory.peers() == ()


def test_an_announcement_that_took_its_time_lives_no_longer(directory, effects):
    hear(directory, effects, announced(ONE, NOW), later(NOW, 1_000_000))
    directory.expire(later(NOW, 1_800_000))
    assert directory.peers() == ()


def test_a_full_directory_renews_whom_it_knows_and_takes_nobody_else(directory, effects):
    keys = [KeyPair.from_seed(b"%d" % number) for number in range(PEERS_MAX + 1)]
    refused = [hear(directory, effects, announced(key, NOW), NOW) for key in keys]
    assert refused == [None] * PEERS_MAX + [Refusal.FULL]
    after = later(NOW, 1_000)
    assert hear(directory, effects, announced(keys[0], after), after) is None
    expired = later(NOW, 1_800_000)
    assert hear(directory, effects, announced(keys[-1], expired), expired) is None
    assert len(directory.peers()) == 2


def test_standings_are_counted_written_and_read_again(directory, effects):
    node_id = ONE.node_id
    directory.credit(node_id, effects)
    directory.credit(node_id, effects)
    directory.debit_unrevealed(node_id, effects)
    directory.debit_malformed(node_id, effects)
    writes = effects.take().writes
    expected = StandingRecord(agreed=2, unrevealed=1, malformed=1)
    assert STANDING_DECODER.decode(writes[-1].value) == expected
    again = Directory(KeyPair.from_seed(b"own").node_id, {node_id: writes[-1].value})
    assert (again.standing(node_id), again.units(node_id), again.is_banned(node_id)) == (expected, 2, False)


def test_units_stop_at_the_limit_and_strangers_have_none(directory, effects):
    for _ in range(70):
        directory.credit(ONE.node_id, effects)
    assert (directory.units(ONE.node_id), directory.units(KeyPair.from_seed(b"two").node_id)) == (64, 0)


def test_theorem_11_8_nobody_loses_or_gains_standing_with_itself(effects):
    own = KeyPair.from_seed(b"own").node_id
    directory = Directory(own, {})
    directory.credit(own, effects)
    directory.debit_unrevealed(own, effects)
    assert (directory.standing(own), effects.take().writes) == (StandingRecord(), ())


def test_when_too_many_standings_are_kept_the_least_telling_goes(directory, effects):
    banned = KeyPair.from_seed(b"banned").node_id
    directory.ban(banned, "equivocation", effects)
    for number in range(STANDINGS_MAX - 1):
        directory.debit_unrevealed(f"{number:064x}", effects)
    directory.credit(f"{0:064x}", effects)
    effects.take()
    directory.credit("f" * 64, effects)
    kept = StandingRecord(agreed=1)
    gone, put = effects.take().writes
    assert (gone, put.key) == (Delete("standing", f"{1:064x}"), "f" * 64)
    assert isinstance(put, Put)
    assert directory.is_banned(banned)
    assert directory.standing(gone.key) == StandingRecord()
    assert directory.standing("f" * 64) == kept


def test_a_round_credits_those_that_agreed_and_counts_the_unrevealed(network, question):
    asker = network.add(roles=())
    workers = [network.add() for _ in range(5)]
    network.run_for(1_000)
    silent = workers[0]
    network.drop = lambda host, wire: host is silent and json.loads(wire)["kind"] == Kind.QUORUM
    network.ask(asker, question(reveal_ms=1_500))
    network.run_for(10_000)
    assert len(asker.reported(RoundDecided)) == 1
    standings = {key: STANDING_DECODER.decode(value) for key, value in asker.tables["standing"].items()}
    expected = {worker.identity.node_id: StandingRecord(agreed=1) for worker in workers[1:]}
    assert standings == {**expected, silent.identity.node_id: StandingRecord(unrevealed=1)}


def test_a_node_announces_when_it_changes_at_most_every_minute_and_every_few_minutes_anyway(network):
    host = network.add()
    moments = []

    def watch(milliseconds):
        end_ms = network.now_ms + milliseconds
        while network.now_ms < end_ms:
            network.run_for(1_000)
            count = len(network.sent(Kind.ANNOUNCEMENT, host))
            moments.extend([network.now_ms // 1_000] * (count - len(moments)))

    watch(2_000)
    for number in range(10):
        network.give(host, ModelsChanged((OfferedModel(f"m{number}", "e", 1),)))
        watch(10_000)
    assert moments[0] == 2
    assert [later - earlier for earlier, later in pairwise(moments)] in ([59], [59, 60])
    watch(900_000)
    assert {b - a for a, b in pairwise(moments[3:])} == {ANNOUNCEMENT_PERIOD_MS // 1_000}
    last = json.loads(json.loads(network.sent(Kind.ANNOUNCEMENT, host)[-1])["content"])
    assert last["models"] == [{"context_tokens": 1, "engine": "e", "name": "m9"}]


def test_a_node_without_roles_announces_nothing(network):
    host = network.add(roles=())
    network.give(host, ModelsChanged((OfferedModel("m", "e", 1),)))
    network.run_for(1_000_000)
    assert (network.sent(Kind.ANNOUNCEMENT, host), host.node.deadline) == ([], None)


def test_an_announcement_for_nothing_makes_no_worker(network, question):
    asker = network.add(roles=())
    network.add(roles=(Role.VALIDATOR,))
    network.run_for(1_000)
    assert len(asker.node.peers()) == 1
    network.ask(asker, question(seats=1, quorum=1))
    assert asker.reports[-1].code == "no_workers"


def test_an_old_announcement_does_not_replace_a_newer_one(network):
    host = network.add(roles=())
    old, new = announced(ONE, network.now, 1), announced(ONE, later(network.now, 2_000), 2)
    network.give(host, PacketReceived(new.wire, "test"))
    network.give(host, PacketReceived(old.wire, "test"))
    assert host.reports[-1] == PacketRefused("older", "test", ONE.node_id)
    assert [peer.offer.load for peer in host.node.peers()] == [2]
