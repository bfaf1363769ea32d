"""The loop around a node: inputs in, their batches performed whole and in order, the timer kept."""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from dicast.base.errors import AdapterError
from dicast.base.types import Now, RequestId
from dicast.daemon.attached_blobs import AttachedBlobs, NoBlobs
from dicast.daemon.clock import RealClock
from dicast.daemon.commits import Commits
from dicast.daemon.discovery import Discovery
from dicast.daemon.effects import Effects
from dicast.daemon.health_log import HealthLog
from dicast.daemon.inbox import Inbox
from dicast.daemon.logs import Log
from dicast.daemon.multiplexer import Multiplexer
from dicast.daemon.packet_kinds import PacketKinds
from dicast.daemon.subscriptions import Reports
from dicast.daemon.tellings import InferenceStarted, inference_ended
from dicast.daemon.watch import Watch
from dicast.ports import Blobs, Embedder, Engine, Finder, Store, Transport
from dicast.protocol.attached import SERVING
from dicast.protocol.inputs import InferenceFailed, InferenceFinished, Input, TimeReached
from dicast.protocol.messages import OfferedModel
from dicast.protocol.node import Node
from dicast.protocol.outputs import Batch, DropBlob, FetchBlob, ShareBlob, StartInference
from dicast.protocol.places import Place

INPUTS_A_GROUP = 32
"""Inputs handled before sockets get their turn, and committed together: 32 checked packets take two
milliseconds, less than one sync of a disk."""


class Source(Protocol):
    """Something outside that the node is told about as it happens, such as a randomness beacon."""

    async def follow(self, submit: Callable[[Input], None]) -> None:
        """Hand every event to `submit`, until cancelled."""
        ...


class Parts(msgspec.Struct, frozen=True):
    """What a driver drives, sources it listens to, and where a person says that peers are."""

    store: Store
    transports: Sequence[Transport]
    engines: Sequence[Engine]
    embedders: Mapping[str, Embedder]
    sources: Sequence[Source] = ()
    finders: Sequence[Finder] = ()
    given: Sequence[Place] = ()
    blobs: Blobs = NoBlobs()


class DriverCounts(msgspec.Struct):
    """What the loop has done since it started."""

    inputs: int = 0
    packets_received: int = 0
    packets_dropped: int = 0
    packets_sent: int = 0


