"""Whatever bytes come: nothing is raised, and a node does something only for what it accepts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.protocol.messages import BODIES, Kind
from dicast.protocol.outputs import PacketRefused
from dicast.simulator.state import fingerprint

ROOT = Path(__file__).resolve().parents[3]
KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
MANY = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70) | st.just("ab" * 32),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def hear(scene, wire):
    """Whether it was refused; then nothing changed but an account."""
    before, view = fingerprint(scene.node), scene.view()
    batch = scene.receive(wire)
    assert scene.reader.checks <= 3
    refused = [report for report in batch.reports if isinstance(report, PacketRefused)]
    if not refused:
        return False
    if refused[0].reason == "conflict":
        assert {json.loads(send.wire)["kind"] for send in batch.sends} <= {Kind.EVIDENCE}
    elif batch.writes:
        assert (refused[0].reason, batch.sends, batch.runs, scene.view()) == ("body", (), (), view)
    else:
        assert (batch.sends, batch.runs, fingerprint(scene.node)) == ((), (), before)
    return True


@MANY
@given(kind=st.sampled_from(Kind), data=st.binary(max_size=400))
def test_theorem_9_1_random_bytes_are_refused(scene_of, kind, data):
    assert hear(scene_of(kind), data)


@KINDS
@MANY
@given(data=st.data())
def test_theorem_9_2_a_packet_changed_on_its_way_is_refused_or_says_the_same(scene_of, kind, data):
    """Bytes cut out, put in, doubled or overwritten, wherever."""
    scene = scene_of(kind)
    wire = bytearray(scene.wire)
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(wire)))
        end = min(len(wire), start + data.draw(st.integers(0, 40)))
        wire[start:end] = data.draw(st.binary(max_size=8) | st.just(bytes(wire[start:end] * 2)))
    refused = hear(scene, bytes(wire))
    assert refused or json.loads(bytes(wire)) == scene.fields


@KINDS
@MANY
@given(data=st.data())
def test_a_signed_body_of_random_values_is_refused_or_accepted_and_never_raises(scene_of, kind, data):
    """The author means harm: its signature holds."""
    scene = scene_of(kind)
    fields = json.loads(scene.fields["content"])
    names = sorted({*fields, *BODIES[kind].__struct_fields__, "more"})
    for name in data.draw(st.lists(st.sampled_from(names), max_size=3)):
        fields[name] = data.draw(JSON)
    content = json.dumps(fields, sort_keys=True, ensure_ascii=data.draw(st.booleans()), separators=(",", ":"))
    try:
        wire = scene.resigned(content=content)
    except Exception as error:
        assert type(error).__name__ == "LocalProtocolError"  # noqa: PT017 - no event holds such text
        return
    hear(scene, wire)


@KINDS
@MANY
@given(data=st.data())
def test_signed_tags_of_random_text_are_refused_or_accepted_and_never_raise(scene_of, kind, data):
    scene = scene_of(kind)
    item = st.sampled_from(["t", "e", "p", "d", "expiration", "ab" * 32]) | st.text("a0/é ", max_size=5)
    more = data.draw(st.lists(st.lists(item, min_size=1, max_size=3), max_size=4))
    tags = [tag for tag in scene.fields["tags"] if data.draw(st.integers(0, 3))]
    hear(scene, scene.resigned(tags=[*tags, *more]))


def test_the_coverage_guided_fuzzer_finds_nothing_in_a_short_run():
    command = [sys.executable, str(ROOT / "fuzz/decoder.py"), "-runs=20000", "-max_total_time=15", "-seed=1"]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONHASHSEED": "0"},
    )
    assert (done.returncode, "Done" in done.stderr) == (0, True), done.stderr[-4_000:]
