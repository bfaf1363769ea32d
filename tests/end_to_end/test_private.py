"""What a relay sees: of an encrypted round who speaks, of a plain one all, of a private network neither."""

from __future__ import annotations

import json

from websockets.sync.client import connect

from dicast.protocol.envelope import topic_of

QUESTION = "What is the capital of France?"
SURE = ("--quorum", "3", "--temperature", "0")
WORDS = ("capital of", "France", "Paris")


def stored_at(relay: str) -> list[dict]:
    """Everything that whoever runs the relay can read."""
    events: list[dict] = []
    with connect(relay) as socket:
        socket.send('["REQ","all",{"limit":1000}]')
        while (frame := json.loads(socket.recv(timeout=60)))[0] == "EVENT":
            events.append(frame[2])
    return events


def test_a_relay_reads_of_an_encrypted_round_not_a_word(machine) -> None:
    machine.start_relay()
    for name in ("n1", "n2", "n3"):
        machine.start_node(name)
    certificate = machine.folder / "certificate.json"
    ran = machine.ask(QUESTION, *SURE, "--certificate", str(certificate))
    assert ran.code == 0, ran.err
    text = json.dumps(stored_at(machine.relay))
    assert [word for word in WORDS if word in text] == []
    verified = machine.run("verify", str(certificate))
    assert (verified.code, "carries its key" in verified.out) == (0, True)
    assert QUESTION in verified.out
    plain = machine.ask(QUESTION, *SURE, "--plain")
    assert (plain.code, "in the open" in plain.err) == (0, True)
    text = json.dumps(stored_at(machine.relay))
    assert [word for word in WORDS if word in text] == list(WORDS)


def test_a_private_network_on_a_public_relay(machine) -> None:
    machine.start_relay()
    passphrase, other = machine.folder / "passphrase", machine.folder / "other"
    passphrase.write_text("tell nobody but the three\n")
    other.write_text("tell nobody but the four\n")
    inside = ("--network", "lab", "--passphrase-file", str(passphrase))
    for name in ("n1", "n2", "n3"):
        machine.start_node(name, *inside)
    certificate = machine.folder / "certificate.json"
    ran = machine.ask(QUESTION, *SURE, *inside, "--certificate", str(certificate))
    assert ran.code == 0, ran.err
    events = stored_at(machine.relay)
    assert {event["kind"] for event in events} >= {31411, 4110, 4112, 4114}
    text = json.dumps(events)
    assert [word for word in (*WORDS, topic_of("lab"), "messages", "models") if word in text] == []
    assert machine.run("verify", str(certificate), *inside).code == 0
    for secret in ((), ("--network", "lab", "--passphrase-file", str(other))):
        refused = machine.run("verify", str(certificate), *secret)
        assert (refused.code, "[certificate_sealed]" in refused.err) == (5, True)
    for outside in (("--network", "lab"), ("--network", "lab", "--passphrase-file", str(other))):
        alone = machine.ask(QUESTION, *SURE, *outside)
        assert (alone.code, "[no_peers]" in alone.err) == (4, True)
    status = machine.run("status", "--state-dir", str(machine.folder / "n1"))
    assert "lab, private" in status.out
    for said in (*machine.said.values(), ran.err, status.out):
        assert "tell nobody" not in said
