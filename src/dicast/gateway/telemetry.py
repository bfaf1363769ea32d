"""Traces for OpenTelemetry: a request, its rounds, their verdicts. Off unless a collector is named.

Prompts and answers are never in them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicast.base.errors import ConfigurationError
from dicast.client import Event
from dicast.protocol.outputs import (
    CertificateReady,
    MemberProgress,
    RoundDecided,
    RoundEnded,
    RoundOpened,
    RoundProgress,
)
from dicast.version import VERSION

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, Tracer

FLUSH_MS = 5_000
"""What a collector gets to take the last spans before the gateway ends."""
EXPORT_S = 5
"""A collector that does not answer in this time loses a batch; nobody waits for it."""
TRACES_PATH = "/v1/traces"
SERVER_FAULTS = 500


class RoundTrace(Protocol):
    """Follows the rounds of one question."""

    def see(self, event: Event) -> None:
        """An event of the question."""
        ...

    def close(self) -> None:
        """The question is over, however it ended."""
        ...


class Telemetry(Protocol):
    """Where traces go."""

    def request(self, method: str, route: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
        """A request while it is answered; what is told of it is set on what this gives."""
        ...

    def rounds(self) -> RoundTrace:
        """The rounds of one question, inside the request at hand."""
        ...

    def close(self) -> None:
        """Hand over what is left."""
        ...


class _NoRounds:
    def see(self, event: Event) -> None:
        del event

    def close(self) -> None:
        pass


class NoTelemetry:
    """Tells nobody anything."""

    def request(self, method: str, route: str, headers: Mapping[str, str]) -> AbstractContextManager[Any]:
        """See `Telemetry.request`."""
        del method, route, headers
        return nullcontext()

    def rounds(self) -> RoundTrace:
        """See `Telemetry.rounds`."""
        return _NoRounds()

    def close(self) -> None:
        """See `Telemetry.close`."""


class OpenTelemetry:
    """Sends spans to a collector by OTLP over HTTP, in batches, from a thread of the SDK's."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("dicast.gateway", VERSION)

    @contextmanager
    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Generator[Span]:
        """See `Telemetry.request`. A `traceparent` header makes it part of the caller's own trace."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        attributes = {"http.request.method": method, "http.route": route}
        above = TraceContextTextMapPropagator().extract(headers)
        with self._tracer.start_as_current_span(
            f"{method} {route}", above, SpanKind.SERVER, attributes
        ) as span:
            yield span

    def rounds(self) -> RoundTrace:
        """See `Telemetry.rounds`."""
        return _Rounds(self._tracer)

    def close(self) -> None:
        """See `Telemetry.close`."""
        self._provider.force_flush(FLUSH_MS)
        self._provider.shutdown()


class _Rounds:
    """A span a round, from its opening to its verdict; inside it one from the verdict to the certificate."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._round: Span | None = None
        self._verdict: Span | None = None

    def see(self, event: Event) -> None:
        """See `RoundTrace.see`."""
        match event:
            case RoundOpened():
                self.close()
                shape = {"seats": event.seats, "need": event.need, "quorum": event.quorum}
                known = {"request_id": event.request_id, "attempt": event.attempt, **shape}
                attributes = {f"dicast.{name}": value for name, value in known.items()}
                self._round = self._tracer.start_span("round", attributes=attributes)
            case MemberProgress() | RoundProgress():
                if self._round is not None:
                    member = {"dicast.member": event.member} if isinstance(event, MemberProgress) else {}
                    self._round.add_event(event.step, member)
            case RoundDecided():
                self._decide(event)
            case CertificateReady():
                if self._verdict is not None:
                    self._verdict.set_attribute("dicast.signed_seats", event.signed_seats)
                self.close()
            case RoundEnded():
                self._fail(event.code)
            case _:
                pass

    def close(self) -> None:
        """See `RoundTrace.close`."""
        for span in (self._verdict, self._round):
            if span is not None:
                span.end()
        self._round = self._verdict = None

    def _decide(self, event: RoundDecided) -> None:
        from opentelemetry.trace import set_span_in_context

        if self._round is None:
            return
        verdict = event.verdict
        told = {"outcome": verdict.outcome.value, "reason": verdict.reason.value, "ball": verdict.ball_size}
        self._round.set_attributes({f"dicast.{name}": value for name, value in told.items()})
        inside = set_span_in_context(self._round)
        attributes = {"dicast.checked": event.checked, "dicast.next_attempt": event.next_attempt}
        self._verdict = self._tracer.start_span("verdict", inside, attributes=attributes)

    def _fail(self, code: str) -> None:
        from opentelemetry.trace import Status, StatusCode

        if self._round is not None:
            self._round.set_status(Status(StatusCode.ERROR, code))
        self.close()


class Tracing:
    """The middleware that makes a request's span; it stands behind the guard, which knows the route."""

    def __init__(self, app: ASGIApp, *, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer inside a span."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        with self._telemetry.request(scope["method"], scope["dicast_route"], headers) as span:

            async def watched(message: Message) -> None:
                if span is not None and message["type"] == "http.response.start":
                    _set_status(span, message["status"])
                await send(message)

            await self._app(scope, receive, watched)


def open_telemetry(endpoint: str) -> Telemetry:
    """Traces to the collector at `endpoint` (such as http://127.0.0.1:4318); nothing where it is empty.

    Raises ConfigurationError.
    """
    if not endpoint:
        return NoTelemetry()
    if not endpoint.startswith(("http://", "https://")):
        raise ConfigurationError(
            "telemetry_endpoint", f"--telemetry {endpoint!r} is no address.", "E.g. http://127.0.0.1:4318."
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigurationError(
            "telemetry_missing",
            "OpenTelemetry is not installed here.",
            "Run: pip install 'dicast[telemetry]'",
        ) from error
    resource = Resource.create({"service.name": "dicast-gateway", "service.version": VERSION})
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint.rstrip("/") + TRACES_PATH, timeout=EXPORT_S)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return OpenTelemetry(provider)


def _set_status(span: Span, status: int) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("http.response.status_code", status)
    if status >= SERVER_FAULTS:
        span.set_status(Status(StatusCode.ERROR))
