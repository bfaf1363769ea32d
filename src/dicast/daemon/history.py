"""The rounds of a node, newest first: those that are open, those that ended, and those with a certificate."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.base.events import Event
from dicast.base.limits import CERTIFICATES_KEPT_MAX
from dicast.consensus.frame import need
from dicast.consensus.verdict import Verdict
from dicast.daemon.subscriptions import Reports
from dicast.daemon.tellings import Told
from dicast.ports import Store
from dicast.protocol.disclosed import attached_messages, opened_events
from dicast.protocol.messages import Kind, Request, prompt_text
from dicast.protocol.network import NetworkSecret
from dicast.protocol.node import Node
from dicast.protocol.outputs import CertificateReady, RoundEnded
from dicast.protocol.records import Table
from dicast.protocol.round_view import RoundView

TEXT_CHARS_MAX = 2_000
"""Of a prompt and an answer kept to be shown and searched: with 4,096 rounds 16 MB at most."""
ENDED_KEPT_MAX = 256
"""Rounds without a verdict that are remembered until the node stops: as many as may be open."""
PAGE_MAX = 200
"""Rounds in one answer: at 5 kB each a megabyte."""
READ_A_TURN = 16
"""Certificates read before everybody else gets a turn: some milliseconds."""


class RoundSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One round in a list. `prompt` and `answer` are cut after 2,000 characters.

    `state`: `open` (see `step`), `decided` (see `outcome`), or `ended` without a verdict (see `reason`).
    """

    request_id: Annotated[str, msgspec.Meta(description="64 hex digits.")]
    state: str
    step: str
    role: str
    opened_unix_ms: int
    decided_unix_ms: int | None = None
    requester: str = ""
    prompt: str = ""
    models: tuple[str, ...] = ()
    seats: int = 0
    quorum: int = 0
    need: int = 0
    commits: int = 0
    reveals: int = 0
    signatures: int = 0
    attempt: int = 1
    outcome: str | None = None
    reason: str | None = None
    answer: str | None = None
    winner: str | None = None
    ball: int = 0
    runner_up: int = 0
    has_certificate: bool = False


class Papers(msgspec.Struct, frozen=True, kw_only=True):
    """A round's signed packets in their order, as far as they are here, and its verdict."""

    summary: RoundSummary
    events: tuple[Event, ...]
    verdict: Verdict | None = None
    recomputed: dict[str, dict[str, str]] = {}


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which rounds to list; an empty text means any. `before` is a cursor, `text` is searched for."""

    limit: int = 50
    before: str = ""
    state: str = ""
    outcome: str = ""
    role: str = ""
    model: str = ""
    text: str = ""
    certified: bool = False


class HistoryPage(msgspec.Struct, frozen=True):
    """Rounds, newest first, and the cursor of those before; empty at the end."""

    items: tuple[RoundSummary, ...]
    next_cursor: str


class _Sheet(msgspec.Struct, frozen=True):
    events: tuple[Event, ...]
    verdict: Verdict
    recomputed: dict[str, dict[str, str]] = {}
    round_key: str = ""
    attached: str = ""


_SHEETS = msgspec.json.Decoder(_Sheet)
_REQUESTS = msgspec.json.Decoder(Request)


class RoundBook:
    """Every round that the node knows. Certificates are read once, when somebody first asks."""

    def __init__(self, node: Node, store: Store, reports: Reports) -> None:
        self._node = node
        self._store = store
        self._certified: dict[str, RoundSummary] = {}
        self._unread: deque[str] = deque(maxlen=CERTIFICATES_KEPT_MAX)
        self._ended: dict[str, RoundSummary] = {}
        self._is_read = False
        self._reading = asyncio.Lock()
        reports.listen_now(self._see)

    async def page(self, wanted: Wanted) -> HistoryPage:
        """The rounds that are wanted, newest first."""
        await self._read()
        limit = max(1, min(wanted.limit, PAGE_MAX))
        found: list[RoundSummary] = []
        for one in sorted(self._known().values(), key=cursor_of, reverse=True):
            if (not wanted.before or cursor_of(one) < wanted.before) and _fits(one, wanted):
                if len(found) == limit:
                    return HistoryPage(tuple(found), cursor_of(found[-1]))
                found.append(one)
        return HistoryPage(tuple(found), "")

    def papers(self, request_id: str) -> Papers:
        """Everything about one round. Raises ConfigurationError `round_missing`."""
        certificate = self._store.get(Table.CERTIFICATE.value, request_id)
        if certificate is not None:
            return _certified_papers(request_id, certificate, self._node.secret)
        view = next((view for view in self._node.rounds() if view.request_id == request_id), None)
        if view is None:
            raise ConfigurationError(
                "round_missing", f"No round {request_id[:64]!r} is known here.", "`dicast rounds` lists them."
            )
        events = self._node.disclosed(view.request_id)
        return Papers(summary=self._ended.get(request_id) or _live_summary(view, events), events=events)

    def _known(self) -> dict[str, RoundSummary]:
        """Open rounds first: one that was certified a moment ago is still among the node's."""
        live = {view.request_id: self._live(view) for view in self._node.rounds()}
        return {**live, **self._ended, **self._certified}

    def _live(self, view: RoundView) -> RoundSummary:
        return _live_summary(view, self._node.disclosed(view.request_id, 1))

    def _see(self, report: Told) -> None:
        match report:
            case CertificateReady(request_id=request_id):
                self._unread.append(request_id)
            case RoundEnded(request_id=request_id, code=code):
                self._end(request_id, code)
            case _:
                pass

    def _end(self, request_id: str, code: str) -> None:
        view = next((view for view in self._node.rounds() if view.request_id == request_id), None)
        if view is not None:
            while len(self._ended) >= ENDED_KEPT_MAX:
                del self._ended[next(iter(self._ended))]
            self._ended[request_id] = msgspec.structs.replace(self._live(view), state="ended", reason=code)

    async def _read(self) -> None:
        """Read the certificates that were not read yet, with pauses."""
        async with self._reading:
            if not self._is_read:
                self._is_read = True
                await self._read_all()
            while self._unread:
                request_id = self._unread.popleft()
                certificate = self._store.get(Table.CERTIFICATE.value, request_id)
                if certificate is not None:
                    self._keep(request_id, certificate)

    async def _read_all(self) -> None:
        for number, (request_id, certificate) in enumerate(self._store.load(Table.CERTIFICATE.value)):
            self._keep(request_id, certificate)
            if number % READ_A_TURN == 0:
                await asyncio.sleep(0)

    def _keep(self, request_id: str, certificate: bytes) -> None:
        papers = _certified_papers(request_id, certificate, self._node.secret)
        self._certified[request_id] = papers.summary
        if len(self._certified) > CERTIFICATES_KEPT_MAX:
            del self._certified[min(self._certified, key=lambda one: cursor_of(self._certified[one]))]


