"""Adversaries that bring numbers: junk, floods, and fresh keys by the dozen."""

from __future__ import annotations

from dicast.base.codec import encode
from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.base.types import EventId, Now
from dicast.consensus.constants import EMBEDDER
from dicast.protocol.inputs import Input
from dicast.protocol.messages import (
    Admission,
    Announcement,
    Commit,
    Kind,
    Request,
    Role,
    Want,
)
from dicast.simulator.adversaries import Adversary
from dicast.simulator.engines import OFFERED
from dicast.simulator.host import Host
from dicast.simulator.network import flipped
from dicast.simulator.world import World

BURST_PERIOD_MS = 3_000
"""A burst each three virtual seconds keeps a world quick and every limit tried."""
BURST = 12
FLOOD = 90
"""Packets of a flood: above what a node takes of one key in a second."""
SYBILS = 6


class Spammer(Adversary):
    """Adds to its node's packets junk, signed junk, damaged copies, floods and unanswerable wants."""

    name = "spammer"

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, host)
        self._next_ms = 0
        self._heard: list[bytes] = []

    def receive(self, received: Input, now: Now) -> Input | None:
        """Whatever happens, now and then a burst goes out."""
        found = self.heard(received)
        if found is not None and len(self._heard) < 64:
            self._heard.append(found[0].wire)
        if self.world.heap.now_ms >= self._next_ms:
            self._next_ms = self.world.heap.now_ms + BURST_PERIOD_MS
            self._burst(now)
        return received

    def _burst(self, now: Now) -> None:
        if self.dice.chance(100):
            self._flood(now)
            return
        for _ in range(BURST):
            self.publish(self._junk(now))

    def _flood(self, now: Now) -> None:
        """More valid packets of one key than anybody takes, about rounds that exist where there are some."""
        known = [*self.requests, EventId(self.dice.octets(32).hex())]
        for _ in range(FLOOD):
            wanted = Want(v=1, ids=(self.dice.octets(32).hex(),))
            self.publish(self.sign(wanted, now, self.dice.pick(known)))

    def _junk(self, now: Now) -> bytes:
        shape = self.dice.below(6)
        if shape == 0:
            return self.dice.octets(self.dice.between(0, 300))
        if shape == 1 and self._heard:
            return flipped(self.dice.pick(self._heard), self.dice)
        if shape == 2 and self._heard:
            return self.dice.pick(self._heard)
        if shape == 3:
            wanted = tuple(self.dice.octets(32).hex() for _ in range(8))
            return self.sign(Want(v=1, ids=wanted), now, EventId(self.dice.octets(32).hex()))
        if shape == 4:
            return b"[" * self.dice.between(1, 5_000)
        return self._signed_junk(now)

    def _signed_junk(self, now: Now) -> bytes:
        kind = self.dice.pick((*Kind, 1, 30_000))
        content = self.dice.pick(('{"v":1}', '{"v":2}', "null", "{", encode({"v": 1, "digest": 7}).decode()))
        stamp = now.unix_ms // 1000 + self.dice.pick((0, 0, 0, -4_000, 4_000))
        tags = [["t", self.topic]]
        if self.dice.chance(700):
            tags.append(["e", self.dice.octets(32).hex()])
        return encode_event(sign_event(self.key, stamp, int(kind), tags, content))


class Sybils(Adversary):
    """Brings fresh keys that announce themselves and commit to whatever is asked."""

    name = "sybils"

    def __init__(self, world: World, host: Host) -> None:
        super().__init__(world, host)
        base = f"sybil {world.seed} {host.index}"
        self._keys = [KeyPair.from_seed(f"{base} {number}".encode()) for number in range(SYBILS)]
        self._announced = False
        self.sybil_ids = {key.node_id for key in self._keys}

    def receive(self, received: Input, now: Now) -> Input | None:
        """Announce once; answer every open or listed request with junk commits under every key."""
        found = self.heard(received)
        if not self._announced:
            self._announced = True
            offer = Announcement(
                v=1, models=(OFFERED,), roles=(Role.WORKER,), embedders=(EMBEDDER,), slots=64
            )
            for key in self._keys:
                self.publish(self.sign_as(key, offer, now, None), 50)
        if found is not None and isinstance(found[1], Request):
            keys = self._keys if found[1].admission is Admission.OPEN else self._keys[:2]
            for key in keys:
                junk = Commit(v=1, digest=self.dice.octets(32).hex())
                self.publish(self.sign_as(key, junk, now, found[0].id), 20)
        return received
