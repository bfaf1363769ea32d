"""Where attached questions lie: a host that is up gives what it keeps, after a while, or wrong, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicast.base.types import RequestId
from dicast.protocol.inputs import BlobFetched, BlobMissing
from dicast.protocol.outputs import DropBlob, FetchBlob, ShareBlob
from dicast.simulator.dice import Dice
from dicast.simulator.faults import Works
from dicast.simulator.host import Host

if TYPE_CHECKING:
    from dicast.simulator.world import World

RETRY_MS = 500
"""Who found the blob nowhere looks again so soon, until its time is up."""


class BlobRoom:
    """The content stores of all hosts, and the way between them."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._dice = Dice(world.seed, "blobs")

    def start(self, host: Host, run: ShareBlob | FetchBlob | DropBlob, works: Works) -> None:
        """Keep, get or drop a blob."""
        match run:
            case ShareBlob(request_id, attachment, data):
                host.blobs[request_id] = (attachment.sha256, data)
                self._world.ledger.note_blob(self._world.heap.now_ms, host.index, request_id, data)
            case FetchBlob():
                self._world.ledger.note_fetch(self._world.heap.now_ms, host.index, run)
                host.fetching[run.request_id] = run
                self._schedule(host, run, works)
            case DropBlob(request_id):
                host.blobs.pop(request_id, None)
                host.fetching.pop(request_id, None)

    def _schedule(self, host: Host, run: FetchBlob, works: Works) -> None:
        if self._dice.chance(works.fetch_hangs_pm):
            return
        fate = ""
        if self._dice.chance(works.fetch_fails_pm):
            fate = "fails"
        elif self._dice.chance(works.fetch_lies_pm):
            fate = "lies"
        now_ms = self._world.heap.now_ms
        at_ms = now_ms + self._dice.between(1, works.fetch_ms_max)
        until_ms = now_ms + run.deadline_ms
        self._world.heap.schedule(at_ms, self._look, host, (host.boots, run, until_ms, fate))

    def _look(self, host: Host, detail: tuple[int, FetchBlob, int, str]) -> None:
        boots, run, until_ms, fate = detail
        if boots != host.boots or host.fetching.get(run.request_id) is not run:
            return
        now_ms = self._world.heap.now_ms
        data = self._found(host, run.attachment.sha256)
        if (data is None and now_ms >= until_ms) or fate == "fails":
            self._answer(host, run.request_id, None)
        elif data is None:
            self._world.heap.schedule(now_ms + RETRY_MS, self._look, host, detail)
        elif fate == "lies":
            self._answer(host, run.request_id, data[:-1] if len(data) % 2 else b"}" + data[1:])
        else:
            host.blobs[run.request_id] = (run.attachment.sha256, data)
            self._answer(host, run.request_id, data)

    def _answer(self, host: Host, request_id: RequestId, data: bytes | None) -> None:
        del host.fetching[request_id]
        self._world.trace.record(b"%d b %d" % (self._world.heap.now_ms, host.index))
        self._world.give(host, BlobMissing(request_id) if data is None else BlobFetched(request_id, data))

    def _found(self, host: Host, sha256: str) -> bytes | None:
        """From whoever is up, on the same side, and keeps it; oneself first."""
        sides = self._world.network.sides
        for other in (host, *self._world.hosts):
            apart = sides is not None and sides[other.index] != sides[host.index]
            kept = other.evictable | dict(other.blobs.values())
            if other.is_up and not apart and sha256 in kept:
                return kept[sha256]
        return None
