"""The simulated network: loses, delays, repeats, reorders, damages and divides; one relay may forge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from dicast.protocol.inputs import PacketReceived
from dicast.simulator.clock import Heap
from dicast.simulator.dice import Dice

CARRIER = "simulated"


class Rates(msgspec.Struct, frozen=True):
    """How bad the network is: shares in thousandths, delays in ms."""

    loss_pm: int = 0
    duplicate_pm: int = 0
    flip_pm: int = 0
    straggle_pm: int = 0
    delay_ms_min: int = 2
    delay_ms_max: int = 20
    straggle_ms_max: int = 0


QUIET = Rates()
"""A healthy local network."""


class Parcel:
    """One packet on its way: the input it becomes, and its number in the history of the world."""

    __slots__ = ("input", "serial")

    def __init__(self, wire: bytes, serial: int) -> None:
        self.input = PacketReceived(wire, CARRIER)
        self.serial = serial


class Network:
    """Carries every packet to every host; all chance comes from its own dice."""

    def __init__(self, heap: Heap, dice: Dice, deliver: Callable[[Any, Any], None]) -> None:
        self.rates = QUIET
        self.sides: Sequence[int] | None = None
        """While divided: the side of each host; packets do not cross."""
        self.echo = False
        """Whether a sender hears its own packets, as on a relay."""
        self.forge: Callable[[bytes], Sequence[bytes]] | None = None
        """A relay's forgeries of a packet; they arrive before it."""
        self._heap = heap
        self._dice = dice
        self._deliver = deliver
        self._serial = 0

    def parcel(self, wire: bytes) -> Parcel:
        """Number a packet."""
        self._serial += 1
        return Parcel(wire, self._serial)

    def broadcast(self, sender: int, wire: bytes, recipients: Sequence[Any]) -> int:
        """Send to all `recipients` (hosts with an `index`) but the sender; returns the packet's number."""
        parcel = self.parcel(wire)
        if self.forge is not None:
            for forged in self.forge(wire):
                self._carry(sender, self.parcel(forged), recipients, hurry=True)
        self._carry(sender, parcel, recipients, hurry=False)
        return parcel.serial

    def _carry(self, sender: int, parcel: Parcel, recipients: Sequence[Any], *, hurry: bool) -> None:
        rates, sides, draw = self.rates, self.sides, self._dice.bits
        now_ms, deliver, schedule = self._heap.now_ms, self._deliver, self._heap.schedule
        delay_ms_min = rates.delay_ms_min
        span = 1 if hurry else rates.delay_ms_max - delay_ms_min + 1
        usual = 1000 - rates.duplicate_pm - rates.flip_pm - rates.straggle_pm
        for host in recipients:
            index = host.index
            if (index == sender and not self.echo) or (sides is not None and sides[index] != sides[sender]):
                continue
            chance = draw(60)
            if (chance & 0xFFFFF) * 1000 >> 20 < rates.loss_pm:
                continue
            at_ms = now_ms + delay_ms_min + ((chance >> 20 & 0xFFFFF) * span >> 20)
            fate = (chance >> 40) * 1000 >> 20
            if fate < usual:
                schedule(at_ms, deliver, host, parcel)
            else:
                self._misfortune(fate - usual, at_ms, host, parcel)

    def _misfortune(self, fate: int, at_ms: int, host: Any, parcel: Parcel) -> None:
        rates, dice = self.rates, self._dice
        if fate < rates.duplicate_pm:
            self._heap.schedule(at_ms, self._deliver, host, parcel)
            at_ms += dice.below(2 * rates.delay_ms_max + 1)
        elif fate < rates.duplicate_pm + rates.flip_pm:
            parcel = self.parcel(flipped(parcel.input.wire, dice))
        else:
            at_ms += dice.below(rates.straggle_ms_max + 1)
        self._heap.schedule(at_ms, self._deliver, host, parcel)


def flipped(wire: bytes, dice: Dice) -> bytes:
    """The packet with one bit changed."""
    position = dice.below(8 * len(wire)) if wire else 0
    damaged = bytearray(wire or b"\0")
    damaged[position // 8] ^= 1 << position % 8
    return bytes(damaged)
