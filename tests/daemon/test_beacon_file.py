"""A recorded beacon: its newest values first, then what is appended; lines of others change nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dicast.base.errors import ConfigurationError
from dicast.daemon.beacon_file import BACKLOG_BYTES_MAX, BeaconFile
from dicast.daemon.logs import Log
from dicast.protocol.inputs import BeaconSeen


def line(number: int) -> str:
    return json.dumps({"round": number, "value": f"{number:064x}"}) + "\n"


def seen(*numbers: int) -> list[BeaconSeen]:
    return [BeaconSeen(number, f"{number:064x}") for number in numbers]


def test_values_come_in_order_and_once(tmp_path: Path) -> None:
    path = tmp_path / "beacon.jsonl"
    path.write_text(line(1) + line(2))
    beacon = BeaconFile(path, Log("error"))
    assert beacon.read_new() == seen(1, 2)
    assert beacon.read_new() == []
    with path.open("a") as file:
        file.write(line(3) + line(4)[:20])
    assert beacon.read_new() == seen(3)
    with path.open("a") as file:
        file.write(line(4)[20:])
    assert beacon.read_new() == seen(4)


@pytest.mark.parametrize(
    "junk", ["", "{", "[]", '{"round":0,"value":"00"}', '{"round":1,"value":"0"}', "[" * 900, "x" * 2000]
)
def test_a_line_that_is_no_beacon_is_skipped(tmp_path: Path, junk: str) -> None:
    path = tmp_path / "beacon.jsonl"
    path.write_text(junk + "\n" + line(7))
    assert BeaconFile(path, Log("error")).read_new() == seen(7)


def test_bytes_that_are_no_text_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "beacon.jsonl"
    path.write_bytes(b'{"round":1,"value":"\xff\xfe"}\n' + line(7).encode())
    assert BeaconFile(path, Log("error")).read_new() == seen(7)


def test_of_a_long_file_only_the_newest_values_are_read(tmp_path: Path) -> None:
    path = tmp_path / "beacon.jsonl"
    path.write_text("".join(map(line, range(1, 3_000))))
    found = BeaconFile(path, Log("error")).read_new()
    assert found == seen(*range(found[0].round, 3_000))
    assert len(found) < BACKLOG_BYTES_MAX // len(line(1))


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "beacon.jsonl"
    path.write_text(line(1) + line(2))
    beacon = BeaconFile(path, Log("error"))
    beacon.read_new()
    path.write_text(line(3))
    assert beacon.read_new() == seen(3)
    path.unlink()
    assert beacon.read_new() == []


def test_a_missing_file_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        BeaconFile(tmp_path / "nowhere", Log("error"))
    assert caught.value.message.startswith("beacon_file:")
