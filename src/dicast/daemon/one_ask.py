"""One question from asking to its end: follows the reports of its rounds and makes the answer of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable

import msgspec

from dicast.base.errors import AdapterError, Rejection
from dicast.consensus.reasons import Outcome
from dicast.daemon.api import Answer, ReportsDropped, RevealRecord
from dicast.daemon.driver import Driver
from dicast.daemon.subscriptions import Subscription
from dicast.daemon.tellings import Told
from dicast.protocol.disclosed import revealed
from dicast.protocol.inputs import Asked, Cancelled, Question
from dicast.protocol.outputs import (
    AskRefused,
    CertificateReady,
    MemberProgress,
    RoundDecided,
    RoundEnded,
    RoundOpened,
    RoundProgress,
    StreamRestarted,
    Token,
)

TOLD = (
    RoundOpened,
    AskRefused,
    RoundDecided,
    CertificateReady,
    RoundEnded,
    Token,
    StreamRestarted,
    MemberProgress,
    RoundProgress,
)
CERTIFICATE_WAIT_S = 15.0
"""Longer than the node's own budget for signatures; a verdict is not held back for ever."""


class OneAsk:
    """Asks `question` and hands every report about it to `on_event`."""

    def __init__(
        self, driver: Driver, question: Question, on_event: Callable[[Told | ReportsDropped], None]
    ) -> None:
        self._driver = driver
        self._question = question
        self._on_event = on_event
        self._ask_id = secrets.token_hex(8)
        self._attempts = 0
        self._decided: RoundDecided | None = None
        self._dropped = 0

    async def run(self) -> Answer:
        """The answer. Raises Rejection (refused) or AdapterError (ended without a verdict)."""
        subscription = self._driver.reports.follow(self._ask_id, _is_told)
        done = False
        try:
            self._driver.submit(Asked(self._ask_id, self._question))
            answer = await self._follow(subscription)
            done = True
            return answer
        finally:
            if not done:
                self._driver.submit(Cancelled(self._ask_id))
            subscription.close()

    async def _follow(self, subscription: Subscription) -> Answer:
        while True:
            report = await self._next(subscription)
            if report is None:
                return self._answer(None)
            self._tell_dropped(subscription)
            self._on_event(self._explained(report))
            match report:
                case AskRefused():
                    raise Rejection(report.code, report.reason, report.next_step)
                case RoundEnded():
                    raise AdapterError(report.code, report.reason or "The round ended without a verdict.")
                case RoundOpened():
                    self._attempts = report.attempt
                    self._decided = None
                case RoundDecided():
                    if not report.next_attempt:
                        self._decided = report
                case CertificateReady():
                    if self._decided is not None and self._decided.request_id == report.request_id:
                        return self._answer(report)
                case _:
                    pass

    async def _next(self, subscription: Subscription) -> Told | None:
        """The next report; None when the certificate of a verdict does not come."""
        report = subscription.take()
        if report is not None:
            return report
        limit_s = None if self._decided is None else CERTIFICATE_WAIT_S
        try:
            async with asyncio.timeout(limit_s):
                report = await subscription.next()
        except TimeoutError:
            return None
        if report is None and self._decided is None:
            raise AdapterError("node_stopped", "The node was stopped before there was a verdict.")
        return report

    def _explained(self, report: Told) -> Told:
        """Why our own engine gave up is known here: the others are only told that it did."""
        if not isinstance(report, MemberProgress) or report.member != self._driver.node.node_id:
            return report
        failure = self._driver.failure_of(report.request_id)
        if report.step != "declined" or not failure:
            return report
        return msgspec.structs.replace(report, detail=f"{report.detail}: {failure}")

    def _tell_dropped(self, subscription: Subscription) -> None:
        if subscription.dropped > self._dropped:
            self._on_event(ReportsDropped(subscription.dropped - self._dropped))
            self._dropped = subscription.dropped

    def _answer(self, ready: CertificateReady | None) -> Answer:
        decided = self._decided
        assert decided is not None, "an answer follows a verdict"
        verdict = decided.verdict
        certificate = b"" if ready is None else ready.certificate
        reveals = revealed(certificate, self._driver.node.secret) if certificate else {}
        return Answer(
            outcome=verdict.outcome,
            reason=verdict.reason,
            answer=verdict.answer,
            request_id=decided.request_id,
            verdict=verdict,
            verified=verdict.n > 1 and verdict.outcome is Outcome.ACCEPTED,
            checked=decided.checked,
            signed_seats=0 if ready is None else ready.signed_seats,
            attempts=self._attempts,
            certificate=certificate,
            reveals={
                author: RevealRecord(one.answer, one.model, one.usage) for author, one in reveals.items()
            },
        )


def _is_told(report: Told) -> bool:
    """Of the reports about a question and its rounds those that whoever asked is told."""
    return isinstance(report, TOLD)
