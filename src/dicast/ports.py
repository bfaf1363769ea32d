"""The doors between a node and the world: each at most five methods, each with an in-memory twin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import msgspec

from dicast.protocol.messages import Attachment, OfferedModel
from dicast.protocol.outputs import StartInference, Write


class TransportHealth(msgspec.Struct, frozen=True):
    """How a transport is doing: `state` is `starting`, `up`, `degraded` or `down`; `detail` is for people."""

    state: str
    detail: str = ""
    sent: int = 0
    received: int = 0
    dropped: int = 0
    round_trip_ms: int | None = None
    """To its server or nearest peer and back, where the protocol can tell."""


class Transport(Protocol):
    """Carries opaque packets to whoever shares a topic; delivery may fail, repeat and reorder."""

    name: str
    payload_bytes_max: int

    async def start(self, topic: str, on_packet: Callable[[bytes], None]) -> None:
        """Begin to carry packets of `topic`; returns at once, connects and reconnects by itself."""
        ...

    def publish(self, wire: bytes) -> None:
        """Queue one packet; never blocks, drops the oldest of a bounded queue."""
        ...

    def peers(self) -> Sequence[str]:
        """Addresses this transport is connected to."""
        ...

    def health(self) -> TransportHealth:
        """How it is doing now."""
        ...

    async def stop(self) -> None:
        """Flush what is queued for at most a second, then disconnect; harmless when repeated."""
        ...


class Generation(msgspec.Struct, frozen=True):
    """What an engine made: the whole text, the model that really answered, token counts, milliseconds."""

    text: str
    model: str
    prompt_tokens: int
    completion_tokens: int
    first_token_ms: int
    total_ms: int
    engine: str


class Reachable(Protocol):
    """The second face of a transport that dials: where others find it, and where it might find others."""

    def addresses(self) -> Sequence[str]:
        """Addresses of this transport that may be told to others; empty when nobody can dial it."""
        ...

    def suggest(self, address: str) -> None:
        """Somebody may be at `address`: hearsay. Never raises or blocks; tried when there is room."""
        ...


class Finder(Protocol):
    """Finds nodes that no relay knows, as a hash table over many machines does. Carries opaque records."""

    name: str
    record_bytes_max: int

    async def start(self, on_record: Callable[[bytes], None]) -> None:
        """Join by itself; every record found later goes to `on_record`, unchecked and perhaps repeatedly."""
        ...

    def provide(self, keys: Sequence[str], record: bytes) -> None:
        """From now on keep `record` to be found under `keys` (64 hex digits each), in place of what was."""
        ...

    def find(self, key: str) -> None:
        """Look once for records under `key`; what is found comes by `on_record`."""
        ...

    def health(self) -> TransportHealth:
        """How it is doing now."""
        ...

    async def stop(self) -> None:
        """Leave; harmless when repeated."""
        ...


class Engine(Protocol):
    """Makes answers. Raises `AdapterError` and nothing else; cancelling the task cancels the work."""

    name: str

    async def models(self) -> tuple[OfferedModel, ...]:
        """What it can run now; empty when its server is not there."""
        ...

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """Run one job, handing pieces of text to `on_text` as they come; together they are the text."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class Embedder(Protocol):
    """Turns texts into packed bits. Deterministic over machines; blocking, so callers use a thread."""

    name: str
    bits: int

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """The packed bits of each text, most significant bit first, in order."""
        ...


class Blobs(Protocol):
    """Attached questions of rounds: kept where others can fetch them. Raises `AdapterError` and no other."""

    async def keep(self, attachment: Attachment, data: bytes) -> None:
        """Give it to whoever asks, until it is released; returns once it is there."""
        ...

    async def fetch(self, attachment: Attachment, nodes: Sequence[str]) -> bytes:
        """Get it from one of these nodes, or wherever else it may be, and keep it; one try."""
        ...

    async def release(self, sha256: str) -> None:
        """No round needs it any more."""
        ...


class Store(Protocol):
    """Durable records: (table, key) -> bytes. One writer."""

    def apply(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable, or none; returns when they are."""
        ...

    def load(self, table: str) -> Iterable[tuple[str, bytes]]:
        """Every (key, value) of a table, in key order."""
        ...

    def get(self, table: str, key: str) -> bytes | None:
        """One value, or None."""
        ...

    def close(self) -> None:
        """Release the store; harmless when repeated."""
        ...
