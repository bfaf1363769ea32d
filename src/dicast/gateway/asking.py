"""The one place where the gateway asks: every dialect's question goes through here, and no other way in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any, NamedTuple

from dicast.base.errors import DicastError
from dicast.client import AskKeywords, AsyncClient, Event
from dicast.client_channel import EventSink
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.reasons import Status
from dicast.daemon.api import Answer, PlanResult
from dicast.daemon.config_schema import AskSettings
from dicast.gateway.errors import GatewayError, of_node
from dicast.gateway.json_format import JsonForm, document_of, extra_fields
from dicast.gateway.metrics import Metrics
from dicast.gateway.spending import SPENDER, Ledger
from dicast.gateway.telemetry import NoTelemetry, RoundTrace, Telemetry
from dicast.gateway.told import dicast_field, told_by
from dicast.protocol.messages import DeclineReason, Usage, WorkState
from dicast.protocol.outputs import MemberProgress, RoundOpened

ASKING_MAX = 24
"""Questions at the node at a time: it takes 32, and leaves the rest to the command line."""
WAITING_MAX = 1_024
"""Questions that wait for a place: each holds its prompt, at most 32 KiB, and a connection."""


class Wanted(NamedTuple):
    """A question as every dialect writes it: the prompt, and what `AsyncClient.ask` takes beside it."""

    prompt: str
    options: AskKeywords
    form: JsonForm = JsonForm()


class Agreed(NamedTuple):
    """What the network agreed on. `usage` is the winner's count; `cut`: its budget was used up."""

    text: str
    request_id: str
    model: str
    usage: Usage | None
    cut: bool
    field: dict[str, Any]
    core: Mapping[str, str] = {}
    """The answers that the verdict rests on, by key: each agrees with the winner."""


class Asker:
    """Asks the node through the public client. Cancelling `ask` cancels the round."""

    def __init__(
        self,
        client: AsyncClient,
        defaults: AskSettings,
        metrics: Metrics,
        ledger: Ledger | None = None,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._client = client
        self.defaults = defaults
        self.ledger = ledger or Ledger()
        self.telemetry = telemetry or NoTelemetry()
        self._metrics = metrics
        self._places = asyncio.Semaphore(ASKING_MAX)
        self._waiting = 0
        self._asking = 0

    def over(self, client: AsyncClient, places: int) -> Asker:
        """One with places of its own, over another client; what is spent is counted where it was."""
        other = Asker(client, self.defaults, self._metrics, self.ledger, self.telemetry)
        other._places = asyncio.Semaphore(places)
        return other

    async def check(self, wanted: Wanted) -> None:
        """Refuse now what could only be refused later; raises GatewayError. Sends nothing."""
        self.ledger.check(SPENDER.get())
        await self.plan(wanted)

    async def plan(self, wanted: Wanted) -> PlanResult:
        """What asking would mean; raises GatewayError. Sends nothing."""
        options = self._options(wanted)
        try:
            return await self._client.plan(wanted.prompt, **options)
        except DicastError as error:
            raise await self._refusal(error, options) from error

    async def ask(self, wanted: Wanted, on_event: EventSink | None = None) -> Agreed:
        """The agreed answer; raises GatewayError, `undetermined` where there is none."""
        options = self._options(wanted)
        watch = _Watch(self.telemetry.rounds(), on_event)
        spender = SPENDER.get()
        self.ledger.check(spender)
        async with self._place():
            began = time.monotonic()
            with self.ledger.spending(spender, self._max_tokens(options)) as bill, closing(watch):
                try:
                    answer = await self._client.ask(wanted.prompt, on_event=watch.see, **options)
                except DicastError as error:
                    raise await self._refusal(error, options) from error
                told = told_by(answer)
                bill.pay(answer.attempts, told.tokens)
        self._metrics.count_verdict(answer, told.usage, time.monotonic() - began)
        field = dicast_field(answer, told)
        if answer.answer is None:
            raise _undetermined(answer, field, watch)
        text = document_of(wanted.form, answer.answer)
        if extra := extra_fields(wanted.form, text):
            message = f"The agreed answer has fields that the schema does not allow: {', '.join(extra[:8])}."
            raise GatewayError("answer_malformed", message, told=field)
        cut = told.usage is not None and told.usage.completion_tokens >= self._max_tokens(options)
        return Agreed(text, answer.request_id, told.model or "", told.usage, cut, field, _core_of(answer))

    @property
    def asking(self) -> int:
        """Questions at the node now."""
        return self._asking

    @property
    def waiting(self) -> int:
        """Questions that wait for a place."""
        return self._waiting

    def _max_tokens(self, options: AskKeywords) -> int:
        return options.get("max_tokens", self.defaults.max_tokens)

    def _options(self, wanted: Wanted) -> AskKeywords:
        """The gateway's configured default below what the request says."""
        base = AskKeywords(
            preset=self.defaults.preset,
            timeout_s=self.defaults.timeout_s,
            attempts=self.defaults.attempts,
            max_tokens=self.defaults.max_tokens,
            temperature=self.defaults.temperature,
            models=self.defaults.models,
        )
        base.update(wanted.options)
        return base

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None]:
        if self._waiting >= WAITING_MAX:
            raise GatewayError("overloaded", f"{WAITING_MAX} questions wait already. Ask again in a while.")
        self._waiting += 1
        self._metrics.waiting.inc()
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
            self._metrics.waiting.dec()
        self._asking += 1
        try:
            with self._metrics.asking.track_inprogress():
                yield
        finally:
            self._asking -= 1
            self._places.release()

    async def _refusal(self, error: DicastError, options: AskKeywords) -> GatewayError:
        refusal = of_node(error)
        self._metrics.count_rejection(error.code)
        if error.code in {"too_few_nodes", "no_peers", "no_model"} and refusal.told is not None:
            refusal.told["nearest"] = await self._nearest(options)
        return refusal

    async def _nearest(self, options: AskKeywords) -> dict[str, Any] | None:
        """The largest frame that the known nodes can fill, and the models they offer."""
        models = options.get("models", ())
        try:
            status, peers = await asyncio.gather(self._client.status(), self._client.peers())
        except DicastError:
            return None
        nodes = [one for one in (status, *peers) if "worker" in one.roles and EMBEDDER in one.embedders]
        able = sum(1 for one in nodes if not models or set(models) & set(one.models))
        offered = sorted({model for one in nodes for model in one.models})
        quorum = min(able, options.get("quorum", able))
        return {"seats": able, "quorum": quorum, "models": offered}


