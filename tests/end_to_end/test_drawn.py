"""A drawn round between real processes: the panel follows from a beacon nobody knew when it was asked."""

from __future__ import annotations

from pathlib import Path

QUESTION = "What is the capital of France?"
NODES = ("n1", "n2", "n3")


def publish(beacon: Path, number: int) -> None:
    with beacon.open("a") as file:
        file.write(f'{{"round":{number},"value":"{number:064x}"}}\n')


def waiting(machine, name: str) -> int:
    """Rounds that a node knows and that wait for their draw."""
    listed = machine.json("rounds", "--state-dir", str(machine.folder / name))
    return sum(one["state"] == "waiting" for one in listed)


def test_the_panel_is_drawn_when_the_beacon_publishes(machine) -> None:
    beacon = machine.folder / "beacon.jsonl"
    publish(beacon, 1)
    config = machine.folder / "config.toml"
    config.write_text(f'beacon_file = "{beacon}"\n')
    with_beacon = ("--config", str(config))
    machine.start_relay()
    for name in NODES:
        machine.start_node(name, *with_beacon)
    certificate = machine.folder / "certificate.json"
    asked = ("--quorum", "3", "--sec-percentage", "0.6", "--admission", "drawn")
    unproven = machine.ask(QUESTION, *asked, *with_beacon)
    assert (unproven.code, "too_few_proven" in unproven.err) == (2, True), unproven
    proving = machine.ask(QUESTION, "--quorum", "3", "--temperature", "0")
    assert proving.code == 0, proving.err
    refused = machine.ask(QUESTION, *asked)
    assert (refused.code, "no_beacon" in refused.err) == (2, True), refused

    where = ("--relay", machine.relay, "--state-dir", str(machine.folder / "asker"), *with_beacon)
    how = ("--temperature", "0", "--certificate", str(certificate))
    asking = machine.start("ask", QUESTION, *asked, *how, *where, said="Asking")
    machine.wait_for(asking, " is open")
    while any(waiting(machine, name) != 1 for name in NODES):  # who heard the value first would not answer
        assert asking.poll() is None, machine.said[asking.pid]
    publish(beacon, 2)
    machine.wait_for(asking, "accepted")
    assert asking.wait(60) == 0, machine.said[asking.pid]
    unknown = machine.run("verify", str(certificate))
    assert (unknown.code, "NOT known here" in unknown.out) == (0, True), unknown
    known = machine.run("verify", str(certificate), "--beacon-file", str(beacon))
    assert (known.code, "  panel      drawn" in known.out) == (0, True), known
    other = machine.folder / "other.jsonl"
    other.write_text('{"round":2,"value":"00"}\n')
    denied = machine.run("verify", str(certificate), "--beacon-file", str(other))
    assert (denied.code, "panel_not_drawn" in denied.err) == (5, True), denied
