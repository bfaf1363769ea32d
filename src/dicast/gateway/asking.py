"""The one place where the gateway asks: every dialect's question goes through here, and no other way in."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import Any, NamedTuple

from dicast.base.errors import DicastError
from dicast.base.limits import PROMPT_BYTES_MAX
from dicast.batch.workers import BYTES_A_TOKEN, SLOTS_USED_MAX
from dicast.client import AskKeywords, AsyncClient, Event
from dicast.client_channel import EventSink
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.frame import PRESETS
from dicast.consensus.reasons import FrameFault, Reason, Status
from dicast.daemon.api import Answer, PlanResult
from dicast.daemon.config_schema import AskSettings
from dicast.gateway.errors import GatewayError, of_node
from dicast.gateway.json_format import JsonForm, document_of, extra_fields
from dicast.gateway.metrics import Metrics
from dicast.gateway.places import Place, Places
from dicast.gateway.spending import SPENDER, Bill, Ledger
from dicast.gateway.telemetry import NoTelemetry, RoundTrace, Telemetry
from dicast.gateway.told import dicast_field, told_by
from dicast.protocol.messages import DeclineReason, Usage, WorkState
from dicast.protocol.outputs import MemberProgress, RoundOpened, Token

ASKING_MAX = 256
"""Questions at the node at a time, if it answers them itself: as many as it can have slots."""
ROOM = SLOTS_USED_MAX
"""Questions that a single other node takes at a time."""
IMPOSSIBLE = frozenset({"too_few_nodes", "no_peers", "relay_down", "no_model", FrameFault.QUORUM.value})
"""Why the node refuses a question that another frame could ask."""
BUSY_PAUSE_S = 0.1
BUSY_PAUSE_S_MAX = 2.0
"""Before nodes that were busy are asked again; it doubles, since others may be using them."""


class Wanted(NamedTuple):
    """A question as every dialect writes it: the prompt, and what `AsyncClient.ask` takes beside it."""

    prompt: str
    options: AskKeywords
    form: JsonForm = JsonForm()
    place: str = "messages"
    """The field that the question stands in."""


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
        self._places = Places(ASKING_MAX)

    def over(self, client: AsyncClient, places: int) -> Asker:
        """One over a client that itself finds out who has room; what is spent is counted where it was."""
        other = Asker(client, self.defaults, self._metrics, self.ledger, self.telemetry)
        other._places = Places(places, is_fixed=True)
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
        trace = self.telemetry.rounds()
        spender = SPENDER.get()
        self.ledger.check(spender)
        told_first = partial(self._metrics.count_first_token, time.monotonic())
        async with self._places.one(await self._room(wanted)) as place:
            spending = self.ledger.spending(spender, self._max_tokens(options))
            with (
                spending as bill,
                closing(_Watch(trace, on_event, _Meter(bill, wanted, told_first))) as watch,
            ):
                try:
                    answer, seconds = await self._answered(wanted.prompt, options, watch, place)
                except DicastError as error:
                    raise await self._refusal(error, options) from error
                told = told_by(answer)
                bill.pay(answer.attempts, told.tokens)
        self.ledger.rounds.keep(spender, answer.request_id)
        self._metrics.count_verdict(answer, told.usage, seconds)
        field = dicast_field(answer, told)
        if answer.answer is None:
            raise _undetermined(answer, field, watch, wanted.place)
        text = document_of(wanted.form, answer.answer)
        if extra := extra_fields(wanted.form, text):
            message = f"The agreed answer has fields that the schema does not allow: {', '.join(extra[:8])}."
            raise GatewayError("answer_malformed", message, told=field)
        cut = told.usage is not None and told.usage.completion_tokens >= self._max_tokens(options)
        return Agreed(text, answer.request_id, told.model or "", told.usage, cut, field, _core_of(answer))

    async def _answered(
        self, prompt: str, options: AskKeywords, watch: _Watch, place: Place
    ) -> tuple[Answer, float]:
        """The answer and how long it took; busy nodes are asked again for as long as a round may take.

        Nobody revealed anything in such a round, so that no answer is chosen by asking again.
        """
        pause_s = BUSY_PAUSE_S
        give_up_s = time.monotonic() + options.get("timeout_s", self.defaults.timeout_s)
        while True:
            began = time.monotonic()
            answer = await self._client.ask(prompt, on_event=watch.see, **options)
            if not watch.is_busy(answer):
                place.answered()
            elif began + pause_s < give_up_s:
                self._metrics.busy.inc()
                await place.again(pause_s)
                pause_s = min(2 * pause_s, BUSY_PAUSE_S_MAX)
                continue
            return answer, time.monotonic() - began

    async def _room(self, wanted: Wanted) -> int:
        """How many may ask at a time for a question like this: other nodes keep few rounds of one asker."""
        if self._places.is_fixed or self._places.asking < ROOM:
            return ASKING_MAX
        plan = await self.plan(wanted)
        return ASKING_MAX if plan.own_only else ROOM * max(1, plan.known_workers // plan.seats)

    @property
    def asking(self) -> int:
        """Questions at the node now."""
        return self._places.asking

    @property
    def waiting(self) -> int:
        """Questions that wait for a place."""
        return self._places.waiting

    @property
    def places(self) -> int:
        """Questions that may be at the node at a time, as its nodes have room."""
        return self._places.width

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

    async def _refusal(self, error: DicastError, options: AskKeywords) -> GatewayError:
        refusal = of_node(error)
        self._metrics.count_rejection(error.code)
        if error.code in IMPOSSIBLE and refusal.told is not None:
            refusal.told["nearest"] = await self._nearest(options)
        return refusal

    async def _nearest(self, options: AskKeywords) -> dict[str, Any] | None:
        """The frame nearest to the one asked for that the known nodes can fill, and the models they offer."""
        models = options.get("models", ())
        try:
            status, peers = await asyncio.gather(self._client.status(), self._client.peers())
        except DicastError:
            return None
        workers = [one for one in (status, *peers) if "worker" in one.roles and one.models]
        nodes = [one for one in workers if EMBEDDER in one.embedders]
        able = [one for one in nodes if not models or set(models) & set(one.models)]
        if not nodes:
            return None
        preset = PRESETS.get(options.get("preset", ""))
        usual = options.get("quorum", preset.seats if preset else len(nodes))
        seats = min(len(able or nodes), options.get("seats", usual))  # or those who have another model
        offered = sorted({model for one in nodes for model in one.models})
        return {"seats": seats, "quorum": min(seats, options.get("quorum", seats)), "models": offered}


class _Meter:
    """What a question has taken so far, for those who leave before the verdict: counted by its bytes.

    `told_first` is called with the first piece of text.
    """

    def __init__(self, bill: Bill, wanted: Wanted, told_first: Callable[[], None]) -> None:
        earlier = [message.content for message in wanted.options.get("history", ())]
        words = (wanted.prompt, wanted.options.get("system", ""), *earlier)
        self._bill = bill
        self._bytes = sum(len(text.encode("utf-8", "replace")) for text in words)
        self._rounds = 0
        self._told_first: Callable[[], None] | None = told_first

    def see(self, event: Event) -> None:
        """A round was opened, or a piece of text was told."""
        match event:
            case RoundOpened():
                self._rounds += 1
            case Token():
                if self._told_first is not None:
                    self._told_first()
                    self._told_first = None
                self._bytes += len(event.text.encode("utf-8", "replace"))
            case _:
                return
        self._bill.pay(max(1, self._rounds), -(-self._bytes // BYTES_A_TOKEN))


class _Watch:
    """Remembers who declined and why; hands every event on."""

    def __init__(self, trace: RoundTrace, on_event: EventSink | None, meter: _Meter) -> None:
        self._trace = trace
        self._on_event = on_event
        self._meter = meter
        self._members = 0
        self._quorum = 0
        self._declined: dict[str, set[str]] = {}

    def see(self, event: Event) -> None:
        """An event of the question's rounds."""
        self._trace.see(event)
        self._meter.see(event)
        if self._on_event is not None:
            self._on_event(event)
        match event:
            case RoundOpened():
                self._members, self._quorum = len(event.members), event.quorum
                self._declined.clear()
            case MemberProgress() if event.step == WorkState.DECLINED.value:
                self._declined.setdefault(event.detail, set()).add(event.member)
            case _:
                pass

    def close(self) -> None:
        """The question is over."""
        self._trace.close()

    def is_too_long(self) -> bool:
        """Whether the prompt's length alone kept the quorum from being reached."""
        return self._is_short_by(DeclineReason.CONTEXT_LENGTH_EXCEEDED)

    def is_out_of_reach(self) -> bool:
        """Whether members could not fetch the question, which is too long to be sent to them."""
        return self._is_short_by(DeclineReason.QUESTION_MISSING)

    def is_busy(self, answer: Answer) -> bool:
        """Whether it was not reached because members had no slot free."""
        return answer.reason == Reason.QUORUM_NOT_REACHED and self._is_short_by(DeclineReason.BUSY)

    def declined(self) -> dict[str, int]:
        """How many members of the last round declined, by their reason."""
        return {reason: len(members) for reason, members in sorted(self._declined.items())}

    def _is_short_by(self, reason: DeclineReason) -> bool:
        return self._members - len(self._declined.get(reason.value, ())) < self._quorum


