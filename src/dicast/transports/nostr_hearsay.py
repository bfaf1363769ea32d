"""Relays that others told of: one or two more while few of our own are connected, where that is wanted."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import urlsplit
from urllib.request import getproxies

from websockets.exceptions import WebSocketException

from dicast.base.crypto import KeyPair
from dicast.protocol.messages import Kind
from dicast.transports.background import end_tasks, start_task
from dicast.transports.newcomers import head_of
from dicast.transports.nostr import NostrTransport
from dicast.transports.nostr_link import GARBAGE_FRAMES_MAX, RelayLink
from dicast.transports.nostr_lists import RelayLists, is_for_all
from dicast.transports.nostr_socket import OPEN_SECONDS_MAX, is_on_this_machine
from dicast.transports.websocket_hearsay import Hearsay

SUGGESTED_LINKS_MAX = 2
"""Relays that strangers named, at a time: each gets every packet once more, and learns our address."""
ENOUGH_RELAYS = 3
"""As many paths as a node wants: with so many relays connected, no suggested one is dialled."""
UP_SECONDS_MAX = 15.0
"""A suggested relay that has not told what it stores by then is given up."""
LOOK_SECONDS_MAX = 10.0
"""How late it is noticed that one of our own relays went away."""


class ListedNostrTransport(NostrTransport):
    """Tells others which relays this node is on (NIP-65), and uses what they tell as hints."""

    def __init__(
        self, relays: Sequence[str], key: KeyPair, content_of: Callable[[bytes], str] | None = None
    ) -> None:
        super().__init__(relays, key, content_of)
        self._key = key
        self._relays = tuple(relays)
        self._hearsay = Hearsay(with_loopback=all(map(is_on_this_machine, relays)))
        self._heard = asyncio.Event()
        self._followers: list[asyncio.Task[None]] = []
        self._topic = ""
        self._lists = RelayLists(key, self._relays, self.suggest)
        for link in self._links:
            link.lists = self._lists

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to connect to every relay, and to follow suggestions; returns at once."""
        self._topic = topic
        await super().start(topic, on_packet)
        self._followers = [
            start_task(self._follow(), "nostr suggestions") for _ in range(SUGGESTED_LINKS_MAX)
        ]

    def addresses(self) -> Sequence[str]:
        """The relays that others can meet us at."""
        return self._lists.told if self._state == "running" else ()

    def suggest(self, address: str) -> None:
        """Somebody may be at a relay: dialled while few are connected. Never raises."""
        if self._state == "stopped" or address in self._relays or not self._may_dial(address):
            return
        if self._hearsay.add(address):
            self._heard.set()

    async def stop(self) -> None:
        """Give packets on their way a second, then disconnect."""
        await super().stop()
        followers, self._followers = self._followers, []
        await end_tasks(*followers)

    def _may_dial(self, address: str) -> bool:
        """By TLS, or on this machine where our own relays are on it; a proxy would hide what a name means."""
        try:
            is_here = is_on_this_machine(address)
            return is_for_all(address) and (is_here or (address.startswith("wss://") and not getproxies()))
        except ValueError:
            return False

    def _on_wire(self, wire: bytes, is_fetched: bool) -> None:
        head = head_of(wire)
        if head is not None and head.kind == Kind.ANNOUNCEMENT:
            self._lists.note(head.pubkey)
        super()._on_wire(wire, is_fetched)

    async def _follow(self) -> None:
        while True:
            self._heard.clear()
            has_room = len(self.peers()) < ENOUGH_RELAYS
            address = self._hearsay.take(link.url for link in self._found) if has_room else None
            if address is not None:
                await self._try(address)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self._heard.wait(), min(LOOK_SECONDS_MAX, self._hearsay.next_seconds())
                )
            await asyncio.sleep(0)  # many suggestions at once are looked at one by one

    async def _try(self, address: str) -> None:
        """One connection to a suggested relay, for as long as it stands."""
        link = RelayLink(address, self._key, self._on_wire)
        visiting: asyncio.Task[None] | None = None
        try:
            host = await self._checked_host(address)
            self._found.append(link)
            visiting = asyncio.create_task(link.visit(self._topic, host))
            done, _ = await asyncio.wait([visiting], timeout=UP_SECONDS_MAX)
            if done or link.is_up:
                await visiting
        except (OSError, WebSocketException, EOFError, ValueError):
            pass  # hearsay: nobody is there
        finally:
            await end_tasks(visiting)
            if link in self._found:
                self._found.remove(link)
            is_rude = link.garbage >= GARBAGE_FRAMES_MAX
            if link.was_up and not is_rude:
                self._hearsay.ended(address)
            else:
                self._hearsay.failed(address, for_good=is_rude)

    async def _checked_host(self, address: str) -> str:
        """The IP address behind a suggested one: public, or of this machine where our own relays are."""
        parts = urlsplit(address)
        async with asyncio.timeout(OPEN_SECONDS_MAX):
            found = await asyncio.get_running_loop().getaddrinfo(
                parts.hostname, parts.port or 443, type=socket.SOCK_STREAM
            )
        host = ipaddress.ip_address(str(found[0][4][0]).partition("%")[0])
        is_far = host.is_global or (host.is_loopback and is_on_this_machine(address))
        if not is_far or not self._hearsay.resolved(address, host):
            raise ValueError(f"{host} is not for hearsay")
        return str(host)
