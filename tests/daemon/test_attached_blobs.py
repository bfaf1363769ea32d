"""What the driver does about attached questions: shared, fetched until time is up, let go, never raising."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Sequence

import pytest

from dicast.base.errors import AdapterError
from dicast.base.types import NodeId, RequestId
from dicast.daemon.attached_blobs import FETCHES_PER_REQUESTER_MAX, AttachedBlobs
from dicast.daemon.logs import Log
from dicast.protocol.inputs import BlobFetched, BlobMissing, Input
from dicast.protocol.messages import Attachment
from dicast.protocol.outputs import DropBlob, FetchBlob, ShareBlob
from waiting import until

pytestmark = pytest.mark.anyio
DATA = b"a question"
NAMED = Attachment(hashlib.sha256(DATA).hexdigest(), len(DATA), "00" * 32, ("ws://asker",))


class Shelf:
    """Blobs that come after so many failed tries."""

    def __init__(self) -> None:
        self.failures = 0
        self.code = "blob_failed"
        self.kept: list[str] = []
        self.asked: list[tuple[str, ...]] = []
        self.busy = 0
        self.busiest = 0
        self.open = asyncio.Event()
        self.open.set()

    async def keep(self, attachment: Attachment, data: bytes) -> None:
        if self.failures:
            raise AdapterError(self.code, "no room")
        self.kept.append(attachment.sha256)

    async def fetch(self, attachment: Attachment, nodes: Sequence[str]) -> bytes:
        self.asked.append(tuple(nodes))
        self.busy += 1
        self.busiest = max(self.busy, self.busiest)
        try:
            await self.open.wait()
        finally:
            self.busy -= 1
        if len(self.asked) <= self.failures:
            raise AdapterError(self.code, "nobody has it")
        self.kept.append(attachment.sha256)
        return DATA

    async def release(self, sha256: str) -> None:
        if sha256 in self.kept:
            self.kept.remove(sha256)


class Desk:
    """A driver's part for attached questions, and what it told the node."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.told: asyncio.Queue[Input] = asyncio.Queue()
        self.log = io.StringIO()
        self.blobs = AttachedBlobs(
            self.shelf, lambda: ("ws://peer",), self.told.put_nowait, Log("debug", stream=self.log)
        )

    async def next(self) -> Input:
        async with asyncio.timeout(60):
            return await self.told.get()


@pytest.fixture
async def desk() -> Desk:
    return Desk()


def fetch(number: int = 0, deadline_ms: int = 60_000, requester: str = "11" * 32) -> FetchBlob:
    return FetchBlob(
        request_id=RequestId(f"{number:064x}"),
        attachment=NAMED,
        requester=NodeId(requester),
        deadline_ms=deadline_ms,
    )


async def test_the_requester_is_asked_first_and_others_when_it_does_not_answer(desk: Desk) -> None:
    desk.shelf.failures = 2
    desk.blobs.perform(fetch())
    assert await desk.next() == BlobFetched(fetch().request_id, DATA)
    assert desk.shelf.asked == [("ws://asker",), ("ws://asker", "ws://peer"), ("ws://asker", "ws://peer")]


async def test_when_the_time_is_up_the_node_is_told_why(desk: Desk) -> None:
    desk.shelf.failures = 1_000
    desk.blobs.perform(fetch(deadline_ms=300))
    assert await desk.next() == BlobMissing(fetch().request_id, "nobody has it")


async def test_what_another_try_does_not_mend_is_told_at_once(desk: Desk) -> None:
    desk.shelf.failures, desk.shelf.code = 1, "blob_quota"
    desk.blobs.perform(fetch())
    assert await desk.next() == BlobMissing(fetch().request_id, "nobody has it")
    assert len(desk.shelf.asked) == 1


async def test_where_nobody_is_to_be_asked_nobody_waits(desk: Desk) -> None:
    desk.shelf.failures, desk.shelf.code = 1_000, "blob_nowhere"
    desk.blobs.perform(fetch())
    assert await desk.next() == BlobMissing(fetch().request_id, "nobody has it")
    assert desk.shelf.asked == [("ws://asker",), ("ws://asker", "ws://peer")]


async def test_one_requester_takes_a_quarter_of_the_fetches_at_most(desk: Desk) -> None:
    desk.shelf.open.clear()
    for number in range(3 * FETCHES_PER_REQUESTER_MAX):
        desk.blobs.perform(fetch(number))
    await until(lambda: desk.shelf.busy == FETCHES_PER_REQUESTER_MAX)
    desk.blobs.perform(fetch(99, requester="22" * 32))
    await until(lambda: desk.shelf.busy == FETCHES_PER_REQUESTER_MAX + 1)
    desk.shelf.open.set()
    for _ in range(3 * FETCHES_PER_REQUESTER_MAX + 1):
        assert isinstance(await desk.next(), BlobFetched)
    assert desk.shelf.busiest == FETCHES_PER_REQUESTER_MAX + 1


async def test_what_is_dropped_is_no_longer_fetched_and_let_go_with_its_last_round(desk: Desk) -> None:
    desk.shelf.open.clear()
    desk.blobs.perform(fetch(1))
    await until(lambda: desk.shelf.busy == 1)
    desk.blobs.perform(DropBlob(fetch(1).request_id, NAMED.sha256))
    await until(lambda: desk.shelf.busy == 0)
    desk.shelf.open.set()
    for number in (2, 3):
        desk.blobs.perform(fetch(number))
        assert await desk.next() == BlobFetched(fetch(number).request_id, DATA)
    desk.blobs.perform(DropBlob(fetch(2).request_id, NAMED.sha256))
    desk.blobs.perform(ShareBlob(fetch(4).request_id, NAMED, DATA))
    await until(lambda: len(desk.shelf.kept) == 3)
    desk.blobs.perform(DropBlob(fetch(3).request_id, NAMED.sha256))
    desk.blobs.perform(DropBlob(fetch(4).request_id, NAMED.sha256))
    await until(lambda: len(desk.shelf.kept) < 3)
    await desk.blobs.close()
    assert desk.told.empty()


async def test_a_question_that_cannot_be_shared_is_in_the_log_with_the_next_step(desk: Desk) -> None:
    desk.shelf.failures = 1
    desk.blobs.perform(ShareBlob(fetch().request_id, NAMED, DATA))
    await until(lambda: "question_unshared" in desk.log.getvalue())
    assert "32 KiB" in desk.log.getvalue()
    await desk.blobs.close()