class Driver:
    """Drives one node until `stop` is called or something fails that is our own bug."""

    def __init__(self, node: Node, parts: Parts, log: Log) -> None:
        self.node = node
        self.parts = parts
        self.reports = Reports()
        self.counts = DriverCounts()
        self.clock = RealClock()
        self.kinds = PacketKinds()
        self.log = log
        self.transports = Multiplexer(parts.transports, self._receive, log)
        self._log = log
        self._commits = Commits(parts.store, self._act)
        self._effects = Effects(parts.engines, parts.embedders, self._own_input, self._bug_found, log)
        self._attached = AttachedBlobs(parts.blobs, self._serving_peers, self._own_input, log)
        self.discovery = Discovery(parts.transports, parts.finders, parts.given, self._own_input, log)
        self._own: deque[Input] = deque()
        self._packets = Inbox()
        self._carriers = tuple(lane.transport.name for lane in self.transports.lanes)
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_ms = -1
        self._stopping = False
        self._bug: BaseException | None = None
        self._following: list[asyncio.Task[None]] = []
        self.started = asyncio.Event()
        self.ended = asyncio.Event()

    def submit(self, entry: Input) -> None:
        """Queue an input of our own: a question, a cancellation."""
        self._own_input(entry)

    @property
    def engines(self) -> Mapping[str, tuple[tuple[OfferedModel, ...], str]]:
        """What each engine offered when it was asked last, or why it did not answer."""
        return self._effects.engines_seen

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that the engines can run now."""
        return self._effects.models

    def failure_of(self, request_id: RequestId) -> str:
        """Why our engine gave up on a request, and the next step; empty if it did not."""
        return self._effects.failures.get(request_id, "")

    def stop(self) -> None:
        """Ask the loop to end after the batch it is in."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Start the adapters, drive the node until stopped, and give everything back."""
        try:
            batch = self.node.start(self.clock.now())
            self._set_timer()
            await self._commits.perform((batch,))
            await self._start_adapters()
            self.started.set()
            while not self._stopping:
                await self._turn()
            if self._bug is not None:
                raise self._bug
            await self._handle_own()  # a withdrawn question is still told to its members
        except AdapterError as error:
            self._log.error("node_stopped", code=error.code, reason=str(error))
            raise
        except Exception as error:
            self._log.error("bug", error=repr(error), trace=traceback.format_exc())
            raise
        finally:
            await self._close()

    async def _start_adapters(self) -> None:
        await self.transports.start(self.node.topic)
        self._following = [asyncio.create_task(self._follow(source)) for source in self.parts.sources]
        watch = Watch(self.node, self.transports.lanes, self.kinds, self.reports.tell)
        self._following.append(asyncio.create_task(watch.follow()))
        self._following.append(asyncio.create_task(HealthLog(self.transports.lanes, self._log).follow()))
        self.discovery.start()
        await self._effects.start()
        await self._handle_own()

    async def _turn(self) -> None:
        await self._wake.wait()
        self._wake.clear()
        batches: list[Batch] = []
        while not self._stopping and len(batches) < INPUTS_A_GROUP:
            now = self._now()
            entry = self._next_input(now)
            if entry is None:
                break
            batches.append(self._handle(entry, now))
        else:
            self._wake.set()
        self._set_timer()
        await self._commits.perform(batches)
        if self._wake.is_set():
            await asyncio.sleep(0)

    async def _handle_own(self) -> None:
        while self._own:
            await self._commits.perform((self._handle(self._own.popleft(), self._now()),))
        self._set_timer()

    def _next_input(self, now: Now) -> Input | None:
        """The timer first, then our own results, then packets: finished work must not wait for a flood."""
        if 0 <= self._timer_at_ms <= now.monotonic_ms:
            self._timer_at_ms = -1  # until the group's end: `_set_timer` says what is due next
            return TimeReached()
        if self._own:
            return self._own.popleft()
        return self._packets.take()

    def _handle(self, entry: Input, now: Now) -> Batch:
        self.counts.inputs += 1
        if isinstance(entry, InferenceFinished | InferenceFailed):
            self.reports.tell(inference_ended(entry))
        return self.node.handle(entry, now)

    def _act(self, batch: Batch) -> None:
        """Perform all but the writes, which are durable by now."""
        for send in batch.sends:
            self.counts.packets_sent += 1
            self.kinds.sent(send.wire, self._carriers)
            self.transports.publish(send.wire)
        for errand in batch.errands:
            self.discovery.perform(errand)
        for run in batch.runs:
            if isinstance(run, ShareBlob | FetchBlob | DropBlob):
                self._attached.perform(run)
                continue
            if isinstance(run, StartInference):
                self.reports.tell(InferenceStarted(run.request_id, run.model))
            self._effects.perform(run)
        assert not batch.submits, "version 1 has no rails"
        for report in batch.reports:
            self.reports.tell(report)

    def _serving_peers(self) -> Sequence[str]:
        """Where other nodes give blobs, as they announced."""
        offers = (peer.offer.addresses.get(SERVING, ()) for peer in self.node.peers())
        return tuple(addresses[0] for addresses in offers if addresses)

    def _now(self) -> Now:
        now = self.clock.now()
        if self.clock.set_back_ms > 1000:
            self._log.debug("clock_set_back", behind_ms=self.clock.set_back_ms)
        return now

    def _set_timer(self) -> None:
        """Look once a group of inputs when the node wants to be woken: asking every part takes a while."""
        deadline = self.node.deadline
        self._timer_at_ms = -1 if deadline is None else deadline.at_ms
        if deadline is not None:
            self._arm(deadline.at_ms)

    def _arm(self, at_ms: int) -> None:
        loop = asyncio.get_running_loop()
        when_s = loop.time() + max(0, at_ms - self.clock.now().monotonic_ms) / 1000
        if self._timer is not None:
            if self._timer.when() <= when_s:
                return  # it is armed again when it fires
            self._timer.cancel()
        self._timer = loop.call_at(when_s, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self.clock.now().monotonic_ms < self._timer_at_ms:
            self._arm(self._timer_at_ms)
        else:
            self._wake.set()

    async def _follow(self, source: Source) -> None:
        try:
            await source.follow(self._own_input)
        except Exception as error:
            self._bug_found(error)

    def _bug_found(self, error: BaseException) -> None:
        self._bug = error
        self.stop()

    def _own_input(self, entry: Input) -> None:
        self._own.append(entry)
        self._wake.set()

    def _receive(self, wire: bytes, carrier: str) -> None:
        self.counts.packets_received += 1
        self.kinds.received(wire, carrier)
        if self._stopping or not self._packets.put(wire, carrier):
            self.counts.packets_dropped += 1
            return
        self._wake.set()

    async def _close(self) -> None:
        self._stopping = True
        self.ended.set()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._following:
            task.cancel()
        self.reports.close()
        await self._effects.close()
        await self._attached.close()
        await self.discovery.stop()
        await self.transports.stop()
        self._commits.close()
