"""Every checker holds on an honest round, and each is shown a history in which its property fails."""

from __future__ import annotations

import msgspec
import pytest

from dicast.consensus.case import Case, CaseCommit, CaseReveal
from dicast.consensus.judge import judge
from dicast.consensus.reasons import Status
from dicast.protocol.envelope import PacketReader, make_packet
from dicast.protocol.messages import Commit, Kind, Quorum, Reveal, Signature
from dicast.protocol.network import NetworkSecret
from dicast.protocol.outputs import Batch, CertificateReady, Penalised, RoundDecided, RoundOpened
from dicast.simulator import checkers, round_checkers, secrecy_checkers
from dicast.simulator.embedder import EMBEDDER, embed
from dicast.simulator.engines import sentence
from dicast.simulator.ledger import Violation
from dicast.simulator.round_checkers import Judged
from dicast.simulator.rounds import sealed_rounds
from dicast.simulator.sweep import check_world
from dicast.simulator.watchers import RebuiltIsTheSame, RefusalsChangeNothing, check_memory

REQUESTER, MEMBER = 0, 1


@pytest.fixture
def world(one_round):
    return one_round()


def _fails(checker, world, match):
    with pytest.raises(Violation, match=match) as caught:
        checker(world.ledger, world.faults)
    assert caught.value.checker == checker.__name__


def _say(world, host, body, after, at_ms=3_000):
    """A packet that an honest node never made, under its key."""
    machine = world.hosts[host].machine
    now = world.hosts[host].clock.now(at_ms)
    packet = make_packet(machine.identity.key, world.topic, body, now, predecessor=after)
    return world.ledger.note_sent(at_ms, host, packet.wire, PacketReader())


def _first(world, kind):
    return world.ledger.of_kind(kind)[0]


def _replace_told(world, kind, **changes):
    world.ledger.told = [
        msgspec.structs.replace(told, report=msgspec.structs.replace(told.report, **changes))
        if isinstance(told.report, kind)
        else told
        for told in world.ledger.told
    ]


def test_an_honest_round_keeps_every_property(world):
    check_world(world)
    assert [len(world.ledger.of_kind(kind)) for kind in (Kind.COMMIT, Kind.REVEAL, Kind.SIGNATURE)] == [5] * 3


def test_two_commits_of_an_honest_key(world):
    request = _first(world, Kind.REQUEST).packet.id
    _say(world, MEMBER, Commit(v=1, digest="ab" * 32), request)
    _fails(checkers.one_word_each, world, "two COMMIT")


def test_two_reveals_for_two_quorums_of_one_round(world):
    quorum = _first(world, Kind.QUORUM)
    other = _say(world, REQUESTER, Quorum(v=1, commits=quorum.body.commits[1:]), quorum.packet.predecessor)
    world.ledger.disown(REQUESTER)
    reveal = next(sent for sent in world.ledger.of_kind(Kind.REVEAL) if sent.host == MEMBER)
    _say(world, MEMBER, reveal.body, other.packet.id)
    _fails(checkers.one_word_each, world, "two REVEAL")


def test_two_verdicts_for_one_close(world):
    close = _first(world, Kind.CLOSE).packet.id
    _say(world, MEMBER, Signature(v=1, digest="ab" * 32), close)
    _fails(checkers.one_verdict, world, "two verdicts")


@pytest.mark.parametrize(
    ("fault", "match"), [("invented", "nobody made"), ("late", "late commit"), ("stranger", "stranger")]
)
def test_a_quorum_over_what_does_not_count(world, fault, match):
    request = _first(world, Kind.REQUEST).packet.id
    sealed_at_ms = 2_000
    if fault == "invented":
        commit_id = "cd" * 32
    else:
        host, at_ms = (MEMBER, 5_000) if fault == "late" else (REQUESTER, 1_900)
        commit_id = _say(world, host, Commit(v=1, digest="ab" * 32), request, at_ms).packet.id
    _say(world, REQUESTER, Quorum(v=1, commits=(commit_id,)), request, sealed_at_ms)
    _fails(checkers.only_timely_commits, world, match)


def test_a_reveal_before_the_quorum_and_one_for_a_quorum_without_its_commit(world):
    quorum = _first(world, Kind.QUORUM)
    reveal = next(sent for sent in world.ledger.of_kind(Kind.REVEAL) if sent.host == MEMBER)
    own = next(sent.packet.id for sent in world.ledger.of_kind(Kind.COMMIT) if sent.host == MEMBER)
    without = tuple(commit for commit in quorum.body.commits if commit != own)
    other = _say(world, REQUESTER, Quorum(v=1, commits=without), quorum.packet.predecessor)
    _say(world, MEMBER, reveal.body, other.packet.id, 4_000)
    _fails(checkers.no_early_reveal, world, "without its commit")
    world.ledger.sent.pop()
    _say(world, MEMBER, msgspec.structs.replace(reveal.body, answer="early"), quorum.packet.id, 10)
    _fails(checkers.no_early_reveal, world, "for no quorum")


