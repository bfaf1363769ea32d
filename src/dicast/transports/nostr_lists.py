"""Relay lists (NIP-65): which relays this node is on, and which others say they are on. Nothing waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.events import encode_event, is_signed, parse_event, sign_event
from dicast.transports.nostr_frames import Relayed, event_frame
from dicast.transports.nostr_socket import is_on_this_machine
from dicast.transports.websocket_hearsay import ADDRESS_CHARS_MAX

LIST_KIND = 10002
LISTS = "lists"
"""The name of the subscription that asks for lists."""
RELAYS_TOLD_MAX = 4
"""Of one list, ours or another's; NIP-65 asks people for two to four."""
AUTHORS_KNOWN_MAX = 256
"""Authors of announcements, the latest; a relay may invent any number."""
AUTHORS_ASKED_MAX = 64
"""In one question, and as many answers: each costs a check of its signature, 0.1 ms."""
ASK_AGAIN_SECONDS = (1.0, 4.0, 16.0, 64.0, 300.0)
"""After a relay has told what it stores, which names the authors; then lists change rarely."""


def tellable_relays(relays: Sequence[str]) -> tuple[str, ...]:
    """The relays that others can reach too: by TLS, or on this machine when all are; never with a secret."""
    are_here = all(map(is_on_this_machine, relays))
    told = [url for url in relays if is_for_all(url) and (are_here or url.startswith("wss://"))]
    return tuple(told if are_here else (url for url in told if not is_on_this_machine(url)))[:RELAYS_TOLD_MAX]


def ask_again_seconds(turn: int) -> float:
    """How long after the question of that turn the next comes."""
    return ASK_AGAIN_SECONDS[min(turn, len(ASK_AGAIN_SECONDS) - 1)]


def is_for_all(url: str) -> bool:
    """Whether an address holds nothing that may be a password, and is no essay."""
    parts = urlsplit(url)
    return len(url) <= ADDRESS_CHARS_MAX and parts.username is None and not parts.query and not parts.fragment


def relays_of(wire: bytes, authors: Sequence[str]) -> tuple[str, ...]:
    """Where the author of a well-signed list writes; nothing where it is none, or of nobody we asked for."""
    try:
        event = parse_event(wire)
    except RemoteProtocolError:
        return ()
    if event.kind != LIST_KIND or event.pubkey not in authors or not is_signed(event):
        return ()
    found = [tag[1] for tag in event.tags if len(tag) > 1 and tag[0] == "r" and tag[2:3] != ("read",)]
    return tuple(found[:RELAYS_TOLD_MAX])


class RelayLists:
    """What all links of a node share: its own list, whose lists it wants, and who hears of them."""

    def __init__(self, key: KeyPair, relays: Sequence[str], hear: Callable[[str], None]) -> None:
        self.told = tellable_relays(relays)
        self._key = key
        self._hear = hear
        self._authors: dict[str, None] = {}
        self._asked: tuple[str, ...] = ()
        self._answers_left = 0

    def note(self, author: str) -> None:
        """Somebody of our network, as a relay says."""
        self._authors.pop(author, None)
        self._authors[author] = None
        if len(self._authors) > AUTHORS_KNOWN_MAX:
            del self._authors[next(iter(self._authors))]

    def own_frame(self) -> bytes | None:
        """Publishes our list in place of the one before."""
        if not self.told:
            return None
        tags = [("r", url) for url in self.told]
        return event_frame(encode_event(sign_event(self._key, int(time.time()), LIST_KIND, tags, "")))

    def question(self) -> bytes | None:
        """Asks for the lists of those heard of last."""
        self._asked = tuple(self._authors)[-AUTHORS_ASKED_MAX:]
        self._answers_left = len(self._asked)
        wanted = {"kinds": [LIST_KIND], "authors": list(self._asked), "limit": len(self._asked)}
        return msgspec.json.encode(["REQ", LISTS, wanted]) if self._asked else None

    def answer(self, packet: Relayed) -> bool:
        """A list; False where it is none or more than was asked for. Never raises, whatever the bytes."""
        if packet.kind != LIST_KIND or not self._answers_left:
            return False
        self._answers_left -= 1
        for url in relays_of(packet.wire, self._asked):
            self._hear(url)
        return True
