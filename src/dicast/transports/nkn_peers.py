"""Whom a node knows on NKN: those it was given, those it heard of, and those that answer."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from dicast.transports.nkn_frames import ADDRESSES_MAX, is_address

PRESENT_MAX = 32  # each gets everything directly
HEARSAY_MAX = 64  # not tried yet, or tried in vain
TRIES_MAX = 3  # of an address somebody told us
HELLO_SECONDS = 20.0
SILENT_SECONDS_MAX = 65.0  # three greetings without an answer
ANSWER_SECONDS = 1.0  # at most one answer a second to one peer, however often it greets


@dataclass
class _Peer:
    heard_at: float
    answered_at: float = -ANSWER_SECONDS


class NknPeers:
    """Bounded, whatever others say; time is an argument."""

    def __init__(self, given: Iterable[str]) -> None:
        self._given = tuple(given)
        self._hearsay: dict[str, int] = {}
        self._present: dict[str, _Peer] = {}
        self._greeted_at: dict[str, float] = {}

    @property
    def present(self) -> list[str]:
        """Those that answer."""
        return list(self._present)

    @property
    def silent(self) -> list[str]:
        """Those we were given that do not."""
        return [address for address in self._given if address not in self._present]

    def told(self, own: str) -> list[str]:
        """A few that answer, and ourselves last, to be told to others."""
        others = random.sample(self.present, min(len(self._present), ADDRESSES_MAX - 1))
        return [*others, own]

    def suggest(self, address: str, own: str) -> bool:
        """Somebody may be there; whether that is news."""
        known = address == own or address in self._present or address in self._given
        if known or address in self._hearsay or len(self._hearsay) >= HEARSAY_MAX or not is_address(address):
            return False
        self._hearsay[address] = 0
        return True

    def heard(self, address: str, now: float) -> bool:
        """Somebody of our topic spoke; whether it may take part."""
        if address not in self._present:
            if not is_address(address):
                return False
            if len(self._present) >= PRESENT_MAX and not self._make_room(address):
                return False
        self._hearsay.pop(address, None)
        self._present.setdefault(address, _Peer(now)).heard_at = now
        return True

    def may_answer(self, address: str, now: float) -> bool:
        """Whether a greeting is to be answered now."""
        peer = self._present.get(address)
        if peer is None or now - peer.answered_at < ANSWER_SECONDS:
            return False
        peer.answered_at = now
        return True

    def left(self, address: str) -> None:
        """It said goodbye."""
        self._present.pop(address, None)

    def to_greet(self, now: float) -> list[str]:
        """Whom to greet now; the silent are forgotten."""
        for address, peer in list(self._present.items()):
            if now - peer.heard_at > SILENT_SECONDS_MAX:
                del self._present[address]
        tried = self._tried() if len(self._present) < PRESENT_MAX else []
        wanted = list(dict.fromkeys([*self._given, *self._present, *tried]))
        due = [one for one in wanted if now - self._greeted_at.get(one, -HELLO_SECONDS) >= HELLO_SECONDS]
        self._greeted_at = {one: at for one, at in self._greeted_at.items() if one in wanted}
        for address in due:
            self._greeted_at[address] = now
            if address in self._hearsay:
                self._hearsay[address] += 1
        return due

    def begin_anew(self) -> None:
        """A new connection: whoever is there has to answer again."""
        self._hearsay.update(dict.fromkeys([one for one in self._present if one not in self._given], 0))
        self._present.clear()
        self._greeted_at.clear()

    def _tried(self) -> list[str]:
        self._hearsay = {address: tries for address, tries in self._hearsay.items() if tries < TRIES_MAX}
        return list(self._hearsay)

    def _make_room(self, address: str) -> bool:
        """One that we were given takes the place of one that came by itself."""
        others = [one for one in self._present if one not in self._given]
        if address not in self._given or not others:
            return False
        del self._present[random.choice(others)]  # noqa: S311 (no order that others choose)
        return True
