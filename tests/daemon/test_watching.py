"""What a node tells those who watch: packets by kind, peers that left, work, rounds, log and settings."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import msgspec
import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.daemon import api
from dicast.daemon.config import load_settings
from dicast.daemon.config_schema import Settings
from dicast.daemon.downloads import downloads
from dicast.daemon.history import Wanted
from dicast.daemon.logs import LINES_KEPT_MAX, Log
from dicast.daemon.packet_kinds import PacketKinds, growth, kind_of
from dicast.daemon.settings_view import FLAGS, SettingRecord, settings_view
from dicast.daemon.tellings import InferenceEnded, InferenceStarted, LogLine
from dicast.embedders.weights import WeightsFile


def test_a_kind_is_read_off_the_bytes() -> None:
    assert kind_of(b'{"content":"\\"kind\\":4113,","created_at":1,"kind":4112,"tags":[]}') == "commit"
    assert kind_of(b'{"kind": 31411}') == "announcement"
    assert [kind_of(one) for one in (b"", b'{"kind":1}', b'{"kind":true}')] == ["other"] * 3


def test_counts_by_transport_and_kind_grow() -> None:
    kinds = PacketKinds()
    kinds.received(b'{"kind":4110}', "nostr")
    before = kinds.read()
    kinds.received(b'{"kind":4110}', "nostr")
    kinds.sent(b'{"kind":4112}', ("nostr", "mqtt"))
    assert before == {"nostr": {"request": (1, 0)}}
    assert growth(before, kinds.read()) == {
        "mqtt": {"commit": (0, 1)},
        "nostr": {"commit": (0, 1), "request": (1, 0)},
    }
    assert growth(kinds.read(), kinds.read()) == {}


@pytest.mark.anyio
async def test_rounds_are_told_whole_and_listed(network) -> None:
    asker = await network.add("asker", roles=())
    await network.workers(3)
    service = asker.service
    heard: list[object] = []
    worker = next(node for node in network.running if node is not asker)
    worker.driver.reports.listen_now(heard.append)
    answer = await service.answer(api.Ask(prompt="What?", preset="story"), lambda _: None)
    page = await service.answer(api.History(Wanted(text="WHAT")), lambda _: None)
    (summary,) = page.items
    assert (summary.request_id, summary.state, summary.outcome, summary.commits, page.next_cursor) == (
        answer.request_id,
        "decided",
        "accepted",
        3,
        "",
    )
    assert (await service.answer(api.History(Wanted(role="member")), lambda _: None)).items == ()
    papers = await service.answer(api.Round(answer.request_id), lambda _: None)
    assert (papers.summary, papers.verdict) == (summary, answer.verdict)
    assert papers.events[0].id == answer.request_id
    with pytest.raises(ConfigurationError, match="round_missing"):
        await service.answer(api.Round("0" * 64), lambda _: None)
    work = [one for one in heard if isinstance(one, InferenceStarted | InferenceEnded)]
    assert [type(one) for one in work] == [InferenceStarted, InferenceEnded]
    assert work[1].code == ""
    status = service.status()
    assert status.packets["memory"]["commit"] == (3, 0)


def test_the_log_keeps_its_newest_lines_without_secrets() -> None:
    log = Log("info", stream=io.StringIO(), clock=lambda: 1.5)
    heard: list[LogLine] = []
    log.on_line = heard.append
    key = "dicast-" + "x" * 43
    log.info("started", key=key, secret=KeyPair.from_seed(b"x"))
    log.debug("not_shown")
    assert [(line.at_unix_ms, line.level, line.event, line.fields["key"]) for line in heard] == [
        (1500, "info", "started", "[secret]")
    ]
    for number in range(LINES_KEPT_MAX + 5):
        log.info("line", number=number)
    assert len(log.recent) == LINES_KEPT_MAX


def test_settings_are_shown_without_secrets() -> None:
    settings = Settings(
        relays=("wss://user:word@relay.example.org",),
        engines={"openai": {"api_key": "sk-1", "base_url": "x"}},
    )
    shown = {one.key: one.value for one in settings_view(settings)}
    assert shown["relays"] == ["wss://[secret]@relay.example.org"]
    assert shown["engines.openai.api_key"] == "[secret]"
    assert shown["engines.openai.base_url"] == "x"
    assert shown["log.level"] == "info"


def test_each_setting_says_where_it_comes_from_and_how_it_is_changed(tmp_path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('relays = ["ws://a"]\n[engines.openai]\napi_key = "sk-1"\n[log]\nlevel = "debug"\n')
    environment = {"DICAST_LOG__LEVEL": "error", "DICAST_ASK__ATTEMPTS": "2"}
    joined = {"network": "main", "relays": ["ws://b"]}
    loaded = load_settings(file, {"slots": 3, "roles": ()}, environment, joined)
    started = msgspec.structs.replace(loaded.settings, transports={"websocket": {"listen": "x"}})
    shown = {one.key: one for one in settings_view(started, loaded.origins)}
    sources = {key: one.source for key, one in shown.items() if one.source != "default"}
    assert sources == {
        "network": "ticket",
        "relays": "file, ticket",
        "engines.openai.api_key": "file",
        "log.level": "DICAST_LOG__LEVEL",
        "ask.attempts": "DICAST_ASK__ATTEMPTS",
        "slots": "--slots",
        "roles": "--role",
        "transports.websocket.listen": "start",
    }
    assert shown["log.level"] == SettingRecord(
        "log.level",
        "error",
        "info",
        "DICAST_LOG__LEVEL",
        str(file),
        '[log]\nlevel = "error"',
        "DICAST_LOG__LEVEL",
        "--log-level",
    )
    assert shown["engines.openai.api_key"].lines == '[engines.openai]\napi_key = "[secret]"'


def test_what_is_shown_can_be_written_and_every_flag_is_one(tmp_path) -> None:
    for one in settings_view(Settings()):
        file = tmp_path / "config.toml"
        file.write_text(one.lines)
        again = {other.key: other for other in settings_view(load_settings(file, environment={}).settings)}
        assert again[one.key].value == one.value
    command = [sys.executable, "-m", "dicast.cli", "up", "--help"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert set(FLAGS.values()) <= set(re.findall(r"--[a-z-]+", shown))


def test_downloads_are_read_off_the_files(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    weights = WeightsFile("some", "some.bin", 10, "0" * 64, "no_such_package", "x", ())
    assert [(one.state, one.done_bytes) for one in downloads((weights,))] == [("missing", 0)]
    part = tmp_path / "dicast/models/some/some.bin.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"1234")
    assert [(one.state, one.done_bytes) for one in downloads((weights,))] == [("loading", 4)]
    part.rename(part.with_suffix(""))
    (tmp_path / "dicast/models/some/some.bin").write_bytes(b"0123456789")
    assert [(one.state, one.done_bytes) for one in downloads((weights,))] == [("ready", 10)]
