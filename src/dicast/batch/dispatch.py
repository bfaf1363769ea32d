"""A client that gives every question to the nodes that suit it best, as leases that lapse in silence."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Unpack

import msgspec

from dicast.base.errors import AdapterError, DicastError
from dicast.batch.lease import LINE, LeaseLog, LeaseWatch, NoLine
from dicast.batch.recovery import recovered
from dicast.batch.workers import BYTES_A_TOKEN, Choice, Need, Workers
from dicast.client import AskKeywords, AsyncClient
from dicast.client_channel import Channel, EventSink
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.reasons import Reason
from dicast.daemon.api import Answer, PlanResult
from dicast.daemon.own_record import own_record
from dicast.protocol.messages import Admission

LOOK_S = 1.0
"""How often the nodes are looked at while there is work: announcements come once a minute."""
PLAN_S = 5.0
"""A plan of the same frame is good for this long."""
PLANS_MAX = 64
"""Frames of one batch are few; a stranger's thousand different ones push each other out."""
TRIES_MAX = 5
"""Leases of one question; after that the last outcome stands."""
WITHOUT_ANSWER_MAX = 3
"""Nodes whose models said nothing that is an answer, where nobody's did: it is the question that has none."""
PATIENCE_S = 60.0
"""How long nobody may be there who suits, before a question is given up: a node restarts in this time."""
BACK_OFF_S = 0.25
"""Between tries at a node that is full or stopped."""
_BUSY = AdapterError("nodes_busy", "The nodes that were chosen had no slot free.", "Ask again.")
"""Told to nobody: others are asked, or the same a moment later."""
GONE = frozenset({"node_not_running", "node_stopped"})
"""The asking node itself is away: waited for without end, whoever wants to give up cancels."""
FULL = frozenset({"too_many_asks", "too_many_rounds", "call_refused", _BUSY.code})
"""There is no room for another question now."""
NOBODY = frozenset({"no_peers", "no_model", "too_few_nodes", "no_workers"})
"""Nobody suits at the moment."""


class _Plan(NamedTuple):
    result: PlanResult
    until_s: float