class _Watch:
    """Remembers who declined because the prompt is too long for its model; hands every event on."""

    def __init__(self, trace: RoundTrace, on_event: EventSink | None = None) -> None:
        self._trace = trace
        self._on_event = on_event
        self._members = 0
        self._quorum = 0
        self._too_long: set[str] = set()

    def see(self, event: Event) -> None:
        """An event of the question's rounds."""
        self._trace.see(event)
        if self._on_event is not None:
            self._on_event(event)
        match event:
            case RoundOpened():
                self._members, self._quorum = len(event.members), event.quorum
                self._too_long.clear()
            case MemberProgress():
                is_declined = event.step == WorkState.DECLINED.value
                if is_declined and event.detail == DeclineReason.CONTEXT_LENGTH_EXCEEDED.value:
                    self._too_long.add(event.member)
            case _:
                pass

    def close(self) -> None:
        """The question is over."""
        self._trace.close()

    def is_too_long(self) -> bool:
        """Whether the prompt's length alone kept the quorum from being reached."""
        return self._members - len(self._too_long) < self._quorum


def _core_of(answer: Answer) -> dict[str, str]:
    statuses = answer.verdict.statuses
    return {key: one.answer for key, one in answer.reveals.items() if statuses.get(key) is Status.CORE}


def _undetermined(answer: Answer, field: dict[str, Any], watch: _Watch) -> GatewayError:
    verdict = answer.verdict
    if watch.is_too_long():
        message = "The prompt is longer than the models that were asked can read. Shorten it."
        return GatewayError("context_length_exceeded", message, field="messages", told=field)
    message = (
        f"The network did not agree ({answer.reason}): {verdict.need} of {verdict.n} seats had to, "
        f"at most {verdict.ball_size} did. There is no answer."
    )
    return GatewayError("undetermined", message, told=field)
