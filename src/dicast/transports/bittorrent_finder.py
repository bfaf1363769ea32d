"""Records in BitTorrent's hash table (BEP 44): a few slots a key; whoever knows the key may write them."""

from __future__ import annotations

import asyncio
import random
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dicast.base.hashing import tagged
from dicast.ports import TransportHealth
from dicast.torrent_session import Alert, MutableKey, TorrentSession, mutable_key
from dicast.transports.background import end_tasks, start_task

SLOT_TAG = "dicast/dht/slots/1"
SLOTS = 8  # a key: eight random nodes of a network are enough to meet the others through them
KEYS_MAX = 4  # provided at once: each costs eight look-ups of about a hundred packets
LOOKUPS_MAX = 256  # waiting; what is asked beyond is asked again by whoever wants it
READ_SECONDS_MAX = 8.0  # for the slots of one key; the table answers in a second or two, or never
REFRESH_SECONDS = (1.0, 4.0, 16.0, 64.0)  # after a start many write at once: look whether we are still there
REFRESH_SECONDS_MAX = 1500.0  # the table forgets after two hours
VALUE_BYTES_MAX = 995  # what BEP 44 allows, less the length before it
RECORD_BYTES_MAX = 1000
PLAIN, DEFLATED = b"r", b"z"


@dataclass
class _Slots:
    """What is known of one key: its slots as last read."""

    key: MutableKey
    values: dict[int, bytes] = field(default_factory=dict[int, bytes])
    waiting: set[int] = field(default_factory=set[int])
    done: asyncio.Event | None = None


