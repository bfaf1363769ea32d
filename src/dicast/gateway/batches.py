"""The batches of the gateway: goes on with every open one, whatever was stopped or killed in between."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from dicast.base.errors import DicastError
from dicast.batch import book
from dicast.batch.book import OPEN_STATES, Book
from dicast.batch.dispatch import Dispatcher
from dicast.batch.input import read_index, read_line
from dicast.batch.runner import Runner
from dicast.client_channel import Channel
from dicast.daemon.logs import Log
from dicast.gateway.batch_lines import LineAnswers, endpoints_for, failed_line, id_of
from dicast.gateway.errors import GatewayError
from dicast.gateway.guard import Caller
from dicast.gateway.keys import KeyFile, KeyRecord
from dicast.gateway.parts import Endpoint, Parts
from dicast.gateway.spending import NOBODY

WINDOW_S = 86_400
"""OpenAI's only completion window."""
RUNNING_MAX = 4
"""Batches that are answered at a time: one alone keeps all nodes busy, a few let short ones pass."""
LOOK_S = 1.0
"""How often another process on the same folder may have left us something, such as a cancellation."""


class BatchRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as the book keeps it, beside its state and its counts."""

    id: str
    endpoint: str
    input_file_id: str
    created_at: int
    expires_at: int
    metadata: dict[str, str] | None = None
    times: dict[str, int] = {}
    """When it came into each state: `in_progress_at` and so on."""
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: tuple[dict[str, Any], ...] = ()


class Batches:
    """All batches and files of one state folder."""

    def __init__(self, state_dir: Path, channel: Channel, keys: KeyFile, log: Log) -> None:
        self.book = Book(state_dir)
        self.files = self.book.folder / "files"
        self.files.mkdir(mode=0o700, exist_ok=True)
        self._dispatcher = Dispatcher(channel)
        self._runner = Runner(self.book, self._dispatcher)
        self._keys = keys
        self._log = log
        self._endpoints: Mapping[str, Endpoint] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._answering: set[str] = set()
        self._places = asyncio.Semaphore(RUNNING_MAX)
        self._wake = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    def start(self, parts: Parts) -> None:
        """Go on with what is open, and with what comes."""
        self._endpoints = endpoints_for(parts, self._dispatcher)
        self._following = asyncio.get_running_loop().create_task(self._follow())

    async def close(self) -> None:
        """Stop; what is answered is kept, and the next start goes on."""
        tasks = [*self._running.values(), *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.book.close()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The routes that a batch can be for."""
        return tuple(self._endpoints)

    def path_of(self, file_id: str) -> Path:
        """Where the bytes of a file are."""
        return self.files / file_id

    def find(self, batch_id: str) -> tuple[str, str, BatchRecord] | None:
        """State, owner and record of a batch."""
        found = self.book.job(batch_id)
        if found is None or not batch_id.startswith("batch_"):
            return None
        state, owner, document = found
        return state, owner, msgspec.json.decode(document, type=BatchRecord)

    async def add(self, record: BatchRecord, owner: str) -> None:
        """A new batch; it is answered as soon as there is room."""
        await self.book.write(book.new_job(record.id, owner, "validating", record.created_at, record))
        self._wake.set()

    async def cancel(self, batch_id: str) -> None:
        """What is answered is kept, no more is asked; harmless for one that is over."""
        found = self.find(batch_id)
        if found is not None and found[0] in {"validating", "in_progress"}:
            await self._move(found[2], "cancelling")
            self._wake.set()

    async def _follow(self) -> None:
        """One process at a time works on a folder: the lock goes with it."""
        descriptor = os.open(self.book.folder / "gateway.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            while True:
                with suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._adopt()
                await self._woken()
        finally:
            os.close(descriptor)

    async def _woken(self) -> None:
        """Until something happened here, or may have elsewhere."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()
        self._wake.clear()

    def _adopt(self) -> None:
        """Begin what nobody works on; end what was cancelled."""
        for batch_id in self.book.open_jobs():
            task = self._running.get(batch_id)
            if task is None:
                task = self._running[batch_id] = asyncio.get_running_loop().create_task(self._work(batch_id))
                task.add_done_callback(lambda _, gone=batch_id: self._ended(gone))
            elif batch_id in self._answering and (found := self.find(batch_id)) and found[0] == "cancelling":
                self._answering.discard(batch_id)
                task.cancel()

    def _ended(self, batch_id: str) -> None:
        del self._running[batch_id]
        self._answering.discard(batch_id)
        self._wake.set()

    async def _work(self, batch_id: str) -> None:
        """From wherever it stands to its end."""
        found = self.find(batch_id)
        assert found is not None, "an open job is in the book"
        state, owner, record = found
        try:
            if state in {"validating", "in_progress"}:
                self._answering.add(batch_id)
                async with self._places:
                    state = await self._answered(state, owner, record)
            if state in OPEN_STATES:
                await self._finish(batch_id, owner)
        except DicastError as error:
            self._log.error("batch", batch=batch_id, code=error.code, reason=str(error))
            await asyncio.sleep(LOOK_S)  # then it is begun again: the disk may have room by then
        except Exception as error:
            self._log.error("bug", error=repr(error), trace="".join(traceback.format_exception(error)))
            await self._failed(record, "internal_error", "The gateway failed; its log says why.")

    async def _answered(self, state: str, owner: str, record: BatchRecord) -> str:
        """Every line, until the batch's time is over; the state that it is in then."""
        path = self.path_of(record.input_file_id)
        if state == "validating":
            try:
                index = await asyncio.to_thread(read_index, path)
            except DicastError as error:
                await self._failed(record, error.code, error.message)
                return "failed"
            record = await self._move(record, "in_progress", *book.put_lines(record.id, index.lines))
        caller = JobCaller(owner, self._keys)
        answers = LineAnswers(path, self._endpoints, caller, record.endpoint)
        try:
            async with asyncio.timeout(max(0.0, record.expires_at - time.time())):
                await self._runner.run(record.id, answers.answer)
        except TimeoutError:
            pass
        self._answering.discard(record.id)
        await self._move(record, "finalizing")
        return "finalizing"

    async def _finish(self, batch_id: str, owner: str) -> None:
        """Write the files of output and errors, the same however often it is begun; then it is over."""
        found = self.find(batch_id)
        assert found is not None, "an open job is in the book"
        state, _, record = found
        expired = self.book.counts(batch_id).left > 0
        end = "cancelled" if state == "cancelling" else "expired" if expired else "completed"
        await asyncio.to_thread(self._write_files, record, end)
        statements: list[book.Statement] = []
        named: dict[str, str] = {}
        for kind in ("output", "error"):
            file_id = _file_id(batch_id, kind)
            size = self.path_of(file_id).stat().st_size
            if size:
                named[f"{kind}_file_id"] = file_id
                name = f"{batch_id}_{kind}.jsonl"
                statements.append(put_file(file_id, owner, (name, "batch_output", size)))
            else:
                self.path_of(file_id).unlink()
        await self._move(msgspec.structs.replace(record, **named), end, *statements)

    def _write_files(self, record: BatchRecord, end: str) -> None:
        read = Book(self.book.folder.parent)  # connections are not shared between threads
        try:
            good = (result for _, result in read.results(record.id, True))
            bad = (result for _, result in read.results(record.id, False))
            self._write_file(_file_id(record.id, "output"), good)
            self._write_file(_file_id(record.id, "error"), chain(bad, self._left(read, record, end)))
        finally:
            read.shut()

    def _left(self, read: Book, record: BatchRecord, end: str) -> Iterator[bytes]:
        """What is said of lines that were not answered."""
        after = -1
        message = f"The batch was {end} before this line was answered."
        while lines := read.unanswered(record.id, after):
            for line in lines:
                content = read_line(self.path_of(record.input_file_id), line)
                yield failed_line(line, id_of(content), f"batch_{end}", message)
            after = lines[-1].number

    def _write_file(self, file_id: str, lines: Iterable[bytes]) -> None:
        path = self.path_of(file_id)
        temporary = path.with_suffix(".part")
        with temporary.open("wb") as file:
            file.writelines(line + b"\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o600)
        temporary.replace(path)

    async def _move(self, record: BatchRecord, state: str, *more: book.Statement) -> BatchRecord:
        """Into another state, with the time of it."""
        times = {**record.times, f"{state}_at": int(time.time())}
        record = msgspec.structs.replace(record, times=times)
        await self.book.write(*more, book.change_job(record.id, state, record))
        return record

    async def _failed(self, record: BatchRecord, code: str, message: str) -> None:
        error = {"code": code, "message": message, "param": None, "line": None}
        await self._move(msgspec.structs.replace(record, errors=(error,)), "failed")


class JobCaller(Caller):
    """Whose batch it is: a key that may be revoked while it runs, or nobody in particular."""

    def __init__(self, owner: str, keys: KeyFile) -> None:
        self._owner = owner
        self._all = keys
        super().__init__(self._find(), keys)

    def check(self) -> None:
        """Raise GatewayError when the key was revoked in the meantime."""
        if self._owner != NOBODY and self._find() is None:
            raise GatewayError("key_invalid", "The key of this batch was revoked.")

    def _find(self) -> KeyRecord | None:
        return next((one for one in self._all.records() if one.id == self._owner), None)


def put_file(file_id: str, owner: str, told: tuple[str, str, int]) -> book.Statement:
    """A file's name, purpose and size; its bytes are there already."""
    put = (
        "INSERT OR REPLACE INTO file (id, owner, name, purpose, size, made_unix_s) VALUES (?, ?, ?, ?, ?, ?)"
    )
    return put, (file_id, owner, *told, int(time.time()))


def _file_id(batch_id: str, kind: str) -> str:
    return "file-" + hashlib.sha256(f"{batch_id}:{kind}".encode()).hexdigest()[:24]
