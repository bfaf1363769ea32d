"""From a seed to a world ready to run: machines, cast, faults, questions, beacon."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable

from dicast.consensus.constants import EMBEDDER
from dicast.protocol.envelope import PacketReader
from dicast.protocol.inputs import BeaconSeen
from dicast.protocol.messages import Admission, Role
from dicast.protocol.network import NetworkSecret, network_secret
from dicast.protocol.node import Node
from dicast.protocol.outputs import Put
from dicast.protocol.records import ENCODER, StandingRecord, Table
from dicast.protocol.settings import NodeSettings
from dicast.simulator.adversaries import Babbler, Chorus, Colluder, Liar, Splicer, forging_relay
from dicast.simulator.adversary_crowds import Spammer, Sybils
from dicast.simulator.adversary_members import (
    Copier,
    FalseEmbedder,
    FalseSigner,
    Framer,
    LateCommitter,
    TwoCommits,
    TwoReveals,
    Withholder,
)
from dicast.simulator.adversary_requesters import REQUESTERS
from dicast.simulator.clock import HostClock
from dicast.simulator.dice import Dice
from dicast.simulator.faults import Faults, draw_faults
from dicast.simulator.host import Conduct, Host, Machine, NodeMaker, Tables, make_identity
from dicast.simulator.ledger import Ask
from dicast.simulator.trace import Trace
from dicast.simulator.workload import BEACON_PERIOD_MS, draw_asks, streamed
from dicast.simulator.world import World

NETWORK = "simulated"
DISHONEST_SHARE = 3
"""At most one host in three is an adversary: beyond it frames promise nothing."""
DISHONEST_MAX = 12
"""Adversaries of one world: in a large one they would drown the rest of it in work, not in lies."""
FOLLOWERS_PM = 120
"""Hosts in a thousand that only ask."""

PRIVATE_PM = 150
"""Worlds in a thousand on a private network: every packet there costs a seal as well."""

MEMBERS = (
    Liar, Colluder, Chorus, Splicer, Babbler, Withholder, Copier, LateCommitter, TwoCommits, TwoReveals,
    FalseEmbedder, FalseSigner, Framer, Spammer, Sybils,
)  # fmt: skip
ADVERSARIES: dict[str, Callable[[World, Host], Conduct]] = {
    adversary.name: adversary for adversary in (*MEMBERS, *REQUESTERS)
}
"""Every adversary by its name."""


def make_node(machine: Machine, tables: Tables, reader: PacketReader) -> Node:
    """A real node."""
    return Node(machine.identity, machine.settings, reader, tables)


def make_world(
    seed: int, nodes: int, minutes: int, *, keep_lines: bool = False, streams: bool = False
) -> World:
    """World `seed`, with its cast and questions in place; `streams`: every listed question is streamed."""
    faults = draw_faults(seed, nodes, minutes)
    secret = _secret() if Dice(seed, "private").chance(PRIVATE_PM) else None
    hosts = _hosts(seed, nodes, faults, secret)
    world = World(seed, hosts, faults, make_node=make_node, trace=Trace(keep_lines=keep_lines))
    for index, name in draw_cast(seed, nodes).items():
        cast(world, index, name)
    if faults.forging_relay:
        world.network.forge = forging_relay(world)
    asks = draw_asks(seed, world.hosts, faults)
    asks = [streamed(asked) for asked in asks] if streams else asks
    for ask in asks:
        world.ask(ask)
    if any(ask.question.admission == Admission.DRAWN for ask in asks):
        shine(world, asks)
        give_standing(world, Dice(seed, "standing").below(6))
    return world


def bare_world(
    seed: int, nodes: int, faults: Faults, *, keep_lines: bool = False, maker: NodeMaker = make_node
) -> World:
    """Honest hosts and faults on an open network, nobody asking."""
    hosts = _hosts(seed, nodes, faults, None)
    return World(seed, hosts, faults, make_node=maker, trace=Trace(keep_lines=keep_lines))


def _hosts(seed: int, nodes: int, faults: Faults, secret: NetworkSecret | None) -> list[Host]:
    dice = Dice(seed, "machines")
    return [_host(seed, index, faults, dice, secret) for index in range(nodes)]


def draw_cast(seed: int, nodes: int) -> dict[int, str]:
    """Which hosts are adversaries, and which: a few kinds a world, none in a third of them."""
    dice = Dice(seed, "cast")
    if dice.chance(300):
        return {}
    kinds = dice.sample(sorted(ADVERSARIES), dice.between(1, 4))
    if {"chorus", "splicer"} & set(kinds):
        kinds += ["chorus", "splicer"]
    most = max(1, min(DISHONEST_MAX, nodes // DISHONEST_SHARE))
    hosts = dice.sample(range(1, nodes), dice.between(1, most))
    return {index: dice.pick(kinds) for index in hosts}


def cast(world: World, index: int, name: str) -> None:
    """Replace a part of a host's node before the world runs."""
    world.recast(world.hosts[index], ADVERSARIES[name](world, world.hosts[index]))


def shine(world: World, asks: list[Ask]) -> None:
    """A public beacon: the values around each drawn question; a host that was down hears the last one."""
    drawn = [ask.question.beacon_round for ask in asks if ask.question.admission == Admission.DRAWN]
    for number in sorted({1} | {number - ahead for number in drawn for ahead in range(3)}):
        value = hashlib.sha256(f"beacon {world.seed} {number}".encode()).hexdigest()
        world.heap.schedule(number * BEACON_PERIOD_MS, world.see_beacon, BeaconSeen(number, value))


def _host(seed: int, index: int, faults: Faults, dice: Dice, secret: NetworkSecret | None) -> Host:
    follower = dice.chance(FOLLOWERS_PM) and index > 0
    roles = () if follower else (Role.WORKER, Role.VALIDATOR)
    settings = NodeSettings(
        network=NETWORK,
        roles=roles,
        embedders=() if follower else (EMBEDDER,),
        slots=dice.pick((1, 2, 3, 4, 8, 12)),
        secret=secret,
    )
    return Host(Machine(index, make_identity(seed, index), settings), HostClock(0, faults.skews_ms[index]))


@functools.cache
def _secret() -> NetworkSecret:
    return network_secret(NETWORK, "the passphrase of every simulated network")


def give_standing(world: World, agreed: int) -> None:
    """Every host has seen every other agree so often, every second twice as often: weights of a draw."""
    if not agreed:
        return
    records = [ENCODER.encode(StandingRecord(agreed=agreed * (1 + index % 2))) for index in range(2)]
    for host in world.hosts:
        others = [other.machine for other in world.hosts if other is not host]
        host.disk.apply([Put(Table.STANDING, other.node_id, records[other.index % 2]) for other in others])


def replay_line(seed: int, nodes: int, minutes: int) -> str:
    """The command that shows a world again."""
    return f"dicast simulate --seed {seed} --nodes {nodes} --minutes {minutes}"
