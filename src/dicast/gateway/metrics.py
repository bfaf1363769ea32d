"""What `/metrics` tells Prometheus: each number is counted where it happens."""

from __future__ import annotations

import time
from functools import partial
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dicast.daemon.api import Answer, StatusResult, TransportStatus
from dicast.protocol.messages import Usage

VERDICT_BUCKETS_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80)
"""From a local engine's answer to the longest default deadline and its reveal."""

TOKEN_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""From a local engine to one that first loads its model."""
SHARE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


class Queue(Protocol):
    """Who asks and who waits."""

    @property
    def asking(self) -> int:
        """Questions at the node now."""
        ...

    @property
    def waiting(self) -> int:
        """Questions that wait for a place."""
        ...

    @property
    def places(self) -> int:
        """Questions that may be asked at a time."""
        ...


class Metrics:
    """The numbers of one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self._registry), partial(Gauge, registry=self._registry)
        histogram = partial(Histogram, registry=self._registry)
        self._requests = counter("dicast_gateway_requests", "Requests by route.", ("route", "status"))
        self._refused = counter("dicast_gateway_errors", "Errors by their code.", ("code",))
        self._verdicts = counter("dicast_verdicts", "Verdicts.", ("outcome", "reason"))
        self._rejections = counter(
            "dicast_rejections", "Questions the node refused or could not finish, by its reason.", ("reason",)
        )
        tokens = counter("dicast_tokens", "Tokens as the winners counted them.", ("kind",))
        self._prompt, self._completion = tokens.labels("prompt"), tokens.labels("completion")
        self._seconds = histogram("dicast_verdict_seconds", "Time to the verdict.", buckets=VERDICT_BUCKETS_S)
        self._first_token = histogram(
            "dicast_first_token_seconds",
            "Time to the first token, as the winners measured it.",
            buckets=TOKEN_BUCKETS_S,
        )
        self._first_provisional = histogram(
            "dicast_first_provisional_seconds",
            "From a question that is read along to its first provisional token; waiting included.",
            buckets=TOKEN_BUCKETS_S,
        )
        self._agreement = histogram(
            "dicast_agreement_ratio", "Share of the seats that agreed.", buckets=SHARE_BUCKETS
        )
        self._asking = gauge("dicast_gateway_asking", "Questions at the node now.")
        self._waiting = gauge("dicast_gateway_waiting", "Questions that wait for a place.")
        self._places = gauge(
            "dicast_gateway_places", "Questions that may be asked at a time, as nodes have room."
        )
        self.busy = counter("dicast_gateway_busy", "Rounds asked again, as nodes had no slot free.")
        self._peers = gauge("dicast_peers", "Nodes that the node knows.")
        self._rounds = gauge("dicast_open_rounds", "Rounds open at the node.")
        self._packets = gauge("dicast_packets", "Packets of the node.", ("transport", "way"))
        self._arrivals = gauge(
            "dicast_packet_arrivals", "Packets that came by it first, and copies.", ("transport", "way")
        )
        self._lag = gauge(
            "dicast_packet_lag_seconds",
            "How long after its first copy a packet comes, over the last 512.",
            ("transport", "quantile"),
        )
        self._round_trip = gauge(
            "dicast_round_trip_seconds", "To its server or nearest peer and back.", ("transport",)
        )
        self._kinds = gauge("dicast_packets_by_kind", "Packets by kind.", ("transport", "kind", "way"))
        self._refusals = gauge("dicast_packets_refused", "Packets the node refused.", ("reason",))

    def count_request(self, route: str, status: int) -> None:
        """A response began."""
        self._requests.labels(route, str(status)).inc()

    def count_error(self, code: str) -> None:
        """A request was refused, or failed."""
        self._refused.labels(code).inc()

    def count_verdict(self, answer: Answer, usage: Usage | None, seconds: float) -> None:
        """A round ended."""
        self._verdicts.labels(answer.outcome, answer.reason).inc()
        self._seconds.observe(seconds)
        if answer.verdict.n:
            self._agreement.observe(answer.verdict.ball_size / answer.verdict.n)
        if usage is not None:
            self._first_token.observe(usage.first_token_ms / 1000)
            self._prompt.inc(usage.prompt_tokens)
            self._completion.inc(usage.completion_tokens)

    def count_first_token(self, came_s: float) -> None:
        """A question that came then, by the monotonic clock, has its first provisional token."""
        self._first_provisional.observe(time.monotonic() - came_s)

    def count_rejection(self, reason: str) -> None:
        """The node refused a question, or could not finish it."""
        self._rejections.labels(reason).inc()

    def page(self, status: StatusResult, queue: Queue) -> bytes:
        """Everything, in Prometheus' text format, with the node's own numbers and the queue as of now."""
        self._asking.set(queue.asking)
        self._waiting.set(queue.waiting)
        self._places.set(queue.places)
        self._peers.set(status.peers)
        self._rounds.set(status.open_rounds)
        self._lag.clear()
        self._round_trip.clear()
        for transport in status.transports:
            self._tell_arrivals(transport)
            self._packets.labels(transport.name, "received").set(transport.received)
            self._packets.labels(transport.name, "sent").set(transport.sent)
            self._packets.labels(transport.name, "dropped").set(transport.dropped)
        for transport, kinds in status.packets.items():
            for kind, (received, sent) in kinds.items():
                self._kinds.labels(transport, kind, "received").set(received)
                self._kinds.labels(transport, kind, "sent").set(sent)
        for reason, count in status.refused.items():
            self._refusals.labels(reason).set(count)
        return generate_latest(self._registry)

    def _tell_arrivals(self, transport: TransportStatus) -> None:
        """Numbers that a transport does not know yet, or no longer, are left out."""
        name = transport.name
        self._arrivals.labels(name, "first").set(transport.first)
        self._arrivals.labels(name, "copy").set(transport.copies)
        for quantile, lag_ms in (("0.5", transport.lag_median_ms), ("0.95", transport.lag_p95_ms)):
            if lag_ms is not None:
                self._lag.labels(name, quantile).set(lag_ms / 1000)
        if transport.round_trip_ms is not None:
            self._round_trip.labels(name).set(transport.round_trip_ms / 1000)
