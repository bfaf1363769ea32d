"""`dicast invite` beside a node whose flags, and not a configuration, say where it meets others."""

from __future__ import annotations

from dicast.protocol.ticket import decode_ticket

PASSPHRASE = "correct horse battery"


def test_a_ticket_is_of_the_network_that_the_running_node_is_on(machine) -> None:
    machine.start_relay()
    (machine.folder / "passphrase").write_text(PASSPHRASE + "\n")
    private = ("--network", "family", "--passphrase-file", "passphrase")
    machine.start_node("inviting", *private)
    here = ("--state-dir", str(machine.folder / "inviting"))
    invited = machine.run("invite", *here)
    ticket = decode_ticket(invited.out)
    assert (ticket.network, ticket.relays, ticket.needs_passphrase) == ("family", (machine.relay,), True)
    assert "the passphrase is not in the ticket" in invited.err
    whole = decode_ticket(machine.run("invite", *here, "--with-passphrase").out)
    assert (whole.passphrase, whole.relays) == (PASSPHRASE, (machine.relay,))
    other = machine.run("invite", *here, "--network", "work")
    assert (other.code, other.out) == (2, "")
    assert "node_elsewhere" in other.err