def test_an_honest_key_is_blamed(world):
    world.ledger.note_told(1, REQUESTER, Penalised(world.hosts[MEMBER].machine.node_id, "malformed"))
    _fails(checkers.no_honest_penalty, world, "n0 blames n1 for malformed")


def test_a_question_that_never_ends_and_one_that_ends_too_late(world):
    decided = [told for told in world.ledger.told if isinstance(told.report, RoundDecided)]
    world.ledger.told = [msgspec.structs.replace(told, at_ms=59_000) for told in decided]
    _fails(checkers.every_ask_ends, world, "too late")
    world.ledger.told = []
    _fails(checkers.every_ask_ends, world, "never ended")


def test_a_certified_round_that_is_opened_again(world):
    opened = next(told for told in world.ledger.told if isinstance(told.report, RoundOpened))
    world.ledger.told.append(opened)
    _fails(checkers.an_end_is_an_end, world, "again")


def test_a_healthy_question_without_an_accepted_verdict_or_without_signatures(world):
    world.ledger.asked = [msgspec.structs.replace(world.ledger.asked[0], healthy=True)]
    checkers.healthy_asks_are_accepted(world.ledger, world.faults)
    _replace_told(world, CertificateReady, signed_seats=1)
    _fails(checkers.healthy_asks_are_accepted, world, "has 1 signatures")
    world.ledger.told = []
    _fails(checkers.healthy_asks_are_accepted, world, "n0 ask-1: None")


def test_a_certificate_that_does_not_verify_or_overstates_its_signatures(world):
    ready = next(told.report for told in world.ledger.told if isinstance(told.report, CertificateReady))
    _replace_told(world, CertificateReady, signed_seats=ready.signed_seats + 1)
    _fails(checkers.certificates_hold, world, "signed")
    broken = ready.certificate.replace(b'"accepted"', b'"undetermined"')
    _replace_told(world, CertificateReady, certificate=broken)
    _fails(checkers.certificates_hold, world, "verdict_differs")


def test_what_was_to_be_sealed_and_is_not(world):
    [asked] = world.ledger.asked
    question = msgspec.structs.replace(asked.question, encrypted=True)
    world.ledger.asked = [msgspec.structs.replace(asked, question=question)]
    _fails(secrecy_checkers.prompts_stay_sealed, world, "is told in a REQUEST")
    _fails(secrecy_checkers.answers_stay_sealed, world, "reveals to everybody")
    world.ledger.asked.append(asked)  # the same words were asked in the open as well
    secrecy_checkers.prompts_stay_sealed(world.ledger, world.faults)
    world.ledger.secret = NetworkSecret(world.topic, bytes(32))
    _fails(secrecy_checkers.private_stays_private, world, "an open ANNOUNCEMENT")


def _judged(world, **changes):
    sealed = next(sealed_rounds(world.ledger))
    judged = Judged(sealed, sealed.case, judge(sealed.case))
    return msgspec.structs.replace(judged, **changes)


def _refutes(checker, world, judged, match):
    with pytest.raises(Violation, match=match) as caught:
        checker(world.ledger, judged)
    assert caught.value.checker == checker.__name__


def test_a_signature_or_a_report_that_is_not_the_judges(world):
    verdict = _judged(world).verdict
    other = msgspec.structs.replace(verdict, ball_size=1, digest="ab" * 32)
    _refutes(round_checkers.signed_as_judged, world, _judged(world, verdict=other), "false signature")
    _replace_told(world, RoundDecided, verdict=other)
    _refutes(round_checkers.signed_as_judged, world, _judged(world), "reports another verdict")


def test_a_winner_that_too_few_agree_with(one_round):
    world = one_round({2: "chorus"})
    spam = msgspec.structs.replace(_judged(world).verdict, winner=world.hosts[2].machine.node_id)
    _refutes(round_checkers.winner_is_supported, world, _judged(world, verdict=spam), "only 1 agree")


def test_spam_that_wins_over_a_bridge(one_round):
    world = one_round({1: "splicer", 2: "chorus"})
    splicer, spammer = (world.hosts[index].machine.node_id for index in (1, 2))
    spam = msgspec.structs.replace(_judged(world).verdict, winner=spammer, need=2)
    world.ledger.honest_ids.add(splicer)
    _refutes(round_checkers.winner_is_supported, world, _judged(world, verdict=spam), "spam won")
    world.ledger.honest_ids.add(spammer)
    round_checkers.winner_is_supported(world.ledger, _judged(world, verdict=spam))


