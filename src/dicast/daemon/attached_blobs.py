"""Attached questions: shared, fetched and let go as the node says; a fetch is tried until its time is up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, assert_never

from dicast.base.errors import AdapterError
from dicast.base.types import NodeId, RequestId
from dicast.daemon.logs import Log
from dicast.ports import Blobs
from dicast.protocol.inputs import BlobFetched, BlobMissing, Input
from dicast.protocol.outputs import BlobRun, DropBlob, FetchBlob, ShareBlob

FETCHES_MAX = 16
"""At once: 32 MiB on their way. Others wait, and the time they were given goes on."""
FETCHES_PER_REQUESTER_MAX = 4
"""At once: a quarter, so that a requester that never serves leaves room for the others."""
RETRY_S_FIRST = 0.2
"""The requester may still be writing it when its request is heard."""
RETRY_S_MAX = 5.0
"""Two dozen tries in the longest time a fetch is given."""
OTHERS_MAX = 8
"""Peers that are asked when the requester does not answer: members give what they have fetched."""
HOPELESS = frozenset({"blob_quota", "blob_disk"})
"""What another try does not mend."""


class NoBlobs:
    """For a node without a content store: nobody can fetch from it, and it fetches nothing."""

    async def keep(self, attachment: object, data: bytes) -> None:
        """Refuses."""
        raise AdapterError("blob_nowhere", "This node keeps no blobs.")

    async def fetch(self, attachment: object, nodes: Sequence[str]) -> bytes:
        """Refuses."""
        raise AdapterError("blob_disk", "This node keeps no blobs.")

    async def release(self, sha256: str) -> None:
        """Has nothing."""


class AttachedBlobs:
    """Performs what the node asks of blobs; never raises into the loop."""

    def __init__(
        self, blobs: Blobs, peers: Callable[[], Sequence[str]], on_input: Callable[[Input], None], log: Log
    ) -> None:
        self._blobs = blobs
        self._peers = peers
        self._on_input = on_input
        self._log = log
        self._held: dict[RequestId, str] = {}
        self._fetching: dict[RequestId, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(FETCHES_MAX)
        self._turns_of: dict[NodeId, asyncio.Semaphore] = {}
        self._waiting: Counter[NodeId] = Counter()
        self._order = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def perform(self, run: BlobRun) -> None:
        """Begin or end one of them."""
        match run:
            case ShareBlob(request_id, attachment):
                self._held[request_id] = attachment.sha256
                self._spawn(self._share(run))
            case FetchBlob(request_id=request_id, attachment=attachment):
                self._held[request_id] = attachment.sha256
                self._fetching[request_id] = self._spawn(self._fetch(run))
            case DropBlob(request_id, sha256):
                self._held.pop(request_id, None)
                fetching = self._fetching.pop(request_id, None)
                if fetching is not None:
                    fetching.cancel()
                self._spawn(self._release(sha256, fetching))
            case _:
                assert_never(run)

    async def close(self) -> None:
        """Cancel what is under way; what was kept stays until the next start says what is still needed."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _share(self, run: ShareBlob) -> None:
        try:
            async with self._order:
                await self._blobs.keep(run.attachment, run.data)
        except AdapterError as error:
            self._log.warning(
                "question_unshared",
                request=run.request_id[:12],
                code=error.code,
                reason=error.message,
                hint=error.next_step or "Members cannot fetch it; ask a question of at most 32 KiB.",
            )

    async def _fetch(self, run: FetchBlob) -> None:
        requester = run.requester
        turns = self._turns_of.setdefault(requester, asyncio.Semaphore(FETCHES_PER_REQUESTER_MAX))
        self._waiting[requester] += 1
        tries = _Tries(self._blobs, run, self._peers)
        try:
            async with asyncio.timeout(run.deadline_ms / 1000), turns, self._turns:
                data = await tries.until_it_came()
        except (AdapterError, TimeoutError):
            reason = tries.reason or "its turn did not come in time"
            self._log.warning("question_missing", request=run.request_id[:12], reason=reason)
            self._on_input(BlobMissing(run.request_id, reason))
        else:
            self._on_input(BlobFetched(run.request_id, data))
        finally:
            if self._fetching.get(run.request_id) is asyncio.current_task():
                del self._fetching[run.request_id]
            self._waiting[requester] -= 1
            if not self._waiting[requester]:
                del self._waiting[requester], self._turns_of[requester]

    async def _release(self, sha256: str, fetching: asyncio.Task[None] | None) -> None:
        if fetching is not None:
            await asyncio.wait((fetching,))
        async with self._order:
            if sha256 in self._held.values():
                return
            try:
                await self._blobs.release(sha256)
            except AdapterError as error:
                self._log.warning("question_kept", code=error.code, reason=error.message)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


class _Tries:
    """One fetch: first from its requester, then from others as well, until it came."""

    def __init__(self, blobs: Blobs, run: FetchBlob, peers: Callable[[], Sequence[str]]) -> None:
        self._blobs = blobs
        self._run = run
        self._peers = peers
        self.reason = ""

    async def until_it_came(self) -> bytes:
        """The bytes. Raises AdapterError where another try is of no use."""
        attachment, delay_s = self._run.attachment, RETRY_S_FIRST
        nodes: Sequence[str] = attachment.nodes
        tried = False
        while True:
            try:
                return await self._blobs.fetch(attachment, nodes)
            except AdapterError as error:
                self.reason = error.message
                if error.code in HOPELESS or (error.code == "blob_nowhere" and tried):
                    raise
            tried = True
            await asyncio.sleep(delay_s)
            delay_s = min(2 * delay_s, RETRY_S_MAX)
            nodes = tuple(dict.fromkeys((*attachment.nodes, *self._peers()[:OTHERS_MAX])))
