"""What must stay hidden: the words of encrypted rounds, and everything that is said on a private network."""

from __future__ import annotations

from dicast.base.nip44 import is_payload
from dicast.protocol.messages import Kind
from dicast.protocol.outputs import RoundOpened
from dicast.simulator.faults import Faults
from dicast.simulator.ledger import Ledger, Sent, Violation
from dicast.simulator.rounds import request_of


def prompts_stay_sealed(ledger: Ledger, faults: Faults) -> None:
    """The prompt of an encrypted round is in no packet: whoever is no member reads it nowhere."""
    plain = {asked.question.messages for asked in ledger.asked if not asked.question.encrypted}
    for asked in ledger.asked:
        messages = asked.question.messages
        if not asked.question.encrypted or messages in plain:
            continue
        for sent in ledger.sent:
            if any(message.content.encode() in sent.packet.wire for message in messages):
                _fail("prompts_stay_sealed", sent, f"{asked.ask_id} is told in a {sent.packet.kind.name}")


def answers_stay_sealed(ledger: Ledger, faults: Faults) -> None:
    """An honest member of an encrypted round reveals under its key only."""
    encrypted = {asked.ask_id for asked in ledger.asked if asked.question.encrypted}
    rounds = {
        told.report.request_id
        for told in ledger.told
        if isinstance(told.report, RoundOpened) and told.report.ask_id in encrypted
    }
    for sent in ledger.of_kind(Kind.REVEAL):
        quorum = ledger.by_id.get(sent.packet.predecessor) if sent.packet.predecessor is not None else None
        request = request_of(ledger, quorum.packet.predecessor) if quorum is not None else None
        if request is None or request.packet.id not in rounds:
            continue
        if sent.packet.author in ledger.honest_ids and b"answer" in sent.packet.wire:
            _fail("answers_stay_sealed", sent, f"{sent.packet.author[:8]} reveals to everybody")


def private_stays_private(ledger: Ledger, faults: Faults) -> None:
    """On a private network no honest packet shows its content."""
    if ledger.secret is None:
        return
    for sent in ledger.sent:
        is_sealed = is_payload(sent.packet.event.content)
        if sent.packet.author in ledger.honest_ids and not is_sealed:
            _fail("private_stays_private", sent, f"an open {sent.packet.kind.name}")


def _fail(checker: str, sent: Sent, detail: str) -> None:
    raise Violation(checker, sent.at_ms, detail)
