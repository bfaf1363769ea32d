"""Packets by NKN: sealed messages straight to every peer that answers; nobody passes any on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from dicast.ports import TransportHealth
from dicast.transports.nkn_frames import Frame, Said, Tag, frame_of, greeting, read_frame, sent_bytes
from dicast.transports.nkn_peers import NknPeers
from dicast.transports.nkn_process import NknProcess, NknSettings
from dicast.transports.queued import QueuedTransport, first_to_end
from dicast.transports.websocket_link import Pace

LOOK_SECONDS = 1.0  # between two looks at whom to greet
BYE_SECONDS_MAX = 0.5
ADDRESS_BYTES_MAX = 200  # of a suggested one


class NknTransport(QueuedTransport):
    """One client of the network in a side process that is started again whenever it ends."""

    def __init__(self, settings: NknSettings, name: str = "nkn") -> None:
        super().__init__(name, "NKN")
        self._settings = settings
        self._peers = NknPeers(settings.peers)
        self._wake = asyncio.Event()
        self._somebody_came = asyncio.Event()
        self._greeted_at: dict[str, float] = {}
        self._process: NknProcess | None = None
        self.address = ""

    @property
    def pid(self) -> int | None:
        """Of the side process."""
        return self._process.pid if self._process is not None else None

    def addresses(self) -> Sequence[str]:
        """Our address on NKN, while the network serves us."""
        return [self.address] if self._is_connected and self._state != "stopped" else []

    def suggest(self, address: str) -> None:
        """Somebody may be at an address of NKN."""
        if len(address) <= ADDRESS_BYTES_MAX and self._peers.suggest(address, self.address):
            self._wake.set()

    def peers(self) -> Sequence[str]:
        """Addresses that answer."""
        return self._peers.present if self._is_connected and self._state != "stopped" else []

    def health(self) -> TransportHealth:
        """`degraded` while nobody answers of those it was given."""
        health, peers = super().health(), self.peers()
        silent = self._peers.silent
        state, detail = health.state, f"{len(peers)} peers"
        if state == "up" and silent:
            state = "degraded"
            detail += f"; no answer from {', '.join(silent)}"
        problem = f"; {self._problem}" if self._problem else ""
        return msgspec.structs.replace(health, state=state, detail=f"{detail}{problem}")

    async def _converse(self, topic: str) -> None:
        process = self._process = NknProcess(self._settings)
        self._peers.begin_anew()
        try:
            self.address = await process.open()
            await process.connected()
            with self._standing():
                await first_to_end(
                    self._read(process, topic),
                    self._write_queue(lambda wire: self._send(process, frame_of(Tag.PACKET, topic, wire))),
                    self._greet(process, topic),
                )
        finally:
            await self._leave(process, topic)

    async def _leave(self, process: NknProcess, topic: str) -> None:
        try:
            if self._state == "stopped" and self._peers.present:
                await self._say_bye(process, topic)
        finally:
            await process.close()

    async def _say_bye(self, process: NknProcess, topic: str) -> None:
        with suppress(OSError):  # of which a timeout is one
            async with asyncio.timeout(BYE_SECONDS_MAX):
                await process.post(self._peers.present, frame_of(Tag.BYE, topic))

    async def _until_somebody_listens(self) -> None:
        while not self._peers.present:
            self._somebody_came.clear()
            await self._somebody_came.wait()

    async def _send(self, process: NknProcess, data: bytes) -> None:
        if present := self._peers.present:
            await process.send(present, data)

    async def _greet(self, process: NknProcess, topic: str) -> None:
        """Say hello to whoever is not known to be there, and now and then to all."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            due = self._peers.to_greet(loop.time())
            if due:
                self._greeted_at = dict.fromkeys(due, loop.time())
                for address in due:  # one by one: a key that is none spoils what it is sent with
                    hello = greeting(Tag.HELLO, topic, self._peers.told(self.address))
                    await process.post([address], hello)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._wake.wait()

    async def _read(self, process: NknProcess, topic: str) -> None:
        pace = Pace()
        async for said in process.messages():
            data = sent_bytes(said)
            frame = read_frame(data, topic)
            if frame is None:
                self._refused += 1
            else:
                await self._hear(process, topic, said, frame)
            await asyncio.sleep(pace.pause_seconds(len(data)))

    async def _hear(self, process: NknProcess, topic: str, said: Said, frame: Frame) -> None:
        now, was_present = asyncio.get_running_loop().time(), said.sender in self._peers.present
        if frame.tag is Tag.BYE:
            self._peers.left(said.sender)
        elif not self._peers.heard(said.sender, now):
            self._refused += 1
        elif frame.tag is Tag.PACKET:
            self._take(frame.body)
        else:
            if frame.tag is Tag.ANSWER and said.sender in self._greeted_at:
                self._round_trip_ms = round(1000 * (now - self._greeted_at.pop(said.sender)))
            elif frame.tag is Tag.HELLO and self._peers.may_answer(said.sender, now):
                await process.post([said.sender], greeting(Tag.ANSWER, topic, self._peers.told(self.address)))
            for address in frame.addresses:
                self.suggest(address)
        if not was_present and said.sender in self._peers.present:
            self._somebody_came.set()
            self._greeter.somebody_came()