def cursor_of(summary: RoundSummary) -> str:
    """Where a round stands in the list: its time, then its id."""
    return f"{summary.opened_unix_ms:015d}{summary.request_id}"


def _fits(one: RoundSummary, wanted: Wanted) -> bool:
    """Whether a round is among those that are wanted."""
    pairs = ((wanted.state, one.state), (wanted.outcome, one.outcome), (wanted.role, one.role))
    if any(expected and expected != found for expected, found in pairs):
        return False
    if (wanted.certified and not one.has_certificate) or (wanted.model and wanted.model not in one.models):
        return False
    texts = (one.prompt, one.answer or "", one.request_id, one.winner or "", *one.models)
    return not wanted.text or any(wanted.text.casefold() in text.casefold() for text in texts)


def _live_summary(view: RoundView, events: Sequence[Event]) -> RoundSummary:
    request = _REQUESTS.decode(events[0].content)
    is_over = view.step == "over"
    return msgspec.structs.replace(
        _requested(request, events[0]),
        state="ended" if is_over else "open",
        step=view.step,
        role="requester" if view.ours else "member",
        seats=view.seats,
        commits=view.commits,
        reveals=view.reveals,
        signatures=view.signatures,
    )


def _certified_papers(request_id: str, certificate: bytes, secret: NetworkSecret | None) -> Papers:
    sheet = _SHEETS.decode(certificate)
    verdict = sheet.verdict
    key = bytes.fromhex(sheet.round_key) if sheet.round_key else None
    messages = attached_messages(sheet.attached, secret, key)
    events = opened_events(sheet.events, secret, key, messages)
    request = _REQUESTS.decode(events[0].content)
    kinds = [event.kind for event in sheet.events]
    summary = msgspec.structs.replace(
        _requested(request, sheet.events[0]),
        request_id=request_id,
        state="decided",
        step="over",
        role="requester",
        decided_unix_ms=_time_of(sheet.events, Kind.CLOSE),
        seats=verdict.n,
        commits=kinds.count(Kind.COMMIT),
        reveals=kinds.count(Kind.REVEAL),
        signatures=kinds.count(Kind.SIGNATURE),
        outcome=verdict.outcome.value,
        reason=verdict.reason.value,
        answer=None if verdict.answer is None else verdict.answer[:TEXT_CHARS_MAX],
        winner=verdict.winner,
        ball=verdict.ball_size,
        runner_up=verdict.runner_up_size,
        has_certificate=True,
    )
    return Papers(summary=summary, events=events, verdict=verdict, recomputed=sheet.recomputed)


def _requested(request: Request, event: Event) -> RoundSummary:
    return RoundSummary(
        request_id=event.id,
        state="open",
        step="",
        role="",
        opened_unix_ms=event.created_at * 1000,
        requester=event.pubkey,
        prompt=prompt_text(request.messages)[:TEXT_CHARS_MAX],
        models=request.models,
        seats=request.seats,
        quorum=request.frame.quorum,
        need=need(request.frame.sec_percentage_bp, request.seats),
        attempt=request.attempt,
    )


def _time_of(events: Iterable[Event], kind: Kind) -> int | None:
    times = (event.created_at * 1000 for event in events if event.kind == kind)
    return next(times, None)
