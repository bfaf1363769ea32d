"""The dashboard's files as browsers get them, and how the gateway stops."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys

import httpx
import pytest

from dicast.client import AsyncClient
from dicast.daemon.config_schema import AskSettings
from dicast.daemon.logs import Log
from dicast.gateway.app import make_app
from dicast.gateway.asking import Asker
from dicast.gateway.drain import Drain
from dicast.gateway.guard import Access
from dicast.gateway.keys import KeyFile
from dicast.gateway.metrics import Metrics
from dicast.gateway.pages import POLICY, Pages
from dicast.gateway.parts import Parts
from dicast.gateway.server import Address, host_names


@pytest.fixture
def app(tmp_path):
    client, metrics = AsyncClient(tmp_path), Metrics()
    parts = Parts(client, Asker(client, AskSettings(), metrics), metrics, Log("error", stream=io.StringIO()))
    access = Access(KeyFile(tmp_path), host_names(Address()), needs_key=True)
    return make_app(parts, access), access


def test_files_have_types_tags_and_a_strict_policy(tmp_path) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html>")
    (tmp_path / "assets/app-0123abcd.js").write_text("1")
    (tmp_path / "assets/notes.md").write_text("not served")
    pages = Pages(tmp_path)
    assert sorted(pages._pages) == ["assets/app-0123abcd.js", "index.html"]
    index, script = pages._pages["index.html"], pages._pages["assets/app-0123abcd.js"]
    assert (index.kind, index.is_fixed) == ("text/html; charset=utf-8", False)
    assert (script.kind, script.is_fixed) == ("text/javascript; charset=utf-8", True)
    assert re.fullmatch(r'"[0-9a-f]{32}"', index.tag)
    assert "unsafe" not in POLICY
    assert Pages(tmp_path / "nothing")._pages == {}


@pytest.mark.anyio
async def test_pages_are_public_and_every_datum_is_not(app) -> None:
    made, _ = app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://localhost") as client:
        page = await client.get("/")
        if page.status_code == 200:
            assert page.headers["content-security-policy"] == POLICY
            again = await client.get("/", headers={"if-none-match": page.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
        else:
            assert page.json()["error"]["code"] == "not_found"
        for path in ("/api/status", "/api/rounds", "/api/openapi.json", "/api/events", "/metrics"):
            assert (await client.get(path)).json()["error"]["code"] == "key_invalid"


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"origin": "http://localhost"}, "key_invalid"),
        ({"origin": "http://localhost:81"}, "origin_refused"),
        ({"origin": "null"}, "origin_refused"),
        ({"sec-fetch-site": "same-origin"}, "key_invalid"),
        ({"sec-fetch-site": "same-site"}, "origin_refused"),
        ({"sec-fetch-site": "cross-site"}, "origin_refused"),
    ],
)
async def test_only_our_own_pages_may_ask(app, headers: dict[str, str], code: str) -> None:
    made, _ = app
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://localhost") as client:
        assert (await client.get("/api/status", headers=headers)).json()["error"]["code"] == code


@pytest.mark.anyio
async def test_while_it_drains_what_is_new_is_refused_and_probes_are_told(app) -> None:
    made, access = app
    access.drain.begin()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(made), base_url="http://localhost") as client:
        for path in ("/api/status", "/", "/healthz", "/v1/models"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
            assert answer.headers["retry-after"] == "1"


@pytest.mark.anyio
async def test_what_is_open_may_finish() -> None:
    drain = Drain()
    ended: list[str] = []
    drain.at_begin(lambda: ended.append("streams"))
    with drain.counted():
        drain.begin()
        drain.begin()
        assert not await drain.finished(0.01)
    assert await drain.finished(1)
    assert ended == ["streams"]


def test_sigterm_says_goodbye_to_those_who_listen(place) -> None:
    command = [sys.executable, "-m", "dicast.cli", "gateway", "--state-dir", str(place.state_dir)]
    with subprocess.Popen(
        [*command, "--port", "0", "--preset", "story"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().removeprefix("listening on ").strip()
            with httpx.stream("GET", f"{url}/api/events", timeout=60) as events:
                lines = events.iter_lines()
                assert next(lines).startswith(":")
                process.send_signal(signal.SIGTERM)
                told = [json.loads(line[6:])["type"] for line in lines if line.startswith("data: ")]
                assert told[-1] == "bye"
            assert process.wait(60) == 0
        finally:
            process.kill()