class BittorrentFinder:
    """Keeps a record to be found under keys, and finds those of others."""

    record_bytes_max = RECORD_BYTES_MAX

    def __init__(self, session: TorrentSession, name: str = "bittorrent") -> None:
        self.name = name
        self._session = session
        self._on_record: Callable[[bytes], None] | None = None
        self._keys: dict[str, _Slots] = {}
        self._provided: tuple[str, ...] = ()
        self._record = b""
        self._former = b""
        self._wanted: deque[str] = deque(maxlen=LOOKUPS_MAX)
        self._changed = asyncio.Event()
        self._round = 0
        self._due = 0.0
        self._counts = {"sent": 0, "received": 0, "dropped": 0}
        self._task: asyncio.Task[None] | None = None
        self._state = "new"

    async def start(self, on_record: Callable[[bytes], None]) -> None:
        """Join the table; returns at once."""
        if self._state != "new":
            return
        self._state, self._on_record = "running", on_record
        self._session.on("dht_mutable_item_alert", self._take)
        await self._session.start()
        self._task = start_task(self._run(), "bittorrent records")

    def provide(self, keys: Sequence[str], record: bytes) -> None:
        """Keep `record` under the first few `keys`, in place of what was; one that is too long is counted."""
        value = packed(record)
        if value is None:
            self._counts["dropped"] += 1
            return
        provided = tuple(dict.fromkeys(keys))[:KEYS_MAX]
        if (provided, value) != (self._provided, self._record):
            self._former = self._record or self._former
            self._provided, self._record = provided, value
            self._round, self._due = 0, 0.0
            self._changed.set()

    def find(self, key: str) -> None:
        """Look once; what comes of it goes to `on_record`."""
        if key not in self._wanted:
            self._wanted.append(key)
            self._changed.set()

    def health(self) -> TransportHealth:
        """`up` once the table knows somebody."""
        known = self._session.nodes()
        state = {"new": "starting", "stopped": "down"}.get(self._state) or ("up" if known else "degraded")
        return TransportHealth(state, f"{known} nodes of the table", **self._counts)

    async def stop(self) -> None:
        """Leave; what was provided is forgotten by the table in its time."""
        was_running, self._state = self._state == "running", "stopped"
        await end_tasks(self._task)
        if was_running:
            self._session.off(self._take)
            await self._session.stop()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        await self._session.joined()
        while True:
            self._changed.clear()
            if self._wanted:
                await self._read(self._wanted.popleft())
                continue
            if self._record and loop.time() >= self._due:
                for key in self._provided:
                    await self._put(key)
                self._due = loop.time() + self._pause()
                continue
            try:
                async with asyncio.timeout_at(self._due if self._record else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _pause(self) -> float:
        if not self._session.nodes():
            return REFRESH_SECONDS[0]
        self._round += 1
        few = REFRESH_SECONDS[min(self._round, len(REFRESH_SECONDS)) - 1]
        pause = few if self._round <= len(REFRESH_SECONDS) else REFRESH_SECONDS_MAX
        return pause * random.uniform(0.5, 1.0)  # noqa: S311 (jitter)

    async def _read(self, key: str) -> _Slots:
        """Read every slot of a key; what is found is handed on as it comes."""
        slots = self._keys[key] = self._slots(key)
        slots.values, slots.waiting, slots.done = {}, set(range(SLOTS)), asyncio.Event()
        for slot in range(SLOTS):
            self._session.get(slots.key, _salt(slot))
        try:
            async with asyncio.timeout(READ_SECONDS_MAX):
                await slots.done.wait()
        except TimeoutError:
            pass
        if key not in self._provided:
            self._keys.pop(key, None)
        return slots

    async def _put(self, key: str) -> None:
        """Write the record into the slot that holds it or its former self, else an empty one, else any."""
        slots = await self._read(key)
        mine = [slot for slot, value in slots.values.items() if value in (self._record, self._former)]
        empty = [slot for slot in range(SLOTS) if slot not in slots.values]
        slot = random.choice(mine or empty or range(SLOTS))  # noqa: S311 (spreads writers)
        self._session.put(slots.key, _salt(slot), self._record)
        self._counts["sent"] += 1

    def _slots(self, key: str) -> _Slots:
        known = self._keys.get(key)
        return known if known is not None else _Slots(slot_key(key))

    def _take(self, alert: Alert) -> None:
        for slots in self._keys.values():
            if slots.key.public == bytes(alert.key):
                self._take_slot(slots, alert)

    def _take_slot(self, slots: _Slots, alert: Alert) -> None:
        salt, value = bytes(alert.salt), alert.item
        slot = next((number for number in range(SLOTS) if _salt(number) == salt), None)
        if slot is None:
            return
        if isinstance(value, bytes) and value and slots.values.get(slot) != value:
            slots.values[slot] = value
            record = unpacked(value)
            if record is None:
                self._counts["dropped"] += 1
            elif value != self._record and self._on_record is not None and self._state == "running":
                self._counts["received"] += 1
                self._on_record(record)
        if alert.authoritative:
            slots.waiting.discard(slot)
            if not slots.waiting and slots.done is not None:
                slots.done.set()


def slot_key(key: str) -> MutableKey:
    """The key pair of a key's slots: everybody who knows the key has it, so what they hold is hearsay."""
    return mutable_key(tagged(SLOT_TAG, bytes.fromhex(key)))


def packed(record: bytes) -> bytes | None:
    """A record as a value of the table, deflated where it is too long; None when that is not enough."""
    for value in (PLAIN + record, DEFLATED + zlib.compress(record, 9)):
        if len(value) <= VALUE_BYTES_MAX and len(record) <= RECORD_BYTES_MAX:
            return value
    return None


def unpacked(value: bytes) -> bytes | None:
    """The record that a value holds; None for anything else, whatever the bytes."""
    if value[:1] == PLAIN:
        return value[1:]
    if value[:1] != DEFLATED:
        return None
    inflating = zlib.decompressobj()
    try:
        record = inflating.decompress(value[1:], RECORD_BYTES_MAX + 1)
    except zlib.error:
        return None
    return record if len(record) <= RECORD_BYTES_MAX and inflating.eof else None


def _salt(slot: int) -> bytes:
    return b"%d" % slot
