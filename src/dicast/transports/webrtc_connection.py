"""One WebRTC connection with one data channel, from its description to its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import msgspec
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp

from dicast.transports.background import described
from dicast.transports.trystero_frames import FRAME_BYTES_MAX

DESCRIPTION_CHARS_MAX = 32 * 1024  # one data channel and a dozen addresses take 2 kB
CANDIDATES_MAX = 32  # addresses of one peer that are tried; each costs a packet every half second
GATHER_SECONDS_MAX = 2.0  # for STUN and TURN servers; one that is silent is left out
RELAY_WAITS_SECONDS = 0.5  # direct ways go first: a busy machine answers late, and a relay serves many
CLOSE_SECONDS_MAX = 1.0
HALF_MESSAGE_BYTES_MAX = 4 << 20  # of messages whose end has not come; honest peers send 16 KiB at once
UNHEARD_MAX = 16  # messages between the opening of a channel and its first listener: one turn of the loop
CHANNEL = "data"
NO_ADDRESS = "this machine has no address to offer"
NO_ADDRESS_RELAYED = "the TURN server gives no address: it is not there, or refuses the user"
LOOPBACK = "127.0.0.1"

for _library in ("aiortc", "aioice"):  # they would write what peers do wrong to standard error
    logging.getLogger(_library).addHandler(logging.NullHandler())


class TurnServer(msgspec.Struct, frozen=True):
    """A server that relays, such as `turn:turn.example.org:3478?transport=udp`, and who we are there."""

    url: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"TurnServer({self.url!r})"


class IceSettings(msgspec.Struct, frozen=True):
    """How to reach others and be reached; of several servers each attempt takes the next.

    Without `is_public` the only address of this machine that is offered, and bound, is 127.0.0.1.
    """

    stun: tuple[str, ...] = ()
    turn: tuple[TurnServer, ...] = ()
    relay_only: bool = False
    is_public: bool = False


class ConnectingError(Exception):
    """The other side, or a server, did something that ends the attempt."""


class PeerConnection:
    """Make one, then `offer` and `accept`, or `answer`; `channel` is there once `opened` is set."""

    def __init__(self, ice: IceSettings, attempt: int = 0) -> None:
        self._ice = ice
        self._rtc: Any = RTCPeerConnection(_configuration(ice, attempt))
        self._candidates = 0
        self._early: list[str] = []
        self._is_described = False
        self._describing: asyncio.Task[None] | None = None
        self._channels = 0
        self.channel: RTCDataChannel | None = None
        self.opened = asyncio.Event()
        self.lost = asyncio.Event()
        self._on_message: Callable[[bytes], None] | None = None
        self._unheard: list[bytes] = []
        self._rtc.on("datachannel", self._take_channel)
        self._rtc.on("connectionstatechange", self._note_state)

    async def offer(self) -> str:
        """A description of this side with all its addresses."""
        self._use_channel(self._rtc.createDataChannel(CHANNEL))
        try:
            return await self._describe(await self._rtc.createOffer())
        except Exception as error:
            raise ConnectingError(described(error)) from error

    async def answer(self, offer: str) -> str:
        """The answer to another's description."""
        await self._take_description(offer, "offer")
        try:
            return await self._describe(await self._rtc.createAnswer())
        except Exception as error:
            raise ConnectingError(described(error)) from error

    async def accept(self, answer: str) -> None:
        """The other side answered the offer."""
        await self._take_description(answer, "answer")

    async def add_candidate(self, text: str) -> None:
        """One more address of the other side, as JSON; useless ones are left out. Never raises."""
        if not self._is_described:
            if len(self._early) < CANDIDATES_MAX:
                self._early.append(text)
            return
        if self._candidates >= CANDIDATES_MAX or len(text) > DESCRIPTION_CHARS_MAX:
            return
        self._candidates += 1
        with suppress(Exception):  # the library raises what it likes on odd text
            fields = json.loads(text)
            line = str(fields["candidate"]).removeprefix("candidate:")
            if not self._is_usable(line):
                return
            candidate = candidate_from_sdp(line)
            candidate.sdpMid, candidate.sdpMLineIndex = fields.get("sdpMid"), fields.get("sdpMLineIndex")
            await self._rtc.addIceCandidate(candidate)

    def listen(self, on_message: Callable[[bytes], None]) -> None:
        """Hand over what comes from now on, after what has come since the channel opened."""
        self._on_message = on_message
        unheard, self._unheard = self._unheard, []
        for message in unheard:
            on_message(message)

    def route(self) -> Literal["direct", "relayed", ""]:
        """How it goes: `relayed` when a TURN server of either side is between; "" before it stands."""
        pairs: dict[int, Any] = getattr(self._ice_connection(), "_nominated", {})
        if not pairs:
            return ""
        pair = pairs[min(pairs)]
        kinds = (pair.local_candidate.type, pair.remote_candidate.type)
        return "relayed" if "relay" in kinds else "direct"

    def is_overfull(self) -> bool:
        """Whether the other side sent more beginnings of messages than it may."""
        sctp = self._rtc.sctp
        streams = getattr(sctp, "_inbound_streams", {}).values()
        held = sum(len(chunk.user_data) for stream in streams for chunk in stream.reassembly)
        return held > HALF_MESSAGE_BYTES_MAX

    async def close(self) -> None:
        """End it; harmless when repeated."""
        self.lost.set()
        if self._describing is not None:
            await asyncio.wait({self._describing}, timeout=2 * GATHER_SECONDS_MAX)
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await self._rtc.close()

    async def _take_description(self, text: str, kind: str) -> None:
        try:
            self._check(text)
            usable = "\r\n".join(line for line in text.splitlines() if self._keeps(line)) + "\r\n"
            if kind == "answer":
                await self._rtc.setRemoteDescription(RTCSessionDescription(usable, kind))
            else:
                await self._take_offer(usable)
        except Exception as error:
            raise ConnectingError(described(error)) from error
        self._is_described = True
        early, self._early = self._early, []
        for candidate in early:
            await self.add_candidate(candidate)

    async def _take_offer(self, text: str) -> None:
        await self._rtc.setRemoteDescription(RTCSessionDescription(text, "offer"))

    async def _describe(self, description: RTCSessionDescription) -> str:
        self._restrict()
        self._prefer_direct()
        self._describing = asyncio.create_task(self._rtc.setLocalDescription(description))
        await asyncio.shield(self._describing)  # cancelled half-way, its sockets would stay open
        text = str(self._rtc.localDescription.sdp)
        if "a=candidate:" not in text:
            raise ConnectingError(NO_ADDRESS_RELAYED if self._ice.relay_only else NO_ADDRESS)
        return text

    def _check(self, text: str) -> None:
        media = [line for line in text.splitlines() if line.startswith("m=")]
        if len(text) > DESCRIPTION_CHARS_MAX or len(media) != 1 or not media[0].startswith("m=application "):
            raise ConnectingError("it describes something else than one data channel")

    def _keeps(self, line: str) -> bool:
        if not line.startswith("a=candidate:"):
            return True
        self._candidates += 1
        return self._candidates <= CANDIDATES_MAX and self._is_usable(line.removeprefix("a=candidate:"))

    def _is_usable(self, line: str) -> bool:
        """UDP only; on loopback nobody is asked who `….local` is."""
        words = line.split()
        if len(words) < 8 or words[2].lower() != "udp":
            return False
        return self._ice.is_public or not words[4].lower().rstrip(".").endswith(".local")

    def _ice_connection(self) -> Any:
        sctp = self._rtc.sctp
        return None if sctp is None else sctp.transport.transport.iceGatherer._connection

    def _restrict(self) -> None:
        """The library binds every interface and leaves loopback out; unless public, the other way round."""
        connection = self._ice_connection()
        gather = connection.get_component_candidates
        only = None if self._ice.is_public or self._ice.relay_only else [LOOPBACK]

        async def gather_restricted(component: int, addresses: list[str], timeout: int = 0) -> Any:  # noqa: ASYNC109
            chosen = addresses if only is None else only
            return await gather(component=component, addresses=chosen, timeout=GATHER_SECONDS_MAX)

        connection.get_component_candidates = gather_restricted

    def _prefer_direct(self) -> None:
        """Ways over a TURN server are tried after the others: the library keeps the first that works."""
        connection = self._ice_connection()
        check = connection.check_start

        async def check_in_turn(pair: Any) -> None:
            if "relay" in (pair.local_candidate.type, pair.remote_candidate.type):
                connection.check_state(pair, pair.State.IN_PROGRESS)
                await asyncio.sleep(RELAY_WAITS_SECONDS)
            await check(pair)

        if not self._ice.relay_only:
            connection.check_start = check_in_turn

    def _take_channel(self, channel: RTCDataChannel) -> None:
        self._channels += 1
        if self._channels > 1 or self.channel is not None:
            self.lost.set()  # one is all that anybody needs
            return
        self._use_channel(channel)

    def _use_channel(self, channel: Any) -> None:
        self.channel = channel
        channel.on("message", self._take_message)
        channel.on("close", self.lost.set)
        if channel.readyState == "open":
            self.opened.set()
        else:
            channel.on("open", self.opened.set)

    def _take_message(self, message: bytes | str) -> None:
        if not isinstance(message, bytes) or len(message) > FRAME_BYTES_MAX or self.lost.is_set():
            return
        if self._on_message is not None:
            self._on_message(message)
        elif len(self._unheard) < UNHEARD_MAX:
            self._unheard.append(message)

    def _note_state(self) -> None:
        if self._rtc.connectionState in ("failed", "closed"):
            self.lost.set()


def _configuration(ice: IceSettings, attempt: int) -> RTCConfiguration:
    """The library knows one server of a kind: the next one each time, so that a dead one matters little."""
    servers: list[RTCIceServer] = []
    if ice.turn:
        turn = ice.turn[attempt % len(ice.turn)]
        servers.append(RTCIceServer(turn.url, turn.user, turn.password))
    if ice.stun and not ice.relay_only:
        servers.append(RTCIceServer(ice.stun[attempt % len(ice.stun)]))
    policy = RTCIceTransportPolicy.RELAY if ice.relay_only else RTCIceTransportPolicy.ALL
    return RTCConfiguration(iceServers=servers, iceTransportPolicy=policy)