class Dispatcher(AsyncClient):
    """`ask` chooses the members. Open and drawn rounds, and questions with members, pass as they are."""

    def __init__(self, channel: Channel, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(channel=channel)
        self.workers = Workers()
        self._clock = clock
        self._looked_s = -LOOK_S
        self._looking = asyncio.Lock()
        self._plans: dict[bytes, _Plan] = {}
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def ask(
        self, prompt: str, *, on_event: EventSink | None = None, **options: Unpack[AskKeywords]
    ) -> Answer:
        """The answer of the nodes that were chosen; see `AsyncClient.ask`."""
        log = LINE.get(NoLine())
        for request_id in log.unfinished():
            answer = await recovered(super(), request_id)
            if answer is not None:
                return answer
        if options.get("admission", Admission.LISTED) is not Admission.LISTED or options.get("members"):
            return await super().ask(prompt, on_event=on_event, **options)
        return await self._leased(_Question(prompt, options, on_event, log))

    async def look(self) -> None:
        """See who is there, unless it was done a moment ago. Raises DicastError."""
        async with self._looking:
            if self._clock() - self._looked_s < LOOK_S:
                return
            status, peers = await asyncio.gather(self.status(), self.peers())
            self.workers.see(status.node_id, (own_record(status), *peers))
            self._looked_s = self._clock()
        self._wake_all()

    async def _leased(self, question: _Question) -> Answer:
        left_out: frozenset[str] = frozenset()
        without: frozenset[str] = frozenset()
        give_up_s: float | None = None
        tries = 0
        while True:
            try:
                need = await self._need(question)
                choices = await self._chosen(need, left_out)
                lease = await self._lease(question, choices)
                tries += 1
            except DicastError as error:
                if error is _BUSY:
                    continue
                tries += error.code not in GONE | FULL | NOBODY
                give_up_s = await self._patience(error, give_up_s, tries)
                continue
            without |= lease.without_answer
            has_none = len(without) >= WITHOUT_ANSWER_MAX and lease.is_without_answer
            is_last = not lease.failed or tries >= TRIES_MAX or has_none
            if lease.answer is not None and is_last:
                return lease.answer
            if tries >= TRIES_MAX:
                raise AdapterError(
                    "no_answer", f"{tries} leases lapsed without an answer.", "Are the nodes overloaded?"
                )
            left_out |= lease.failed

    async def _patience(self, error: DicastError, give_up_s: float | None, tries: int) -> float | None:
        """Wait a moment where asking again may help; raises the error where it does not."""
        now_s = self._clock()
        if error.code in NOBODY:
            give_up_s = give_up_s or now_s + PATIENCE_S
            self._plans.clear()
        is_passing = error.code in GONE | FULL or (error.code in NOBODY and now_s < (give_up_s or 0))
        ended = isinstance(error, AdapterError) and tries < TRIES_MAX and error.code != "no_answer"
        if not is_passing and not ended:
            raise error
        await asyncio.sleep(BACK_OFF_S)
        return give_up_s

    async def _need(self, question: _Question) -> Need:
        key = msgspec.json.encode({name: one for name, one in question.options.items() if name not in _WORDS})
        plan = self._plans.get(key)
        if plan is None or plan.until_s < self._clock():
            if len(self._plans) >= PLANS_MAX:
                self._plans.clear()
            result = await self.plan(question.prompt, **question.options)
            plan = self._plans[key] = _Plan(result, self._clock() + PLAN_S)
        result = plan.result
        tokens = question.bytes() // BYTES_A_TOKEN + (question.options.get("max_tokens") or 0)
        return Need(result.seats, result.models, (EMBEDDER,) if result.seats > 1 else (), tokens)

    async def _chosen(self, need: Need, left_out: frozenset[str]) -> list[Choice]:
        """Nodes with a slot taken each; first come, first served."""
        first = True
        while True:
            await self.look()
            if first and self._waiting:
                choices: list[Choice] = []  # others wait already
            else:
                choices = self.workers.choose(need, left_out, self._now_ms())
            if choices:
                self._wake_one()
                return choices
            await self._turn(first)
            first = False

    async def _turn(self, first: bool) -> None:
        """Until a slot may be free, or it is time to look again; who was first stays first."""
        waiter = asyncio.get_running_loop().create_future()
        (self._waiting.append if first else self._waiting.appendleft)(waiter)
        try:
            async with asyncio.timeout(BACK_OFF_S if self._waiting[0] is waiter else LOOK_S):
                await waiter
        except TimeoutError:
            pass
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    async def _lease(self, question: _Question, choices: list[Choice]) -> _Lease:
        """The answer, if the lease held, and who kept it from being one."""
        attempt = question.log.begin([choice.why for choice in choices])
        nodes = tuple(choice.node_id for choice in choices)
        watch = LeaseWatch(nodes, self._clock, self._released)
        watch.acked.update({self.workers.mine} & set(nodes))  # it says nothing to itself
        ended = "cancelled"
        try:
            options = AskKeywords(**{**question.options, "members": nodes, "seats": len(nodes)})  # type: ignore[typeddict-item]
            asking = super().ask(question.prompt, on_event=watch.to(question, attempt), **options)
            answer = await watch.kept(asyncio.ensure_future(asking), self._patience_of(nodes))
            failed: frozenset[str] = frozenset()
            if answer is None or _is_short(answer):
                failed = watch.failed()
            ended = "lapsed" if answer is None else f"{answer.outcome}: {answer.reason}"
            busy, without = watch.busy(), watch.without_answer()
            for node_id in busy:
                self.workers.note_busy(node_id, self._now_ms())
            for node_id in without:
                self.workers.note_without_answer(node_id)
            for node_id in failed - watch.blameless() - busy - without:
                self.workers.note_failure(node_id, self._now_ms())
            if failed and failed <= busy:
                raise _BUSY
        except DicastError as error:
            ended = error.code
            raise
        finally:
            watch.release_all()
            question.log.end(attempt, ended)
        return _Lease(answer, failed, without, without == frozenset(nodes))

    def _patience_of(self, nodes: tuple[str, ...]) -> float | None:
        """The slowest one's usual time; None where one has not answered yet."""
        times = [self.workers.mean_ms(node_id) for node_id in nodes]
        known = [time_ms for time_ms in times if time_ms is not None]
        return max(known) / 1000 if len(known) == len(times) else None

    def _released(self, node_id: str, took_ms: float | None) -> None:
        self.workers.release(node_id, took_ms)
        self._wake_one()

    def _wake_one(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _wake_all(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _now_ms(self) -> int:
        return round(self._clock() * 1000)


class _Lease(NamedTuple):
    answer: Answer | None
    failed: frozenset[str]
    without_answer: frozenset[str]
    is_without_answer: bool
    """Whether that is so of all who were asked."""


class _Question(NamedTuple):
    prompt: str
    options: AskKeywords
    on_event: EventSink | None
    log: LeaseLog

    def bytes(self) -> int:
        """What models have to read."""
        earlier = sum(len(message.content) for message in self.options.get("history", ()))
        return len(self.prompt) + len(self.options.get("system", "")) + earlier


_WORDS = frozenset({"system", "history", "max_tokens", "temperature", "schema"})
"""Options that say what is asked, and not how."""


def _is_short(answer: Answer) -> bool:
    """Whether it failed because members declined or were silent: others may do better."""
    return answer.answer is None and answer.verdict.reason in {
        Reason.QUORUM_NOT_REACHED,
        Reason.TOO_FEW_REVEALS,
    }


def options_of(given: dict[str, Any]) -> AskKeywords:
    """Options as a job's document keeps them."""
    return AskKeywords(**given)  # type: ignore[typeddict-item]
