"""Inference and embedding, started by a batch and answered by an input; at most one embedding at a time."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, assert_never

from dicast.base.errors import AdapterError
from dicast.base.types import RequestId
from dicast.daemon.logs import Log
from dicast.ports import Embedder, Engine
from dicast.protocol.inputs import (
    Embedded,
    EmbeddingFailed,
    InferenceFailed,
    InferenceFinished,
    InferenceProgressed,
    Input,
    ModelsChanged,
)
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import CancelInference, StartEmbedding, StartInference, Work

MODELS_LOOK_S = 60.0
"""How often engines are asked what they can run: a newly pulled model is offered within a minute."""
OVERTIME_S = 1.0
"""Engines keep the deadline themselves; one that does not is cut off a second later."""
MODELS_ANSWER_S = 6.0
"""A server that does not even list its models in this time is not there; a node's start waits for it."""

FAILURES_KEPT_MAX = 64
"""More than the questions that may be open on a node."""


class Effects:
    """Runs what the node asks for and hands back the outcome; never raises into the loop."""

    def __init__(
        self,
        engines: Sequence[Engine],
        embedders: Mapping[str, Embedder],
        on_input: Callable[[Input], None],
        on_bug: Callable[[BaseException], None],
        log: Log,
    ) -> None:
        self._engines = tuple(engines)
        self._embedders = embedders
        self._on_input = on_input
        self._on_bug = on_bug
        self._log = log
        self._offers: dict[str, Engine] = {}
        self._offered: tuple[OfferedModel, ...] = ()
        self.engines_seen: dict[str, tuple[tuple[OfferedModel, ...], str]] = {}
        """What each engine offered when it was asked last, or why it did not answer."""
        self.failures: dict[RequestId, str] = {}
        """Why the last requests that an engine gave up on failed, for whoever asked them here."""
        self._jobs: dict[RequestId, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._embedding = ThreadPoolExecutor(max_workers=1, thread_name_prefix="embedding")

    def perform(self, run: Work) -> None:
        """Start or cancel one piece of work."""
        match run:
            case StartInference():
                self._jobs[run.request_id] = self._spawn(self._infer(run))
            case CancelInference():
                job = self._jobs.pop(run.request_id, None)
                if job is not None:
                    job.cancel()
            case StartEmbedding():
                self._spawn(self._embed(run))
            case _:
                assert_never(run)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models that can be run now."""
        return tuple(model.name for model in self._offered)

    async def start(self) -> None:
        """Ask the engines what they can run, so that the first announcement says it; again every minute."""
        if self._engines:
            await self._look_once()
            self._spawn(self._watch_models())

    async def close(self) -> None:
        """Cancel all work and give back the engines."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for engine in self._engines:
            await engine.close()
        self._embedding.shutdown(wait=True, cancel_futures=True)

    async def _watch_models(self) -> None:
        while True:
            await asyncio.sleep(MODELS_LOOK_S)
            await self._look_once()

    async def _look_once(self) -> None:
        offers: dict[str, Engine] = {}
        offered: list[OfferedModel] = []
        for engine in self._engines:
            try:
                async with asyncio.timeout(MODELS_ANSWER_S):
                    models = await engine.models()
            except Exception as error:
                failure = self._translated(error, "engine_failed")
                self._log.warning("engine_unavailable", engine=engine.name, reason=str(failure))
                self.engines_seen[engine.name] = ((), str(failure))
                continue
            self.engines_seen[engine.name] = (tuple(models), "")
            for model in models:
                if model.name not in offers:
                    offers[model.name] = engine
                    offered.append(model)
        self._offers = offers
        if tuple(offered) != self._offered:
            self._offered = tuple(offered)
            self._log.info("models", models=", ".join(model.name for model in offered) or "none")
            self._on_input(ModelsChanged(self._offered))

    async def _infer(self, job: StartInference) -> None:
        engine = self._offers.get(job.model)
        if engine is None:
            self._finish(job, InferenceFailed(job.request_id, "model_missing", f"{job.model} is gone"))
            return
        try:
            async with asyncio.timeout(job.deadline_ms / 1000 + OVERTIME_S):
                made = await engine.generate(job, self._teller(job) if job.stream else _ignore)
        except TimeoutError:
            self._fail(job, engine, AdapterError("engine_timeout", "No answer in the time given."))
        except Exception as error:
            self._fail(job, engine, self._translated(error, "engine_failed"))
        else:
            finished = InferenceFinished(
                request_id=job.request_id,
                text=made.text,
                model=made.model,
                engine=made.engine,
                prompt_tokens=made.prompt_tokens,
                completion_tokens=made.completion_tokens,
                first_token_ms=made.first_token_ms,
                total_ms=made.total_ms,
            )
            self._finish(job, finished)

    def _teller(self, job: StartInference) -> Callable[[str], None]:
        """Hands pieces to the node as they come; an engine may call it from a thread of its own."""
        loop, home = asyncio.get_running_loop(), threading.get_ident()

        def tell(piece: str) -> None:
            progress = InferenceProgressed(job.request_id, piece)
            if threading.get_ident() == home:
                self._on_input(progress)
            else:
                loop.call_soon_threadsafe(self._on_input, progress)

        return tell

    def _fail(self, job: StartInference, engine: Engine, failure: AdapterError) -> None:
        """Tell the node, and people what the engine said: its members only hear that it gave up."""
        self._log.warning(
            "inference_failed",
            request=job.request_id[:12],
            engine=engine.name,
            model=job.model,
            code=failure.code,
            reason=failure.message,
            hint=failure.next_step or "Try the engine by itself: `dicast models list`, `dicast doctor`.",
        )
        while len(self.failures) >= FAILURES_KEPT_MAX:
            del self.failures[next(iter(self.failures))]
        self.failures[job.request_id] = f"{failure.message} {failure.next_step}".strip()
        self._finish(job, InferenceFailed(job.request_id, failure.code, failure.message))

    def _finish(self, job: StartInference, outcome: InferenceFinished | InferenceFailed) -> None:
        if self._jobs.pop(job.request_id, None) is not None:
            self._on_input(outcome)

    async def _embed(self, job: StartEmbedding) -> None:
        embedder = self._embedders.get(job.embedder)
        if embedder is None:
            self._on_input(EmbeddingFailed(job.job_id, "embedder_missing"))
            return
        loop = asyncio.get_running_loop()
        try:
            bits = await loop.run_in_executor(self._embedding, embedder.embed, job.texts)
        except Exception as error:
            failure = self._translated(error, "embedder_failed")
            self._log.warning("embedding_failed", reason=str(failure))
            self._on_input(EmbeddingFailed(job.job_id, f"{failure.code}: {failure.message}"))
        else:
            self._on_input(Embedded(job.job_id, job.embedder, tuple(packed.hex() for packed in bits)))

    def _translated(self, error: Exception, code: str) -> AdapterError:
        """Code that is not ours: what a plugin raises against its contract stops one job, not the node."""
        if isinstance(error, AdapterError):
            return error
        self._log.error("plugin_bug", error=repr(error), trace="".join(traceback.format_exception(error)))
        return AdapterError(code, f"{type(error).__name__} inside the plugin.")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_bug(error)


def _ignore(_: str) -> None:
    """Nobody reads along in this round."""
