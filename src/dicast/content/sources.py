"""Where a blob may come from: a web server, which knows ranges or does not, or a node of the mesh."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from dicast.base.merkle import CHUNK_BYTES_MIN
from dicast.content.manifest import MANIFEST_BYTES_MAX, Manifest, ManifestError, decode_manifest
from dicast.content.serving import PART_BYTES_MAX

CONNECT_SECONDS_MAX = 10.0
READ_SECONDS_MAX = 20.0  # a source that sends nothing for so long is stalled
REDIRECTS_MAX = 5  # mirrors send to the nearest copy
PARTS_KEPT_MAX = 8  # of a node's answers: 4 MiB
CONNECTIONS_MAX = 4  # of one source: enough to fill a line, and few enough to be polite
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.ASCII)


class SourceError(Exception):
    """A source did not answer, or not so that it is of use now."""


class LyingSourceError(SourceError):
    """A source gave something that no honest one gives: not asked again for this blob."""


class Source(Protocol):
    """One place that may hold a blob. Raises SourceError and nothing else."""

    name: str
    parallel: int
    """How many chunks to ask for at a time."""

    async def manifest(self) -> Manifest | None:
        """What it says the blob is; None when it has nothing but bytes."""
        ...

    async def read(self, start: int, length: int, size: int) -> bytes:
        """Bytes of a blob of `size`."""
        ...

    def stream(self, start: int) -> AsyncIterator[tuple[int, bytes]]:
        """The size that it claims and its bytes from `start` to the end, unchecked."""
        ...

    async def close(self) -> None:
        """Give back what it holds."""
        ...


class HttpSource:
    """A URL of the blob itself; beside it, with `.manifest` added, there may be its manifest."""

    parallel = CONNECTIONS_MAX

    def __init__(self, url: str, *, follow: bool = True, seconds: float = READ_SECONDS_MAX) -> None:
        self.name = url
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS_MAX)
        limits = httpx.Limits(max_connections=CONNECTIONS_MAX + 1)
        self._client = httpx.AsyncClient(
            timeout=timeout, limits=limits, follow_redirects=follow, max_redirects=REDIRECTS_MAX
        )
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "dicast"}
        self._in_order = _InOrder(self)
        self._knows_ranges = True

    async def manifest(self) -> Manifest | None:
        """The manifest beside it."""
        try:
            async with self._client.stream("GET", self.name + ".manifest", headers=self._headers) as response:
                if response.status_code != HTTPStatus.OK:
                    return None
                return decode_manifest(await _body(response, MANIFEST_BYTES_MAX))
        except ManifestError:
            return None  # many servers answer every path with a page
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _failed(error) from error

    async def read(self, start: int, length: int, size: int) -> bytes:
        """One range; from a server without ranges the next bytes of one long answer."""
        if not self._knows_ranges:
            return await self._in_order.read(start, length)
        headers = self._headers | {"Range": f"bytes={start}-{start + length - 1}"}
        try:
            async with self._client.stream("GET", self.name, headers=headers) as response:
                if response.status_code == HTTPStatus.PARTIAL_CONTENT:
                    _check_range(response, start, length, size)
                    return await _body(response, length)
                _check_whole(response, size)
                self._knows_ranges = False
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _failed(error) from error
        return await self._in_order.read(start, length)

    async def stream(self, start: int) -> AsyncGenerator[tuple[int, bytes], None]:
        """From `start` on; of a server without ranges, what comes before is thrown away."""
        headers = self._headers | ({"Range": f"bytes={start}-"} if start else {})
        try:
            async with self._client.stream("GET", self.name, headers=headers) as response:
                begin, size = _place(response, start)
                to_skip = start - begin
                async for piece in response.aiter_raw():
                    kept = piece[to_skip:]
                    to_skip -= len(piece) - len(kept)
                    yield size, kept
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise _failed(error) from error

    async def close(self) -> None:
        """Hang up."""
        await self._in_order.close()
        await self._client.aclose()


class _InOrder:
    """Chunks out of one answer, for servers without ranges: asked for in order, they come at full speed."""

    def __init__(self, source: HttpSource) -> None:
        self._source = source
        self._turn = asyncio.Lock()
        self._stack: AsyncExitStack | None = None
        self._pieces: AsyncIterator[tuple[int, bytes]] | None = None
        self._place = 0
        self._rest = b""

    async def read(self, start: int, length: int) -> bytes:
        """The bytes from `start`; what comes before is skipped, what is behind is asked for anew."""
        async with self._turn:
            if self._pieces is None or start < self._place:
                await self.close()
                self._stack = AsyncExitStack()
                self._pieces = await self._stack.enter_async_context(aclosing(self._source.stream(0)))
                self._place, self._rest = 0, b""
            await self._take(start - self._place)
            return await self._take(length)

    async def _take(self, length: int) -> bytes:
        assert self._pieces is not None
        taken = bytearray()
        while len(taken) < length:
            while not self._rest:
                try:
                    _, self._rest = await anext(self._pieces)
                except StopAsyncIteration:
                    self._pieces = None
                    raise SourceError("it sent fewer bytes than the blob has") from None
            part = self._rest[: length - len(taken)]
            self._rest = self._rest[len(part) :]
            taken += part
            self._place += len(part)
        return bytes(taken)

    async def close(self) -> None:
        """Hang up."""
        if self._stack is not None:
            await self._stack.aclose()
        self._stack = self._pieces = None


class MeshSource(HttpSource):
    """A node of the WebSocket mesh, which answers plain requests for blobs where it listens.

    It gives at most `PART_BYTES_MAX` an answer and closes: chunks side by side are asked for together.
    """

    parallel = 2 * PART_BYTES_MAX // CHUNK_BYTES_MIN  # two answers at a time, of the smallest chunks

    def __init__(self, url: str) -> None:
        super().__init__(url, follow=False)
        self._parts: dict[int, asyncio.Task[bytes]] = {}

    async def read(self, start: int, length: int, size: int) -> bytes:
        """The bytes, out of as many answers as they take."""
        first, last = start // PART_BYTES_MAX, (start + length - 1) // PART_BYTES_MAX
        parts = [await self._part(number, size) for number in range(first, last + 1)]
        return b"".join(parts)[start - first * PART_BYTES_MAX :][:length]

    async def close(self) -> None:
        """Hang up."""
        for task in self._parts.values():
            task.cancel()
        await asyncio.gather(*self._parts.values(), return_exceptions=True)
        await super().close()

    async def _part(self, number: int, size: int) -> bytes:
        """One answer, asked for once by all who wait for some of it; the last few are kept."""
        task = self._parts.get(number)
        if task is None:
            start = number * PART_BYTES_MAX
            asking = super().read(start, min(PART_BYTES_MAX, size - start), size)
            task = self._parts[number] = asyncio.create_task(asking)
            task.add_done_callback(_seen)
            finished = [old for old, other in self._parts.items() if other.done()]
            for old in finished[: max(0, len(self._parts) - PARTS_KEPT_MAX)]:
                del self._parts[old]
        try:
            return await asyncio.shield(task)
        except SourceError:
            if self._parts.get(number) is task:
                del self._parts[number]
            raise


def mesh_source(address: str, topic: str, sha256: str) -> MeshSource:
    """What a node of the mesh has of a blob."""
    parts = urlsplit(address)
    scheme = "https" if parts.scheme == "wss" else "http"
    return MeshSource(f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/{topic}/blob/{sha256}")


def _seen(task: asyncio.Task[bytes]) -> None:
    """A failure that nobody waits for any more is of no interest."""
    if not task.cancelled():
        task.exception()


async def _body(response: httpx.Response, bytes_max: int) -> bytes:
    taken = bytearray()
    async for piece in response.aiter_raw():
        taken += piece
        if len(taken) > bytes_max:
            raise LyingSourceError("it sent more than it was asked for")
    return bytes(taken)


def _check_range(response: httpx.Response, start: int, length: int, size: int) -> None:
    found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
    if not found or [int(part) for part in found.groups()] != [start, start + length - 1, size]:
        raise LyingSourceError("it answered with another range, or has another file")


def _check_whole(response: httpx.Response, size: int) -> None:
    if response.status_code != HTTPStatus.OK:
        raise SourceError(f"HTTP {response.status_code}")
    if response.headers.get("Content-Length", str(size)) != str(size):
        raise LyingSourceError("it has a file of another length")


def _place(response: httpx.Response, start: int) -> tuple[int, int]:
    """Where an answer begins, and the size that it claims."""
    if response.status_code == HTTPStatus.PARTIAL_CONTENT:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if not found or int(found[1]) != start:
            raise LyingSourceError("it answered with another range")
        return start, int(found[3])
    length = response.headers.get("Content-Length", "")
    if response.status_code != HTTPStatus.OK:
        raise SourceError(f"HTTP {response.status_code}")
    if not length.isdecimal() or len(length) > 15:
        raise SourceError("it does not say how long the file is")
    return 0, int(length)


def _failed(error: Exception) -> SourceError:
    return SourceError(str(error).splitlines()[0][:200] if str(error) else type(error).__name__)
