"""A drawn round between real processes: the panel follows from a beacon nobody knew when it was asked."""

from __future__ import annotations

from pathlib import Path

QUESTION = "What is the capital of France?"


def publish(beacon: Path, number: int) -> None:
    with beacon.open("a") as file:
        file.write(f'{{"round":{number},"value":"{number:064x}"}}\n')


def test_the_panel_is_drawn_when_the_beacon_publishes(machine) -> None:
    beacon = machine.folder / "beacon.jsonl"
    publish(beacon, 1)
    config = machine.folder / "config.toml"
    config.write_text(f'beacon_file = "{beacon}"\n')
    with_beacon = ("--config", str(config))
    machine.start_relay()
    for name in ("n1", "n2", "n3"):
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
    publish(beacon, 2)
    asking.wait(60)
    verified = machine.run("verify", str(certificate))
    assert verified.code == 0, verified.err
    assert "drawn" in verified.out
