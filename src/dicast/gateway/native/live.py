"""What happens, as it happens: heard once from the node, encoded once, handed to everybody who listens."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from dicast.base.errors import DicastError
from dicast.client import AsyncClient, Event
from dicast.daemon.api import EVENT_NAMES, EVENT_TYPES, ReportsDropped
from dicast.daemon.tellings import Listening
from dicast.gateway.errors import GatewayError

LISTENERS_MAX = 1_024
"""As many as were measured (`benchmarks/streams.py`); each costs a queue and a connection."""
WAITING_MAX = 1_024
"""Events that wait for one listener: some rounds of 256 seats. Who is further behind gets a gap."""
KEPT_MAX = 4_096
KEPT_BYTES_MAX = 16 * 1024 * 1024
"""For those who come back: minutes of a busy node. A verdict over 256 seats is 40 kB."""
TICK_S = 0.05
"""Listeners are woken at most twenty times a second, and take all that came meanwhile in one piece."""
TICK_S_A_LISTENER = 0.0005
"""More than 100 are woken less often, 1,000 twice a second: a write to one takes a tenth of a millisecond."""
TAKEN_BYTES_MAX = 32 * 1024
"""Taken at a time: what is being written to 1,000 who read slowly is 32 MB and not 1,000 whole queues."""
REASON_CHARS_MAX = 300
AGAIN_S = 1.0
"""A node that is gone is looked for so often."""

NODE_DOWN, NODE_UP, GAP, BYE, GATES = "node_down", "node_up", "gap", "bye", "gates_fired"
OWN_TYPES = (NODE_DOWN, NODE_UP, GAP, BYE, GATES)
"""What the gateway adds to what the node tells."""
TYPES = frozenset({*EVENT_TYPES, *OWN_TYPES} - {"listening", "token", "stream_restarted"})
"""Provisional texts are told to whoever asked, and to nobody else."""
ALWAYS = frozenset({NODE_DOWN, NODE_UP, GAP, BYE})
"""What every filter lets through: without them a listener would not know what it does not know."""


class Said(NamedTuple):
    """One event: its number, its type, the round it is about, and its JSON."""

    number: int
    type: str
    round: str
    text: bytes
    line: bytes
    """The same as a server-sent event."""


class Filter(NamedTuple):
    """What a listener wants; no types means all, no round means any."""

    types: frozenset[str] = frozenset()
    round: str = ""
    logs: bool = False

    def lets(self, said: Said) -> bool:
        """Whether an event passes."""
        if said.type in ALWAYS:
            return True
        if said.type == "log_line" and not (self.logs or said.type in self.types):
            return False
        if self.types and said.type not in self.types:
            return False
        return not self.round or said.round == self.round


class Listener:
    """The queue of one listener. When it overflows, everything in it goes and a gap takes its place."""

    def __init__(self, wanted: Filter, on_close: Callable[[Listener], None]) -> None:
        self.wanted = wanted
        self._on_close = on_close
        self._waiting: deque[Said] = deque()
        self._missed = 0
        self._wake = asyncio.Event()
        self.closed = False

    def offer(self, said: Said) -> bool:
        """Queue an event that is wanted; whether it was."""
        if self.closed or not self.wanted.lets(said):
            return False
        if len(self._waiting) >= WAITING_MAX:
            self._missed += len(self._waiting)
            self._waiting.clear()
        self._waiting.append(said)
        return True

    def wake(self) -> None:
        """There is something to take."""
        self._wake.set()

    async def take(self, timeout_s: float) -> tuple[int, tuple[Said, ...]]:
        """How many events are missing before these, and some that wait; none when the time is over."""
        if not self._waiting and not self.closed:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._wake.wait()
            except TimeoutError:
                return 0, ()
        missed, self._missed = self._missed, 0
        taken: list[Said] = []
        room = TAKEN_BYTES_MAX
        while self._waiting and room > 0:
            taken.append(self._waiting.popleft())
            room -= len(taken[-1].line)
        return missed, tuple(taken)

    def close(self) -> None:
        """Listen no longer; what waits can still be taken."""
        if not self.closed:
            self.closed = True
            self._on_close(self)
            self._wake.set()


class Live:
    """Everybody who listens, and the events of the last minutes."""

    def __init__(self, client: AsyncClient, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._epoch = secrets.token_hex(4)
        self._number = 0
        self._kept: deque[Said] = deque()
        self._kept_bytes = 0
        self._listeners: set[Listener] = set()
        self._touched: set[Listener] = set()
        self._tick: asyncio.TimerHandle | None = None
        self._following: asyncio.Task[None] | None = None
        self.is_down = False
        self._lost = ""
        self.on_event: Callable[[Event], None] | None = None
        """Is handed what the node tells, when somebody listens."""

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def listen(self, wanted: Filter, last_id: str = "") -> Listener:
        """A new listener, from now on or from after the event `last_id`. Raises GatewayError `overloaded`."""
        if len(self._listeners) >= LISTENERS_MAX:
            raise GatewayError("overloaded", f"{LISTENERS_MAX} listen already.")
        if self._following is None:
            self._following = asyncio.get_running_loop().create_task(self._follow())
        listener = Listener(wanted, self._forget)
        for said in self._since(last_id):
            listener.offer(said)
        if self.is_down:
            listener.offer(self._down())
        self._listeners.add(listener)
        return listener

    def tell(self, name: str, values: dict[str, Any]) -> None:
        """Hand one event to everybody."""
        self._number += 1
        envelope = {"id": self.id_of(self._number), "at_unix_ms": int(self._clock() * 1000), "type": name}
        text = msgspec.json.encode({**envelope, "data": values})
        said = Said(self._number, name, str(values.get("request_id", "")), text, self._line(text))
        self._keep(said)
        for listener in self._listeners:
            if listener.offer(said):
                self._touched.add(listener)
        if self._touched and self._tick is None:
            pause_s = max(TICK_S, TICK_S_A_LISTENER * len(self._listeners))
            self._tick = asyncio.get_running_loop().call_later(pause_s, self._wake_touched)

    def gap(self, missed: int | None) -> bytes:
        """What takes the place of events that are lost; it has no id, for nothing can be resumed there."""
        return msgspec.json.encode(
            {"id": "", "at_unix_ms": int(self._clock() * 1000), "type": GAP, "data": {"missed": missed}}
        )

    def id_of(self, number: int) -> str:
        """An event's id: those of another run of the gateway are recognised."""
        return f"{self._epoch}-{number}"

    def close(self) -> None:
        """Say goodbye to everybody and listen to the node no longer."""
        if self._listeners:
            self.tell(BYE, {})
        if self._following is not None:
            self._following.cancel()
            self._following = None
        for listener in tuple(self._listeners):
            listener.close()

    def _line(self, text: bytes) -> bytes:
        return b"id: " + self.id_of(self._number).encode() + b"\ndata: " + text + b"\n\n"

    def _since(self, last_id: str) -> Iterable[Said]:
        """What came after an event; a gap when that is not known any more."""
        if not last_id:
            return ()
        epoch, _, number = last_id.partition("-")
        is_ours = epoch == self._epoch and number.isascii() and number.isdigit() and len(number) < 16
        first = self._kept[0].number if self._kept else self._number + 1
        if not is_ours or not first - 1 <= int(number) <= self._number:
            text = self.gap(None)
            return (Said(0, GAP, "", text, b"data: " + text + b"\n\n"),)
        return tuple(said for said in self._kept if said.number > int(number))

    def _keep(self, said: Said) -> None:
        self._kept.append(said)
        self._kept_bytes += len(said.text)
        while len(self._kept) > KEPT_MAX or self._kept_bytes > KEPT_BYTES_MAX:
            self._kept_bytes -= len(self._kept.popleft().text)

    def _wake_touched(self) -> None:
        self._tick = None
        for listener in self._touched:
            listener.wake()
        self._touched.clear()

    def _forget(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def _follow(self) -> None:
        """Hear the node, and hear it again when it was gone."""
        while True:
            try:
                async for event in self._client.events(logs=True, slim=True):
                    self._hear(event)
            except DicastError as error:
                self._lose(error.message)
            except Exception as error:
                self._lose(f"The node cannot be understood: {error!r}"[:REASON_CHARS_MAX])
            else:
                self._lose("The node was stopped.")
            await asyncio.sleep(AGAIN_S)

    def _lose(self, reason: str) -> None:
        if not self.is_down:
            self.is_down, self._lost = True, reason
            self.tell(NODE_DOWN, {"reason": reason})

    def _down(self) -> Said:
        """For those who come when the node is gone already; it has no id: nothing can be resumed there."""
        told = {"id": "", "at_unix_ms": int(self._clock() * 1000), "type": NODE_DOWN}
        text = msgspec.json.encode({**told, "data": {"reason": self._lost}})
        return Said(0, NODE_DOWN, "", text, b"data: " + text + b"\n\n")

    def _hear(self, event: Event) -> None:
        if isinstance(event, Listening):
            self.is_down = False
            self.tell(NODE_UP, {})
            return
        if isinstance(event, ReportsDropped):
            self.tell(GAP, {"missed": event.count})
            return
        values = msgspec.to_builtins(event)
        values.pop("certificate", None)
        self.tell(EVENT_NAMES[type(event)], values)
        if self.on_event is not None and self._listeners:
            self.on_event(event)
