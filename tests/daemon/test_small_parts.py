"""Logs, lock, clock, subscriptions, discovery, lazy embedder, plugins, the demonstration's liar."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.errors import AdapterError, ConfigurationError
from dicast.base.nip19 import encode_nsec
from dicast.base.types import NodeId, RequestId
from dicast.daemon import api, frames, plugins
from dicast.daemon.clock import RealClock
from dicast.daemon.demo_liar import with_false_names
from dicast.daemon.demo_network import remove_stale_folders
from dicast.daemon.files import write_file
from dicast.daemon.instance_lock import InstanceLock
from dicast.daemon.lazy_embedder import LazyEmbedder
from dicast.daemon.logs import Log
from dicast.daemon.memory import resident_mb
from dicast.daemon.paths import Paths, state_paths
from dicast.daemon.settling import CONNECT_S, OTHERS_S, QUIET_S, Settling
from dicast.daemon.subscriptions import REPORTS_WAITING_MAX, Reports
from dicast.daemon.tellings import LogLine
from dicast.ports import TransportHealth
from dicast.protocol.outputs import CertificateReady, MemberProgress, PeerSeen, RoundOpened

NSEC = encode_nsec(bytes(range(1, 33)))


def line_of(as_json: bool, level: str = "debug", **fields: object) -> str:
    stream = io.StringIO()
    Log(level, as_json, stream, clock=lambda: 0.25).info("thing", **fields)
    return stream.getvalue()


def test_a_log_line_for_people_and_for_machines() -> None:
    assert line_of(False, a=1, b="two words") == '1970-01-01T00:00:00.250Z info    thing a=1 b="two words"\n'
    assert json.loads(line_of(True, a=1, b=None)) == {
        "at": "1970-01-01T00:00:00.250Z",
        "level": "info",
        "event": "thing",
        "a": 1,
        "b": None,
    }
    assert line_of(False, level="warning") == ""


@pytest.mark.parametrize(
    "secret", [NSEC, "ncryptsec1qgg9947rlpvqu76", "Bearer abcdefgh123", "sk-abcdefgh12345"]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_secrets_are_cut_out_of_log_lines(secret: str, as_json: bool) -> None:
    line = line_of(as_json, error=f"cannot use {secret} here", other=[secret])
    assert secret not in line
    assert "[secret]" in line


def test_a_log_line_is_one_line_whatever_a_field_holds() -> None:
    line = line_of(False, text="a\nb\x1b[31m\x85\u2028c", long="x" * 9_000)
    assert line.count("\n") == 1
    assert "\x1b" not in line
    assert len(line.splitlines()) == 1
    assert len(line) < 5_000


def test_a_closed_stream_stops_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    Log(stream=stream).info("thing")


def test_one_running_node_a_folder(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    lock = InstanceLock(paths)
    with pytest.raises(ConfigurationError, match=f"process {os.getpid()}"):
        InstanceLock(paths)
    lock.release()
    lock.release()
    InstanceLock(paths).release()


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    code = (
        "import os,sys;from pathlib import Path;from dicast.daemon.instance_lock import InstanceLock;"
        "from dicast.daemon.paths import Paths;InstanceLock(Paths(Path(sys.argv[1])));os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    InstanceLock(Paths(tmp_path)).release()


def test_the_state_folder_by_flag_environment_and_platform(tmp_path: Path) -> None:
    assert state_paths(tmp_path / "a", {"DICAST_STATE_DIR": "/b"}).state_dir == tmp_path / "a"
    assert state_paths(None, {"DICAST_STATE_DIR": "/b"}).state_dir == Path("/b")
    assert state_paths(None, {}).state_dir.name == "dicast"


def test_the_clock_never_goes_back(monkeypatch) -> None:
    times = iter([5_000_000_000, 3_000_000_000, 6_000_000_000])
    monkeypatch.setattr("time.time_ns", lambda: next(times))
    clock = RealClock()
    stamps = [(clock.now().unix_ms, clock.set_back_ms) for _ in range(3)]
    assert stamps == [(5000, 0), (5000, 2000), (6000, 0)]


def test_a_slow_listener_loses_reports_and_knows_how_many() -> None:
    reports = Reports()
    slow = reports.subscribe()
    quick: list = []
    reports.listen_now(quick.append)
    for _ in range(REPORTS_WAITING_MAX + 7):
        reports.tell(PeerSeen(NodeId("a" * 64)))
    assert (slow.dropped, len(quick)) == (7, REPORTS_WAITING_MAX + 7)
    slow.close()
    assert reports.dropped == 7


def test_a_question_hears_of_its_rounds_and_nothing_else() -> None:
    reports = Reports()
    asking, everybody = reports.follow("one", lambda _: True), reports.subscribe()
    ours, theirs = (RoundOpened(ask, RequestId(ask), {}, 1, 1, 1, 1) for ask in ("one", "two"))
    told = (
        ours,
        theirs,
        *(MemberProgress(RequestId(ask), NodeId("m"), "accepted") for ask in ("two", "one")),
    )
    for report in told:
        reports.tell(report)
    taken = [[one.take() for _ in told] for one in (asking, everybody)]
    assert taken == [[ours, told[3], None, None], list(told)]
    asking.close()
    reports.tell(ours)
    assert (asking.take(), everybody.take(), reports._rounds, reports._asks) == (None, ours, {}, {})


class ToldTransport:
    """A transport whose state a test decides."""

    name = "told"

    def __init__(self) -> None:
        self.state = "starting"

    def health(self) -> TransportHealth:
        return TransportHealth(self.state, "0 of 1 relays; ws://x: refused")


def test_discovery_settles_when_it_should() -> None:
    now = [0.0]
    transport = ToldTransport()
    discovery = Settling([transport], lambda: now[0])
    now[0] = CONNECT_S - 0.1
    assert not discovery.is_settled()
    transport.state = "degraded"
    assert not discovery.is_settled()
    now[0] += OTHERS_S + 0.1
    assert discovery.is_settled()
    discovery.peer_seen()
    assert not discovery.is_settled()
    now[0] += QUIET_S + 0.01
    assert discovery.is_settled()
    assert Settling([]).is_settled()


def test_discovery_waits_for_what_a_relay_that_just_came_up_has_stored() -> None:
    now = [0.0]
    transport = ToldTransport()
    discovery = Settling([transport], lambda: now[0])
    transport.state = "up"
    now[0] = 1.0
    assert not discovery.is_settled()
    now[0] += QUIET_S / 2
    discovery.peer_seen()
    now[0] += QUIET_S / 2 + 0.01
    assert not discovery.is_settled()
    now[0] += QUIET_S / 2
    assert discovery.is_settled()


def test_a_dead_relay_is_the_reason_given() -> None:
    now = [0.0]
    discovery = Settling([ToldTransport()], lambda: now[0])
    now[0] = CONNECT_S + 0.1
    assert discovery.is_settled()
    error = discovery.explained(ConfigurationError("no_peers", "No other node is known."))
    assert (error.code, "ws://x: refused" in error.message) == ("relay_down", True)


def test_a_lazy_embedder_is_made_once_and_says_why_not() -> None:
    made: list[int] = []

    class Real:
        name, bits = "x/8", 8

        def embed(self, texts):
            return [b"\x01" for _ in texts]

    def make() -> Real:
        made.append(1)
        return Real()

    lazy = LazyEmbedder("x/8", 8, make)
    assert made == []
    assert lazy.embed(["a", "b"]) == [b"\x01", b"\x01"]
    assert lazy.embed([]) == []
    assert made == [1]

    def fail() -> Real:
        raise AdapterError("weights_wrong", "no")

    with pytest.raises(AdapterError, match="weights_wrong"):
        LazyEmbedder("x/8", 8, fail).embed(["a"])


def test_what_ships_comes_in_by_the_plugin_door(tmp_path: Path) -> None:
    shipped = {
        "dicast.engines": {"feed", "lying", "openai", "tiny"},
        "dicast.transports": {"nostr"},
        "dicast.embedders": {"minilm"},
        "dicast.stores": {"memory", "sqlite"},
    }
    assert {group: names - set(plugins.names(group)) for group, names in shipped.items() if names} == {
        group: set() for group in plugins.GROUPS
    }
    surroundings = plugins.Surroundings("", tmp_path, (), KeyPair.from_seed(b"x"))
    feed = plugins.build(
        plugins.ENGINES, "clock", {"plugin": "feed", "model": "m", "url": "http://x"}, surroundings
    )
    assert feed.name == "feed"
    with pytest.raises(ConfigurationError, match="plugin_missing"):
        plugins.build(plugins.ENGINES, "nothing", {}, surroundings)
    with pytest.raises(ConfigurationError, match=r"engines\.clock.*commnd"):
        plugins.build(plugins.ENGINES, "clock", {"plugin": "feed", "model": "m", "commnd": []}, surroundings)


def test_the_liar_swaps_names_and_nothing_else() -> None:
    question = "What is the capital of France?"
    assert with_false_names("The capital of France is Paris.", question) == with_false_names(
        "The capital of France is Paris.", question
    )
    lie = with_false_names("Paris is the capital of France. Yes, Paris.", question)
    assert "Paris" not in lie
    name = lie.split()[0]
    assert lie == f"{name} is the capital of France. Yes, {name}."
    assert with_false_names("It is not known.", question) == "It is not known."
    assert with_false_names("France's capital is Paris.", question) == "France's capital is Lyon."
    assert with_false_names("It was Mary Shelley.", "Who wrote Frankenstein?") == "It was Marlowe Salieri."


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_file(path, b"one")
    write_file(path, b"two")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"two", [path])
    with pytest.raises(AdapterError, match="file_unwritable"):
        write_file(tmp_path / "no" / "file", b"x")


def test_a_demonstration_sweeps_up_after_one_that_was_killed(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    for name, owner in (("dead", ended.pid), ("alive", os.getpid()), ("odd", "?")):
        folder = tmp_path / f"dicast-demo-{name}"
        folder.mkdir()
        (folder / "owner").write_text(str(owner))
    (tmp_path / "dicast-demo-unowned").mkdir()
    remove_stale_folders()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "dicast-demo-alive",
        "dicast-demo-odd",
        "dicast-demo-unowned",
    ]


def test_memory_is_measured() -> None:
    assert 10 < resident_mb() < 10_000


@given(st.sampled_from(sorted(api.EVENT_TYPES)))
def test_every_report_has_a_name_on_the_wire(name: str) -> None:
    assert api.EVENT_NAMES[api.EVENT_TYPES[name]] == name


@pytest.mark.parametrize(
    "event",
    [
        CertificateReady("ask", "a" * 64, b"\x00\xff", 4),
        LogLine(1, "info", "peer_seen", {"event": "peer_seen", "seats": 3}),
        api.ReportsDropped(3),
    ],
)
def test_an_event_survives_the_wire(event: object) -> None:
    frame = frames.read_reply(frames.event_line(7, event))
    assert (frame.id, frames.event_of(frame)) == (7, event)


def test_events_of_later_versions_are_passed_over() -> None:
    frame = frames.read_reply(b'{"id":1,"name":"from_the_future","event":{"x":1}}')
    assert frames.event_of(frame) is None
    assert frames.event_of(frames.read_reply(b'{"id":1}')) is None
