"""The dashboard comes with `dicast up` and with `dicast demo --web`, and goes with them."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest


def address(said: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:[0-9]+", said)
    assert found, said
    return found[0]


def is_gone(url: str) -> bool:
    try:
        httpx.get(url, timeout=2)
    except httpx.TransportError:
        return True
    return False


def test_up_serves_its_pages_at_a_free_port_until_it_is_stopped(machine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ("--dashboard", "--dashboard-port", str(taken.getsockname()[1]))
        machine.relay = "ws://127.0.0.1:9"
        node = machine.start_node("pages", *words)
        machine.wait_for(node, "dashboard url=")
        machine.wait_for(node, "off=--no-dashboard")
    url = address(machine.said[node.pid].partition("dashboard url=")[2])
    assert not url.endswith(f":{taken}")
    assert "<title>Dicast</title>" in httpx.get(url).text
    status = httpx.get(f"{url}/api/status").json()
    assert (
        status["node"]["node_id"]
        == json.loads(machine.run("status", "--state-dir", str(machine.folder / "pages"), "--json").out)[
            "node_id"
        ]
    )
    node.send_signal(signal.SIGTERM)
    assert node.wait(60) == 0
    assert is_gone(url)


def test_the_pages_end_when_the_node_is_killed(machine) -> None:
    machine.relay = "ws://127.0.0.1:9"
    node = machine.start_node("killed", "--dashboard", "--dashboard-port", "0")
    machine.wait_for(node, "off=--no-dashboard")
    url = address(machine.said[node.pid].partition("dashboard url=")[2])
    with httpx.stream("GET", f"{url}/api/events", timeout=60) as events:
        assert events.status_code == 200
        node.kill()
        with pytest.raises(httpx.TransportError):  # the connection breaks when the child is gone
            for _ in events.iter_bytes():
                pass
    assert is_gone(url)


def test_the_demo_opens_its_map_and_goes_on_until_it_is_stopped(machine, tmp_path: Path) -> None:
    certificate = tmp_path / "certificate.json"
    demo = machine.start("demo", "--web", "--certificate", str(certificate), said="The map: ")
    machine.wait_for(demo, "/#/map")
    url = address(machine.said[demo.pid].partition("The map: ")[2])
    machine.wait_for(demo, "goes on at")
    assert certificate.exists()
    (round_,) = httpx.get(f"{url}/api/rounds").json()["items"]
    assert (round_["state"], round_["seats"]) == ("decided", 7)
    demo.send_signal(signal.SIGINT)
    assert demo.wait(60) in (0, 3)
    assert is_gone(url)
