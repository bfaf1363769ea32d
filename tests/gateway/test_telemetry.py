"""Traces and metrics as a collector and Prometheus get them, from the command that people run."""

from __future__ import annotations

import gzip
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dicast.base.errors import ConfigurationError
from dicast.daemon.api import StatusResult, TransportStatus
from dicast.gateway.metrics import Metrics
from dicast.gateway.telemetry import NoTelemetry, open_telemetry

BODY = {"model": "any", "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@contextmanager
def collector() -> Iterator[tuple[str, queue.Queue[Any]]]:
    """A collector of traces: its address, and the spans that it was given."""
    spans: queue.Queue[Any] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                content = gzip.decompress(content)
            for resource in ExportTraceServiceRequest.FromString(content).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        spans.put((self.path, span))
            self.send_response(200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            del words

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", spans
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def command(place: Any, *words: str) -> Iterator[str]:
    """A gateway in a process of its own, told to stop at the end."""
    line = [sys.executable, "-m", "dicast.cli", "gateway", "--state-dir", str(place.state_dir), "--port", "0"]
    with subprocess.Popen([*line, "--preset", "story", *words], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().removeprefix("listening on ").strip()
            process.terminate()
            assert process.wait(60) == 0
        finally:
            process.kill()


def test_a_request_its_round_and_its_verdict_are_one_trace(place) -> None:
    with collector() as (endpoint, spans):
        with command(place, "--telemetry", endpoint) as url:
            headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            answer = httpx.post(f"{url}/v1/chat/completions", json=BODY, headers=headers, timeout=60)
            assert answer.status_code == 200
        found = [spans.get(timeout=60) for _ in range(3)]
    assert {path for path, _ in found} == {"/v1/traces"}
    by_name = {span.name: span for _, span in found}
    request, round_, verdict = (by_name[name] for name in ("POST /v1/chat/completions", "round", "verdict"))
    assert {span.trace_id.hex() for span in by_name.values()} == {TRACE}
    assert request.parent_span_id.hex() == PARENT
    assert round_.parent_span_id == request.span_id
    assert verdict.parent_span_id == round_.span_id
    told = {one.key: one.value for one in round_.attributes}
    assert told["dicast.request_id"].string_value == answer.json()["dicast"]["request_id"]
    assert (told["dicast.outcome"].string_value, told["dicast.ball"].int_value) == ("accepted", 3)
    steps = [event.name for event in round_.events]
    assert (steps.count("committed"), steps.count("revealed"), "sealed" in steps) == (3, 3, True)
    assert "hello" not in str(found)
    assert "Paris" not in str(found)


def test_without_a_collector_nothing_is_traced_and_a_wrong_address_is_said() -> None:
    assert isinstance(open_telemetry(""), NoTelemetry)
    with pytest.raises(ConfigurationError, match="telemetry_endpoint"):
        open_telemetry("127.0.0.1:4318")


def test_what_prometheus_reads_of_a_stream_and_of_a_question_without_a_verdict(place) -> None:
    for body in ({**BODY, "stream": True}, {**BODY, "messages": [{"role": "user", "content": "disagree"}]}):
        httpx.post(f"{place.url}/v1/chat/completions", json=body, timeout=60)
    page = httpx.get(f"{place.url}/metrics").text
    for line in (
        'dicast_verdicts_total{outcome="accepted",reason="agreed"} 1.0',
        'dicast_verdicts_total{outcome="undetermined",reason="no_agreement"} 1.0',
        "dicast_verdict_seconds_count 2.0",
        "dicast_first_provisional_seconds_count 1.0",
        "dicast_first_token_seconds_count 1.0",
        "dicast_agreement_ratio_count 2.0",
        'dicast_gateway_errors_total{code="undetermined"} 1.0',
        'dicast_gateway_requests_total{route="/v1/chat/completions",status="200"} 1.0',
        'dicast_packets_by_kind{kind="stream",transport="memory",way="received"}',
        'dicast_packets_by_kind{kind="close",transport="memory",way="sent"} 2.0',
        "dicast_gateway_asking 0.0",
        "dicast_gateway_places 16.0",
        "dicast_gateway_busy_total 0.0",
        "dicast_open_rounds 0.0",
    ):
        assert line in page, page


def test_what_prometheus_reads(place) -> None:
    httpx.post(f"{place.url}/v1/chat/completions", json=BODY, timeout=60)
    httpx.post(f"{place.url}/api/plan", json={"prompt": "x", "frame": {"models": ["nobody"]}})
    page = httpx.get(f"{place.url}/metrics").text
    for line in (
        'dicast_verdicts_total{outcome="accepted",reason="agreed"} 1.0',
        "dicast_verdict_seconds_count 1.0",
        "dicast_first_token_seconds_count 1.0",
        "dicast_agreement_ratio_sum 1.0",
        'dicast_rejections_total{reason="no_model"} 1.0',
        'dicast_packets_by_kind{kind="commit",transport="memory",way="received"} 3.0',
        'dicast_packet_arrivals{transport="memory",way="first"}',
        "dicast_gateway_waiting 0.0",
        "dicast_open_rounds 0.0",
    ):
        assert line in page, page


class Nobody:
    """An empty queue."""

    asking = waiting = places = 0


def test_how_networks_do_is_told_where_it_is_known() -> None:
    slow = TransportStatus(
        name="slow",
        state="up",
        detail="",
        peers=(),
        sent=0,
        received=8,
        dropped=0,
        first=3,
        copies=5,
        lag_median_ms=40,
        lag_p95_ms=900,
        round_trip_ms=70,
    )
    numbers = ("pid", "uptime_s", "peers", "open_rounds", "inputs", "reports_dropped", "memory_mb")
    counts = dict.fromkeys((*numbers, "packets_received", "packets_dropped", "packets_sent"), 0)
    status: Any = partial(StatusResult, node_id="", network="main", version="", refused={}, **counts)
    status = status(roles=(), models=(), embedders=(), transports=(slow,))
    metrics = Metrics()
    page = metrics.page(msgspec.structs.replace(status, transports=(slow,)), Nobody()).decode()
    for line in (
        'dicast_packet_arrivals{transport="slow",way="first"} 3.0',
        'dicast_packet_arrivals{transport="slow",way="copy"} 5.0',
        'dicast_packet_lag_seconds{quantile="0.5",transport="slow"} 0.04',
        'dicast_packet_lag_seconds{quantile="0.95",transport="slow"} 0.9',
        'dicast_round_trip_seconds{transport="slow"} 0.07',
    ):
        assert line in page, page
    silent = msgspec.structs.replace(slow, lag_median_ms=None, lag_p95_ms=None, round_trip_ms=None)
    page = metrics.page(msgspec.structs.replace(status, transports=(silent,)), Nobody()).decode()
    assert "dicast_packet_lag_seconds{" not in page
    assert "dicast_round_trip_seconds{" not in page