def _core_of(answer: Answer) -> dict[str, str]:
    statuses = answer.verdict.statuses
    return {key: one.answer for key, one in answer.reveals.items() if statuses.get(key) is Status.CORE}


def _undetermined(answer: Answer, field: dict[str, Any], watch: _Watch, place: str) -> GatewayError:
    verdict = answer.verdict
    if watch.is_too_long():
        message = "The prompt is longer than the models that were asked can read. Shorten it."
        return GatewayError("context_length_exceeded", message, field=place, told=field)
    if watch.is_out_of_reach():
        message = (
            f"A prompt over {PROMPT_BYTES_MAX} bytes is fetched by those who are asked, and they could not "
            "reach the gateway's node. Shorten it, or let that node listen (transports.websocket.listen)."
        )
        told = {**field, "declined": watch.declined()}
        return GatewayError("context_length_exceeded", message, field=place, told=told)
    if watch.is_busy(answer):
        message = "The nodes that were asked had no slot free for as long as the question may take."
        return GatewayError("overloaded", message, told=field)
    declined = watch.declined()
    statuses = Counter(status.value for status in verdict.statuses.values())
    why = "".join(f" {count} declined: {reason}." for reason, count in declined.items())
    message = (
        f"The network did not agree ({answer.reason}): {verdict.need} of {verdict.n} seats had to, "
        f"at most {verdict.ball_size} did. There is no answer.{why}"
    )
    told = {**field, "declined": declined, "statuses": dict(sorted(statuses.items()))}
    return GatewayError("undetermined", message, told=told)
