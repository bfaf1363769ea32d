"""Where engines and embedders work: what a node started comes back as an input, after a while."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicast.base.types import RequestId
from dicast.protocol.inputs import (
    Embedded,
    EmbeddingFailed,
    InferenceFailed,
    InferenceFinished,
    InferenceProgressed,
    Input,
)
from dicast.protocol.outputs import (
    CancelInference,
    DropBlob,
    FetchBlob,
    Run,
    ShareBlob,
    StartEmbedding,
    StartInference,
)
from dicast.simulator.blob_room import BlobRoom
from dicast.simulator.dice import Dice
from dicast.simulator.embedder import EmbeddingMemory
from dicast.simulator.engines import MODEL, answer
from dicast.simulator.host import Host

if TYPE_CHECKING:
    from dicast.simulator.world import World

PIECES = 8
"""Of an answer that is streamed."""
OVERTIME_MS = 1_000
"""An engine that hangs is cut off so long after its deadline, as a driver does it: its slot is free again."""


class EngineRoom:
    """Starts, finishes, fails and cancels work as the world's faults say."""

    def __init__(self, world: World) -> None:
        self.works = world.faults.works
        self._world = world
        self._dice = Dice(world.seed, "works")
        self._embeddings = EmbeddingMemory()
        self._blob_room = BlobRoom(world)

    def start(self, host: Host, run: Run) -> None:
        """Begin or cancel a piece of work."""
        match run:
            case StartInference():
                host.jobs[run.request_id] = run
                self._world.ledger.note_run(self._world.heap.now_ms, host.index, run)
                self._schedule_answer(host, run)
            case CancelInference(request_id):
                host.jobs.pop(request_id, None)
            case ShareBlob() | FetchBlob() | DropBlob():
                self._blob_room.start(host, run, self.works)
            case StartEmbedding():
                delay_ms = self._dice.between(1, self.works.embedding_ms_max)
                self._world.heap.schedule(
                    self._world.heap.now_ms + delay_ms, self._embedded, host, (host.boots, run)
                )

    def _schedule_answer(self, host: Host, job: StartInference) -> None:
        works, dice = self.works, self._dice
        delay_ms = dice.between(works.inference_ms_min, works.inference_ms_max)
        finished: Input = InferenceFailed(job.request_id, "engine_failed", "simulated")
        hangs = dice.chance(works.inference_hangs_pm)
        if hangs:
            delay_ms = job.deadline_ms + OVERTIME_MS
        if not dice.chance(works.inference_fails_pm) and not hangs:
            flavour = f"doubt {host.index}" if dice.chance(works.other_opinion_pm) else "truth"
            text = host.conduct.answer(job, answer(job, flavour))
            finished = InferenceFinished(
                request_id=RequestId(job.request_id), text=text, model=MODEL, engine="simulated",
                prompt_tokens=12, completion_tokens=len(text) // 4, total_ms=delay_ms,
            )  # fmt: skip
        self._world.heap.schedule(
            self._world.heap.now_ms + delay_ms, self._answered, host, (host.boots, job, finished)
        )
        if job.stream and isinstance(finished, InferenceFinished):
            self._schedule_pieces(host, job, finished.text, delay_ms)

    def _schedule_pieces(self, host: Host, job: StartInference, text: str, delay_ms: int) -> None:
        """The text comes evenly while the engine works."""
        size = -(-len(text) // PIECES)
        for number in range(PIECES):
            at_ms = self._world.heap.now_ms + delay_ms * number // PIECES
            progress = InferenceProgressed(job.request_id, text[number * size : (number + 1) * size])
            self._world.heap.schedule(at_ms, self._progressed, host, (host.boots, job, progress))

    def _progressed(self, host: Host, detail: tuple[int, StartInference, InferenceProgressed]) -> None:
        boots, job, progress = detail
        if boots == host.boots and host.jobs.get(job.request_id) is job:
            self._world.give(host, progress)

    def _answered(self, host: Host, detail: tuple[int, StartInference, Input]) -> None:
        boots, job, finished = detail
        if boots == host.boots and host.jobs.get(job.request_id) is job:
            del host.jobs[job.request_id]
            self._world.trace.record(b"%d i %d" % (self._world.heap.now_ms, host.index))
            self._world.give(host, finished)

    def _embedded(self, host: Host, detail: tuple[int, StartEmbedding]) -> None:
        boots, job = detail
        if boots != host.boots:
            return
        self._world.trace.record(b"%d e %d" % (self._world.heap.now_ms, host.index))
        if self._dice.chance(self.works.embedding_fails_pm):
            self._world.give(host, EmbeddingFailed(job.job_id, "simulated"))
        else:
            bits = tuple(self._embeddings.hex_of(text) for text in job.texts)
            self._world.give(host, Embedded(job.job_id, job.embedder, bits))
