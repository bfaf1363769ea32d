"""Separate processes, a relay between them, and a question: what a person does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

QUESTION = "What is the capital of France?"
SURE = ("--quorum", "3", "--temperature", "0")


@pytest.fixture
def network(machine):
    """A relay and three nodes."""
    machine.start_relay()
    for name in ("n1", "n2", "n3"):
        machine.start_node(name)
    return machine


def test_a_question_is_answered_with_a_certificate_that_holds(network) -> None:
    certificate = network.folder / "certificate.json"
    ran = network.ask(QUESTION, *SURE, "--certificate", str(certificate))
    assert ran.code == 0, ran.err
    assert ran.out.count("\n") == 1
    for said in (
        "Asking 3 of",
        "Chance that a lie is accepted",
        "encrypted to the members",
        "accepted: 3 of 3",
        "not truth",
    ):
        assert said in ran.err
    verified = network.run("verify", str(certificate))
    assert verified.code == 0, verified.err
    for said in (
        "valid: these inputs give this output",
        "requester's word",
        "recomputed here",
        ran.out.strip(),
    ):
        assert said in verified.out
    _forge(certificate)
    forged = network.run("verify", str(certificate))
    assert (forged.code, forged.out) == (5, "")

    as_json = json.loads(network.ask(QUESTION, *SURE, "--json").out)
    assert (as_json["outcome"], as_json["answer"]) == ("accepted", ran.out.strip())
    too_many = network.ask(QUESTION, "--preset", "default")
    assert (too_many.code, "--seats 3 --quorum 3" in too_many.err) == (2, True)
    elsewhere = network.ask(QUESTION, *SURE, "--network", "elsewhere")
    assert (elsewhere.code, "[no_peers]" in elsewhere.err) == (4, True)
    wrong_model = network.ask(QUESTION, *SURE, "--models", "gpt-9")
    assert (wrong_model.code, "tiny-1" in wrong_model.err) == (4, True)


def _forge(certificate: Path) -> None:
    content = json.loads(certificate.read_text())
    content["verdict"]["answer"] = "Lyon."
    certificate.write_text(
        json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n"
    )


def test_a_running_node_answers_for_the_commands(network) -> None:
    folder = ("--state-dir", str(network.folder / "n1"))
    asked = network.run("ask", QUESTION, *SURE, *folder)
    assert asked.code == 0, asked.err
    assert "through the node that runs here, on the network 'main'" in asked.err
    elsewhere = network.run("ask", QUESTION, *SURE, *folder, "--network", "other")
    assert (elsewhere.code, "[node_elsewhere]" in elsewhere.err) == (2, True)
    status = network.json("status", *folder)
    assert (status["peers"], status["models"], status["memory_mb"] <= 220) == (2, ["tiny-1"], True)
    assert len(network.json("peers", *folder)) == 2
    (stored,) = [record for record in network.json("rounds", *folder) if record["has_certificate"]]
    printed = network.run("rounds", stored["request_id"][:16], *folder)
    assert network.run("verify", "-", stdin="").code == 5
    file = network.folder / "printed.json"
    file.write_text(printed.out)
    assert network.run("verify", str(file)).code == 0
    refused = network.run("up", *folder)
    assert (refused.code, "[already_running]" in refused.err) == (2, True)
    again = network.run("reset", "--yes", *folder)
    assert (again.code, "[already_running]" in again.err) == (2, True)


def test_a_node_that_was_killed_comes_back_as_itself(machine) -> None:
    machine.start_relay()
    node = machine.start_node("n1")
    folder = ("--state-dir", str(machine.folder / "n1"))
    before = machine.json("status", *folder)
    asked = machine.run("ask", QUESTION, "--quorum", "1", *folder, "--json")
    request_id = json.loads(asked.out)["request_id"]
    os.killpg(node.pid, signal.SIGKILL)
    node.wait()
    gone = machine.run("status", *folder)
    assert (gone.code, "[node_not_running]" in gone.err) == (4, True)
    machine.start_node("n1")
    after = machine.json("status", *folder)
    assert (after["node_id"], after["pid"] != before["pid"]) == (before["node_id"], True)
    kept = machine.run("rounds", request_id, *folder)
    assert (kept.code, request_id in kept.out) == (0, True)


def test_a_node_stops_when_it_is_told_to(machine) -> None:
    machine.start_relay()
    for number in (signal.SIGTERM, signal.SIGINT):
        node = machine.start_node("n1")
        node.send_signal(number)
        assert node.wait(60) == 0
        assert not (machine.folder / "n1" / "control.sock").exists()


def test_a_follower_is_small(machine) -> None:
    machine.start_relay()
    machine.start_node("n1", "--follow")
    status = machine.json("status", "--state-dir", str(machine.folder / "n1"))
    assert (status["roles"], status["models"]) == ([], [])
    assert status["memory_mb"] <= 90


def test_interrupting_a_question_withdraws_it(machine) -> None:
    machine.start_relay()
    config = machine.folder / "slow.toml"
    config.write_text(
        '[engines.tiny]\nenabled = false\n[engines.slow]\nplugin = "feed"\nmodel = "slow"\n'
        'command = ["sleep", "60"]\n'
    )
    nodes = [machine.start_node(name, "--config", str(config)) for name in ("n1", "n2", "n3")]
    words = ("--relay", machine.relay, "--state-dir", str(machine.folder / "asker"), "--models", "slow")
    asking = machine.start("ask", QUESTION, "--quorum", "3", *words, said="round ")
    machine.wait_for(nodes[0], "running")
    second = machine.run("ask", QUESTION, "--quorum", "3", *words[:4], "--models", "none")
    assert (second.code, "a key of its own" in second.err, "[no_model]" in second.err) == (4, True, True)
    began = time.monotonic()
    asking.send_signal(signal.SIGINT)
    assert asking.wait(60) == 130
    assert time.monotonic() - began < 20, "it waited for the deadline"
    for node in nodes:
        machine.wait_for(node, "step=abandoned detail=cancelled")


def test_a_dead_relay_is_named(machine) -> None:
    ran = machine.run(
        "ask", QUESTION, "--relay", "ws://127.0.0.1:9", "--state-dir", str(machine.folder / "a")
    )
    assert (ran.code, "[relay_down]" in ran.err, "ws://127.0.0.1:9" in ran.err) == (4, True, True)


def test_a_node_whose_relays_are_dead_warns_and_names_them(machine) -> None:
    node = machine.start(
        "up", "--state-dir", str(machine.folder / "n"), "--relay", "ws://127.0.0.1:9", said="ready"
    )
    machine.wait_for(node, "transport_down")
    machine.wait_for(node, "dicast doctor")
    (line,) = [line for line in machine.said[node.pid].splitlines() if "transport_down" in line]
    assert ("warning" in line, "ws://127.0.0.1:9" in line) == (True, True)


def test_ones_own_node_alone_is_said_to_be_unverified(machine) -> None:
    ran = machine.run(
        "ask", QUESTION, "--quorum", "1", "--temperature", "0", "--state-dir", str(machine.folder / "a")
    )
    assert ran.code == 0, ran.err
    assert "not verified" in ran.err
    assert ran.out.count("\n") == 1


def test_a_doctor_finds_a_healthy_machine(machine) -> None:
    machine.start_relay()
    checks = machine.json("doctor", "--relay", machine.relay, "--state-dir", str(machine.folder / "d"))
    assert {check["name"]: check["state"] for check in checks if check["state"] == "failed"} == {}
    ill = machine.run("doctor", "--relay", "ws://127.0.0.1:9", "--state-dir", str(machine.folder / "d"))
    assert (ill.code, "FAIL" in ill.out) == (1, True)


def test_no_secret_reaches_a_log_or_an_argument(machine) -> None:
    machine.start_relay()
    password = machine.folder / "password"
    password.write_text("a very secret password\n")
    folder = ("--state-dir", str(machine.folder / "n1"), "--password-file", str(password))
    assert machine.run("identity", "new", *folder).code == 0
    secret = machine.run("identity", "export", "--plain", *folder).out.strip()
    node = machine.start("up", *folder, "--relay", machine.relay, "--log-level", "debug", said=" ready ")
    arguments = Path(f"/proc/{node.pid}/cmdline").read_bytes().decode()
    machine.run("ask", QUESTION, "--quorum", "1", *folder)
    node.send_signal(signal.SIGTERM)
    machine.wait_for(node, "stopping")
    text = arguments + machine.said[node.pid]
    assert "round_decided" in text
    for hidden in (
        secret,
        secret[5:],
        "very secret",
        QUESTION,
        (machine.folder / "n1/node-secret").read_text().strip(),
    ):
        assert hidden not in text


def test_the_python_api_reaches_a_running_node(network) -> None:
    code = (
        "import sys, dicast\n"
        "with dicast.Client(sys.argv[1]) as client:\n"
        "    answer = client.ask('What is the capital of France?', quorum=3, temperature=0.0)\n"
        "    kept = client.certificate(answer.request_id)\n"
        "    print(answer.outcome, kept == answer.certificate, client.status().peers)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(network.folder / "n1")], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "accepted True 2\n"
