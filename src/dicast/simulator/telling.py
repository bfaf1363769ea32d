"""One line for a packet, one for a fact: what a trace shows to people."""

from __future__ import annotations

from dicast.protocol.messages import Close, Commit, Evidence, Quorum, Request, Reveal, SealedReveal, Want
from dicast.protocol.outputs import MemberProgress, PacketRefused, PeerSeen, Report, RoundDecided
from dicast.simulator.ledger import Sent

SHORT = 8
"""Hex digits of an id that a trace shows: enough to search for."""


def sent_text(sent: Sent) -> str:
    """Kind, id, what it follows, and the heart of its body."""
    packet = sent.packet
    after = f" after {packet.predecessor[:SHORT]}" if packet.predecessor else ""
    by = f" by {packet.author[:SHORT]}"
    return f"{packet.kind.name} {packet.id[:SHORT]}{by}{after}{_body_text(sent)}"


def report_text(report: Report) -> str:
    """The fact in words; empty for those that would drown the rest."""
    match report:
        case PacketRefused() | PeerSeen() | MemberProgress():
            return ""
        case RoundDecided(ask_id, request_id, verdict):
            statuses = " ".join(f"{key[:4]}:{status.value}" for key, status in verdict.statuses.items())
            head = f"decides {ask_id} {request_id[:SHORT]}: {verdict.outcome.value}, {verdict.reason.value}"
            return f"{head}, need {verdict.need} of {verdict.n}; {statuses}"
        case _:
            fields = (getattr(report, name) for name in report.__struct_fields__)
            words = " ".join(_shortened(field) for field in fields if not isinstance(field, dict | bytes))
            return f"{type(report).__name__}: {words}"


def _body_text(sent: Sent) -> str:
    match sent.body:
        case Request(admission=admission, seats=seats, members=members):
            listed = " ".join(member[:SHORT] for member in members)
            return f": {admission.value}, {seats} seats {listed}"
        case Commit(digest=digest):
            return f": {digest[:SHORT]}"
        case Quorum(commits=ids) | Close(reveals=ids) | Want(ids=ids):
            return f": {len(ids)} ids {' '.join(one[:SHORT] for one in ids)}"
        case Reveal(answer=answer):
            return f": {answer[:60]!r}"
        case SealedReveal():
            return ": sealed"
        case Evidence(packets=packets):
            return ": " + " against ".join(wire[:120] for wire in packets)
        case _:
            return ""


def _shortened(field: object) -> str:
    text = str(field)
    return text[:SHORT] if len(text) == 64 else text
