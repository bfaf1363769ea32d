"""`dicast blob` as a person uses it: add here, get there, list, pin, remove."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dicast.cli.__main__ import main

CONTENT = b"dicast" * 50_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Tests print nothing."""


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """The folder of a store, served by Python's own web server, which knows no ranges."""
    handler = functools.partial(Quiet, directory=str(tmp_path / "a/blobs"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    (tmp_path / "file").write_bytes(CONTENT)
    assert main(["blob", "add", str(tmp_path / "file"), "--json", "--state-dir", str(tmp_path / "a")]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_one_adds_another_gets_from_any_web_server(
    tmp_path: Path, added: dict[str, object], mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert added["sha256"] == SHA256
    there = ["--json", "--state-dir", str(tmp_path / "b")]
    for number, words in enumerate(([SHA256], [str(added["magnet"])])):
        output = tmp_path / f"out{number}"
        command = ["blob", "get", *words, "--from", f"{mirror}/{SHA256}", "-o", str(output), *there]
        assert main(command) == 0
        got = json.loads(capsys.readouterr().out)
        assert output.read_bytes() == CONTENT
        assert (got["sha256"], got["left"]) == (SHA256, [])
        assert main(["blob", "rm", SHA256, *there]) == 0
        assert json.loads(capsys.readouterr().out)["removed"]


def test_mirrors_of_the_configuration_are_asked(
    tmp_path: Path, added: dict[str, object], mirror: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'[content]\nmirrors = ["{mirror}/"]\nfolder = "{tmp_path / "elsewhere"}"\n')
    here = ["--config", str(config), "--state-dir", str(tmp_path / "b")]
    assert main(["blob", "get", SHA256, *here]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert (path.parent, path.read_bytes()) == (tmp_path / "elsewhere", CONTENT)
    for words in (["pin", SHA256], ["ls"], ["pin", SHA256, "--off"], ["ls"], ["gc"]):
        assert main(["blob", *words, *here]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[-1] for line in said if SHA256 in line] == ["pinned", f"{len(CONTENT):,}"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["get", "nonsense"], "blob_name"),
        (["get", "magnet:?xt=nothing"], "blob_name"),
        (["get", SHA256, "--from", "gopher://example.org"], "blob_source"),
        (["get", SHA256, "--from", "http://"], "blob_source"),
        (["get", SHA256], "blob_nowhere"),
        (["get", SHA256, "--from", "http://127.0.0.1:1/x"], "blob_failed"),
        (["rm", "../identity"], "blob_name"),
        (["add", "/nowhere"], "blob_unreadable"),
    ],
)
def test_what_cannot_be_done_says_why(
    words: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["blob", *words, "--json", "--state-dir", str(tmp_path)]) != 0
    captured = capsys.readouterr()
    assert code in captured.out + captured.err
