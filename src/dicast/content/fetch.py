"""A blob from several sources at once: each chunk is checked as it comes, and a liar is not asked again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from dicast.base.errors import AdapterError
from dicast.base.merkle import BLOB_BYTES_MAX, CHUNK_BYTES_MIN
from dicast.content.disk import disk_error
from dicast.content.manifest import Manifest
from dicast.content.partial import Partial
from dicast.content.scanning import Progress
from dicast.content.sources import LyingSourceError, Source, SourceError
from dicast.content.store import BlobStore

FAILURES_MAX = 3  # of one source in a row; then it is left
CHUNK_SECONDS_MAX = 60.0  # for one chunk; a source that is slower holds up the rest
MANIFEST_SECONDS_MAX = 30.0  # to hear all sources; who is late may still give chunks
RETRY_SECONDS = 0.5  # before a source that failed is asked again

Accept = Callable[[Manifest], bool]


class Penalty(msgspec.Struct, frozen=True):
    """A source that was left, why, and whether it lied."""

    source: str
    reason: str
    lied: bool


class Fetched(msgspec.Struct, frozen=True):
    """A blob that is here now, what came from where, and who was left."""

    path: Path
    manifest: Manifest
    bytes_from: dict[str, int]
    penalties: tuple[Penalty, ...]


class Fetcher:
    """One blob. `accept` says whether a manifest is of what was asked for, where that is known beforehand."""

    def __init__(self, store: BlobStore, sha256: str, accept: Accept | None = None) -> None:
        self._store = store
        self._sha256 = sha256
        self._accept = accept
        self._penalties: dict[str, Penalty] = {}
        self._bytes_from: Counter[str] = Counter()

    async def fetch(self, sources: Sequence[Source], progress: Progress, *, pin: bool = False) -> Fetched:
        """Load it, or go on with loading it. What came stays when this is cancelled. Raises AdapterError."""
        try:
            partial = await asyncio.to_thread(self._store.partial, self._sha256)
            try:
                manifest = await self._fetch(partial, list(sources), progress)
                await asyncio.to_thread(self._store.finish, partial, manifest, pin=pin)
            finally:
                partial.close()
        except OSError as error:
            raise disk_error(error) from error
        finally:
            await asyncio.gather(*(source.close() for source in sources))
        path = self._store.folder / self._sha256
        return Fetched(path, manifest, dict(self._bytes_from), tuple(self._penalties.values()))

    async def _fetch(self, partial: Partial, sources: list[Source], progress: Progress) -> Manifest:
        offered = await self._manifests(sources)
        while True:
            live = [source for source in sources if source.name not in self._penalties]
            manifest = self._chosen(partial, [offered[one.name] for one in live if one.name in offered])
            if manifest is None:
                break
            by = [one for one in live if offered.get(one.name, manifest) == manifest]
            if not by:
                raise self.failure("no source is left")
            await asyncio.to_thread(self._begin, partial, manifest)
            await _Race(self, partial, manifest, progress).run(by)
            if await asyncio.to_thread(partial.digest) == self._sha256:
                return manifest
            self._restart(partial, [one.name for one in by if offered.get(one.name) == manifest])
        if self._accept is not None:
            raise self.failure("no source has a manifest that fits what was asked for")
        return await self._one_by_one(partial, sources, progress)

    async def _manifests(self, sources: Sequence[Source]) -> dict[str, Manifest]:
        """What each source says the blob is. One that says something else than was asked for has lied."""

        async def ask(source: Source) -> None:
            try:
                async with asyncio.timeout(MANIFEST_SECONDS_MAX):
                    manifest = await source.manifest()
            except (SourceError, TimeoutError):
                return
            if manifest is None:
                return
            if manifest.sha256 != self._sha256 or (self._accept and not self._accept(manifest)):
                self.penalise(source.name, "its manifest is of something else", lied=True)
            else:
                offered[source.name] = manifest

        offered: dict[str, Manifest] = {}
        await asyncio.gather(*(ask(source) for source in sources))
        return offered

    def _chosen(self, partial: Partial, offered: Sequence[Manifest]) -> Manifest | None:
        """What an earlier try went by, where nobody says otherwise; else what most sources say."""
        known = partial.known_manifest()
        if known is not None and (known.sha256 != self._sha256 or (self._accept and not self._accept(known))):
            known = None
        if known in offered or not offered:
            return known
        counted = Counter((one.size, one.root) for one in offered)
        return max(offered, key=lambda one: counted[one.size, one.root])

    def _begin(self, partial: Partial, manifest: Manifest) -> None:
        partial.begin(manifest)
        self._store.make_room(manifest.size - partial.done_bytes())

    def _restart(self, partial: Partial, names: Sequence[str]) -> None:
        """Every chunk fitted the manifest, and the whole is wrong: the manifest lied, and who gave it."""
        for name in names:
            self.penalise(name, "its manifest is of another file", lied=True)
        partial.forget()
        if self._accept is not None:
            raise self.failure("the magnet link is of another file")

    async def _one_by_one(self, partial: Partial, sources: Sequence[Source], progress: Progress) -> Manifest:
        """Nobody has a manifest: each source alone, and its bytes are believed once they are all here."""
        for source in sources:
            if source.name in self._penalties or not await self._streamed(partial, source, progress):
                continue
            if await asyncio.to_thread(partial.digest) == self._sha256:
                return await asyncio.to_thread(partial.scanned)
            self.penalise(source.name, "its bytes are another file", lied=True)
            partial.forget()
        raise self.failure("no source is left")

    async def _streamed(self, partial: Partial, source: Source, progress: Progress) -> bool:
        """Whether a source gave all that it has."""
        reason = ""
        for _ in range(FAILURES_MAX):
            try:
                await self._stream(partial, source, progress)
            except LyingSourceError as error:
                self.penalise(source.name, str(error), lied=True)
                return False
            except SourceError as error:
                reason = str(error)
            else:
                return True
        self.penalise(source.name, reason, lied=False)
        return False

    async def _stream(self, partial: Partial, source: Source, progress: Progress) -> None:
        start = done = partial.length()
        size, came, loop = -1, 0, asyncio.get_running_loop()
        late = loop.time() + CHUNK_SECONDS_MAX
        async for claimed, piece in source.stream(start):
            came += len(piece)
            if came >= CHUNK_BYTES_MIN:
                came, late = 0, loop.time() + CHUNK_SECONDS_MAX
            elif loop.time() > late:
                raise SourceError(f"no chunk within {CHUNK_SECONDS_MAX:.0f} s")
            if size < 0:
                size = claimed
                if size > BLOB_BYTES_MAX or size < start:
                    raise LyingSourceError("it claims a length that cannot be")
                self._store.make_room(size - start)
            done += len(piece)
            if done > size:
                raise LyingSourceError("it sent more than it said")
            await asyncio.to_thread(partial.append, piece)
            self._bytes_from[source.name] += len(piece)
            progress(done, size)
        if done < size:
            raise SourceError("the connection was closed")

    def penalise(self, name: str, reason: str, *, lied: bool) -> None:
        """Leave a source, for this blob."""
        self._penalties.setdefault(name, Penalty(name, reason, lied))

    def is_left(self, name: str) -> bool:
        """Whether a source is not asked any more."""
        return name in self._penalties

    def came(self, name: str, length: int) -> None:
        """A chunk of a source was right."""
        self._bytes_from[name] += length

    def failure(self, what: str) -> AdapterError:
        """What is told when it does not work out."""
        why = "; ".join(f"{one.source}: {one.reason}" for one in self._penalties.values())
        return AdapterError(
            "blob_failed",
            f"{self._sha256[:16]}… could not be loaded: {what}{'. ' + why if why else ''}.",
            "Name another source with --from; what came is kept, and the next try goes on from there.",
        )


class _Race:
    """Chunks handed to whoever is free; the last ones to several, so that a slow source holds up nobody."""

    def __init__(self, fetcher: Fetcher, partial: Partial, manifest: Manifest, progress: Progress) -> None:
        self._fetcher = fetcher
        self._partial = partial
        self._manifest = manifest
        self._progress = progress
        self._missing = dict.fromkeys(partial.missing())
        self._asked: dict[int, set[str]] = {}
        self._reading: dict[int, list[asyncio.Task[None]]] = {}
        self._done_bytes = partial.done_bytes()
        self._changed = asyncio.Event()

    async def run(self, sources: Sequence[Source]) -> None:
        """Until every chunk is here. Raises AdapterError when no source is left."""
        self._progress(self._done_bytes, self._manifest.size)
        workers = [
            asyncio.create_task(self._work(source)) for source in sources for _ in range(source.parallel)
        ]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        if self._missing:
            raise self._fetcher.failure("no source is left")

    async def _work(self, source: Source) -> None:
        """Ask one source for one chunk after another, until all are here or the source is left."""
        failures = 0
        while self._missing and not self._fetcher.is_left(source.name):
            index = self._next(source.name)
            if index is None:
                self._changed.clear()
                await self._changed.wait()
                continue
            reading = asyncio.create_task(self._one(source, index))
            self._reading.setdefault(index, []).append(reading)
            try:
                await reading
                failures = 0
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is None or task.cancelling():  # else only this reading is over: the chunk is here
                    raise
            except LyingSourceError as error:
                self._fetcher.penalise(source.name, str(error), lied=True)
            except (SourceError, TimeoutError) as error:
                failures += 1
                if failures == FAILURES_MAX:
                    reason = str(error) or f"no chunk within {CHUNK_SECONDS_MAX:.0f} s"
                    self._fetcher.penalise(source.name, reason, lied=False)
                await asyncio.sleep(RETRY_SECONDS)
            finally:
                reading.cancel()
                self._asked[index].discard(source.name)
                self._changed.set()

    def _next(self, name: str) -> int | None:
        """The first chunk that nobody was asked for, else one that only others were."""
        free = next((index for index in self._missing if not self._asked.get(index)), None)
        if free is None:
            free = next((index for index in self._missing if name not in self._asked[index]), None)
        if free is not None:
            self._asked.setdefault(free, set()).add(name)
        return free

    async def _one(self, source: Source, index: int) -> None:
        start, length = self._manifest.span(index)
        async with asyncio.timeout(CHUNK_SECONDS_MAX):
            data = await source.read(start, length, self._manifest.size)
        if index not in self._missing:
            return
        if not await asyncio.to_thread(self._partial.put, index, data):
            raise LyingSourceError(f"wrong bytes in chunk {index}")
        if index in self._missing:
            del self._missing[index]
            self._fetcher.came(source.name, length)
            self._done_bytes += length
            self._progress(self._done_bytes, self._manifest.size)
            for other in self._reading.pop(index):
                if other is not asyncio.current_task():
                    other.cancel()  # it is here; a slow source need not finish
