"""What must hold of questions that travel beside their requests."""

from __future__ import annotations

from dicast.base.types import NodeId
from dicast.protocol.messages import Admission, Message, Panel, Request
from dicast.protocol.outputs import RoundOpened
from dicast.simulator.faults import Faults
from dicast.simulator.ledger import Fetch, Ledger, Violation


def only_what_was_asked_runs(ledger: Ledger, faults: Faults) -> None:
    """Whatever bytes came in place of a question, an engine is given the messages that were asked."""
    asked: dict[str, tuple[Message, ...]] = {}
    questions = {(one.host, one.ask_id): one.question.messages for one in ledger.asked}
    for told in (*ledger.told, *ledger.untold):
        if isinstance(told.report, RoundOpened) and ledger.is_honest(told.host):
            messages = questions.get((told.host, told.report.ask_id))
            if messages is not None:
                asked[told.report.request_id] = messages
    for work in ledger.ran:
        expected = asked.get(work.job.request_id, work.job.messages)
        if ledger.is_honest(work.host) and work.job.messages != expected:
            raise Violation("only_what_was_asked_runs", work.at_ms, f"n{work.host} runs another question")


def only_members_fetch(ledger: Ledger, faults: Faults) -> None:
    """An honest node gets a question only of a round in which it has a seat."""
    for fetch in ledger.fetched:
        if ledger.is_honest(fetch.host) and not _has_seat(ledger, fetch):
            raise Violation(
                "only_members_fetch", fetch.at_ms, f"n{fetch.host} gets {fetch.wanted.request_id[:8]}"
            )


def attached_stay_sealed(ledger: Ledger, faults: Faults) -> None:
    """The attached question of an encrypted round, or of a private network, is shared as ciphertext."""
    for shared in ledger.shared:
        request = ledger.by_id.get(shared.request_id)  # type: ignore[arg-type]
        is_secret = ledger.secret is not None or ledger.spyglass.key_of(shared.request_id) is not None  # type: ignore[arg-type]
        if request is not None and is_secret and b"messages" in shared.data:
            raise Violation("attached_stay_sealed", shared.at_ms, f"n{shared.host} shares it in the open")


def _has_seat(ledger: Ledger, fetch: Fetch) -> bool:
    request = ledger.by_id.get(fetch.wanted.request_id)  # type: ignore[arg-type]
    if request is None or not isinstance(request.body, Request):
        return False
    own: NodeId = ledger.node_ids[fetch.host]
    match request.body.admission:
        case Admission.LISTED:
            return own in request.body.members
        case Admission.OPEN:
            return True
        case Admission.DRAWN:
            panels = (sent for sent in ledger.by_id.values() if isinstance(sent.body, Panel))
            return any(
                own in sent.body.members  # type: ignore[union-attr]
                for sent in panels
                if sent.packet.predecessor == request.packet.id
            )