def _two_camps(world):
    """The round's case with half of the answers of another camp, in a frame that lets both be core."""
    judged = _judged(world)
    case = judged.case
    reveals = tuple(_of_camp(reveal, index % 2) for index, reveal in enumerate(case.reveals[:4]))
    commits = tuple(CaseCommit(reveal.pubkey, _digest(case, reveal)) for reveal in reveals)
    frame = msgspec.structs.replace(case.request.frame, sec_percentage_bp=5_000, quorum=1)
    request = msgspec.structs.replace(case.request, frame=frame, prompt="")
    panel = {reveal.pubkey: 1 for reveal in reveals}
    recomputed = {reveal.pubkey: dict(reveal.embeddings) for reveal in reveals}
    return msgspec.structs.replace(
        case, request=request, reveals=reveals, commits=commits, panel=panel, recomputed=recomputed
    )


def _of_camp(reveal, camp):
    text = sentence(("alder", "willow")[camp], 3)
    return msgspec.structs.replace(reveal, answer=text, embeddings={EMBEDDER: embed(text).hex()})


def _digest(case: Case, reveal: CaseReveal) -> str:
    from dicast.consensus.selection import commit_digest

    return commit_digest(case.request.id, reveal.pubkey, reveal.salt, reveal.answer, reveal.model)


def test_a_withheld_reveal_that_flips_the_winner(world):
    case = _two_camps(world)
    verdict = judge(case)
    assert verdict.outcome == "accepted"
    claimed = msgspec.structs.replace(verdict, need=4)
    judged = _judged(world, case=case, verdict=claimed)
    _refutes(round_checkers.withholding_cannot_flip, world, judged, "won instead")


def test_a_judge_whose_winner_depends_on_who_was_left_out(world):
    def rerolling(case):
        verdict = judge(case)
        core = sorted(key for key, status in verdict.statuses.items() if status is Status.CORE)
        return (
            msgspec.structs.replace(verdict, winner=core[len(case.commits) % len(core)]) if core else verdict
        )

    case = _judged(world).case
    judged = _judged(world, verdict=rerolling(case), judge=rerolling)
    _refutes(round_checkers.omission_never_rerolls, world, judged, "without")


def test_a_judge_that_minds_the_order(world):
    def first_come(case):
        return msgspec.structs.replace(judge(case), winner=case.reveals[0].pubkey)

    case = _judged(world).case
    judged = _judged(world, verdict=first_come(case), judge=first_come)
    _refutes(round_checkers.order_is_free, world, judged, "order of reveals")


def test_a_copy_that_counts(world):
    judged = _judged(world)
    case = judged.case
    copied = msgspec.structs.replace(case.commits[1], digest=case.commits[0].digest)
    case = msgspec.structs.replace(case, commits=(case.commits[0], copied, *case.commits[2:]))
    _refutes(round_checkers.copies_do_not_count, world, _judged(world, case=case), "copied")


class _Leaky:
    """A broken node: counts what it refuses, and wakes up another each time."""

    births = 0

    def __init__(self):
        _Leaky.births += 1
        self.born = _Leaky.births
        self.refused = []
        self.deadline = None

    def start(self, now):
        return Batch()


_Leaky.__module__ = "dicast.broken"


def test_a_refusal_that_leaves_a_trace(world):
    host, received, batch = world.hosts[1], _packet_received(), _refusal()
    watcher = RefusalsChangeNothing(1)
    while not watcher.is_watching:
        watcher.before(world, host, received)
    watcher.after(world, host, received, batch)
    host.node = _Leaky()
    watcher = RefusalsChangeNothing(1)
    while not watcher.is_watching:
        watcher.before(world, host, received)
    host.node.refused.append(received)
    with pytest.raises(Violation, match="refusals_change_nothing"):
        watcher.after(world, host, received, batch)


def _packet_received():
    from dicast.protocol.inputs import PacketReceived

    return PacketReceived(b"junk", "test")


def _refusal():
    from dicast.protocol.outputs import PacketRefused

    return Batch(reports=(PacketRefused("shape", "test"),))


def test_a_node_that_wakes_up_another(world):
    watcher = RebuiltIsTheSame(1)
    watcher.compare(world, world.hosts[1], Batch())
    world.make_node = lambda *parts: _Leaky()
    with pytest.raises(Violation, match="starts in two ways"):
        watcher.compare(world, world.hosts[1], Batch())


def test_a_container_without_a_limit(world):
    check_memory(world)
    world.hosts[1].node = _Leaky()
    world.hosts[1].node.refused.extend(range(70_000))
    with pytest.raises(Violation, match=r"bounded_memory .*refused holds 70000"):
        check_memory(world)


def test_reveals_are_what_the_ledger_reads(world):
    assert {type(sent.body) for sent in world.ledger.of_kind(Kind.REVEAL)} == {Reveal}
