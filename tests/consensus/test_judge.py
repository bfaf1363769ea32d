"""Verdicts by hand, and the theorems of `spec/06-judge.md` over generated rounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dicast.base.codec import encode
from dicast.base.hashing import tagged
from dicast.consensus.case import Case
from dicast.consensus.frame import JudgedFrame, need
from dicast.consensus.judge import Verdict, judge
from dicast.consensus.reasons import Outcome, Reason, Status

Build = Callable[..., Case]
Key = Callable[[int], str]

PARIS = "The capital of that country is the city of Paris."
LYON = "The capital of that country is the city of Lyon."
SPAM = "Buy cheap watches now at our wonderful online shop."
PROSE = JudgedFrame(1, 6_000, {"toy": 4}, ())
LABELS = JudgedFrame(1, 6_000, {}, (), labels=("Yes", "No"))


def statuses(verdict: Verdict, key: Key, count: int) -> list[str]:
    return [str(verdict.statuses[key(index)]) for index in range(count)]


def test_an_accepted_round_whole(case_of: Build, member: Any, key: Key) -> None:
    """Five seats, need three: three agree, one is off by a bit more than the radius, one says nothing."""
    bits = ["0000", "0001", "0003", "ffff", "0000"]
    members = [member(answer=f"{PARIS} {index}", bits=value) for index, value in enumerate(bits)]
    members[4] = member(commits=False)
    verdict = judge(case_of(members, PROSE))
    winner = verdict.winner
    assert winner in {key(0), key(1), key(2)}
    assert replace(verdict, winner=None, answer=None, digest="") == Verdict(
        v=1,
        outcome=Outcome.ACCEPTED,
        reason=Reason.AGREED,
        n=5,
        need=3,
        statuses={
            key(0): Status.CORE,
            key(1): Status.CORE,
            key(2): Status.CORE,
            key(3): Status.OUTSIDE,
            key(4): Status.SILENT,
        },
        support={key(0): 3, key(1): 3, key(2): 3, key(3): 1},
        center=key(1),
        ball_size=3,
        runner_up_size=1,
        unique=True,
        winner=None,
        answer=None,
        digest="",
    )
    assert verdict.answer == f"{PARIS} {[key(0), key(1), key(2)].index(winner or '')}"


def test_each_way_to_fall_and_their_order(case_of: Build, member: Any, key: Key) -> None:
    members = [
        member(answer=PARIS, commits=False, forged=True),
        member(answer=PARIS, reveals=False, forged=True, model="other"),
        member(answer="", forged=True, model="other"),
        member(answer="", model="other", recomputed="0001"),
        member(answer="", recomputed="0001"),
        member(answer=PARIS, recomputed="0001"),
        member(answer=PARIS, recomputed="0000"),
        member(answer=PARIS),
    ]
    verdict = judge(case_of(members, replace(PROSE, sec_percentage_bp=2_500), models=("m",)))
    assert statuses(verdict, key, 8) == [
        "silent",
        "unrevealed",
        "digest_mismatch",
        "model_refused",
        "malformed",
        "embedding_mismatch",
        "core",
        "core",
    ]
    assert verdict.support == {key(6): 2, key(7): 2}


@pytest.mark.parametrize(
    "answer",
    ["", " \n", '"."', "a bell \x07 rings", "unassigned \U0001fae8 face", "word " * 5_000, "\ue000" * 9],
)
def test_malformed_answers(case_of: Build, member: Any, key: Key, answer: str) -> None:
    verdict = judge(case_of([member(answer=answer), member(answer=PARIS)], PROSE))
    assert verdict.statuses[key(0)] is Status.MALFORMED


def test_the_four_reasons(case_of: Build, member: Any) -> None:
    yes, no = member(answer="yes"), member(answer="no")
    lost, silent = member(answer="yes", reveals=False), member(commits=False)
    frame = replace(LABELS, quorum=3)
    rounds = [
        [yes, yes, silent],
        [yes, yes, lost],
        [yes, no, yes],
        [yes, lost, lost],
        [yes, no, lost, no, yes],
    ]
    found = [str(judge(case_of(members, frame)).reason) for members in rounds]
    assert found == ["quorum_not_reached", "agreed", "agreed", "too_few_reveals", "no_agreement"]


def test_nobody_at_all(case_of: Build) -> None:
    verdict = judge(case_of([], PROSE, panel=False))
    assert (verdict.n, verdict.need, verdict.reason, verdict.center) == (0, 0, "quorum_not_reached", None)


def test_seats_of_one_key_count_as_often_as_it_was_drawn(case_of: Build, member: Any, key: Key) -> None:
    verdict = judge(
        case_of([member(answer="yes", seats=3), member(answer="no"), member(answer="No.")], LABELS)
    )
    assert (verdict.n, verdict.need, verdict.support[key(0)], verdict.winner) == (5, 3, 3, key(0))


@pytest.mark.parametrize(
    ("frame", "answers", "value"),
    [
        (LABELS, ["**Yes**", "yes.", '"YES"'], "yes"),
        (PROSE, ["**Paris**", "paris.", '"Paris"'], "paris"),
        (
            replace(PROSE, sec_distance_bits={}, exact=("/b", "/a/0")),
            ['{"a":[1.50],"b":"x"}', '{"b":"x","a":[1.50,2]}', ' {"a": [1.50], "b": "\\u0078"}'],
            '{"/a/0":1.50,"/b":"x"}',
        ),
    ],
)
def test_an_agreed_value_is_canonical(
    case_of: Build, member: Any, frame: JudgedFrame, answers: list[str], value: str
) -> None:
    spread_bits = ["0000", "ffff", "0f0f"]
    toy = bool(frame.sec_distance_bits)
    members = [
        member(answer=text, bits=bits if toy else {}) for text, bits in zip(answers, spread_bits, strict=True)
    ]
    verdict = judge(case_of(members, frame))
    assert (verdict.answer, verdict.ball_size) == (value, 3)


@pytest.mark.parametrize(
    "answers",
    [
        ['{"a":1}', '{"a":1.0}'],
        ['{"a":1}', '{"a":"1"}'],
        ['{"a":true}', '{"a":1}'],
        ['{"a":"X"}', '{"a":"x"}'],
        ['{"a":null}', '{"a":[]}'],
    ],
)
def test_exact_values_differ_by_type_text_and_case(case_of: Build, member: Any, answers: list[str]) -> None:
    frame = replace(PROSE, exact=("/a",), sec_percentage_bp=10_000)
    assert judge(case_of([member(answer=text) for text in answers], frame)).reason == "no_agreement"


def test_fuzzy_texts_are_compared_by_distance_beside_exact_values(
    case_of: Build, member: Any, key: Key
) -> None:
    frame = replace(PROSE, exact=("/a",), fuzzy=("/t",), sec_percentage_bp=5_000)
    note = "the market has been calm since the morning"
    members = [
        member(answer=f'{{"a":1,"t":"{note}"}}', bits="0000"),
        member(answer=f'{{"a":1,"t":"{note}, they say"}}', bits="0001"),
        member(answer=f'{{"a":2,"t":"{note}, I think"}}', bits="0000"),
        member(answer=f'{{"a":1,"t":"{note} all in all"}}', bits="ffff"),
        member(answer='{"a":1,"t":3}'),
        member(answer='{"t":"x"}'),
    ]
    verdict = judge(case_of(members[:4], frame))
    assert statuses(verdict, key, 4) == ["core", "core", "conflict", "outside"]
    verdict = judge(case_of(members, replace(frame, sec_percentage_bp=3_000)))
    assert statuses(verdict, key, 6) == ["core", "core", "conflict", "outside", "malformed", "malformed"]


def test_short_answers_agree_only_when_they_are_equal(case_of: Build, member: Any, key: Key) -> None:
    """The bits are all equal: neither two short answers nor a short and a long one are near."""
    verdict = judge(case_of([member(answer=text) for text in ("Paris", "Lyon", PARIS, "paris")], PROSE))
    assert verdict.support == {key(0): 2, key(1): 1, key(2): 1, key(3): 2}


def test_a_gate_objects_inside_the_radius(case_of: Build, member: Any, key: Key) -> None:
    frame = replace(PROSE, gates=("entities",))
    verdict = judge(case_of([member(answer=text) for text in (PARIS, PARIS, LYON)], frame))
    assert statuses(verdict, key, 3) == ["core", "core", "conflict"]


def test_every_embedder_must_find_them_near(case_of: Build, member: Any, key: Key) -> None:
    frame = JudgedFrame(1, 10_000, {"toy": 4, "twin": 2}, ())
    near, far = {"toy": "000f", "twin": "03"}, {"toy": "0000", "twin": "07"}
    base = {"toy": "0000", "twin": "00"}

    def reason(bits: dict[str, str]) -> str:
        members = [member(answer=PARIS, bits=base), member(answer=LYON, bits=bits)]
        return str(judge(case_of(members, frame)).reason)

    assert [reason(near), reason(far)] == ["agreed", "no_agreement"]


def test_the_center_breaks_ties_by_spread_then_ticket(case_of: Build, member: Any, key: Key) -> None:
    """A line of three: all see each other, the middle one is closest to all."""
    frame = replace(PROSE, sec_percentage_bp=10_000)
    members = [member(answer=f"{PARIS} {i}", bits=bits) for i, bits in enumerate(("0003", "0000", "0300"))]
    assert judge(case_of(members, frame)).center == key(1)
    equal = [member(answer=PARIS) for _ in range(12)]
    centers = {judge(case_of(equal, frame, selection_beacon=f"{i:04x}")).center for i in range(30)}
    assert len(centers) > 3


def test_t9_the_digest_covers_every_other_field(case_of: Build, member: Any) -> None:
    verdict = judge(case_of([member(answer="yes")], LABELS))
    rest = {name: getattr(verdict, name) for name in verdict.__struct_fields__ if name != "digest"}
    assert verdict.digest == tagged("dicast/verdict/1", encode(rest)).hex()


def spliced(case_of: Build, member: Any, radius: int) -> Case:
    """Seven honest answers at 0000, a splice half-way, three spam texts at ffff."""
    honest = [member(answer=f"{PARIS} {index}", bits="0000") for index in range(7)]
    bridge = [member(answer=f"{PARIS} {SPAM}", bits="00ff")]
    spam = [member(answer=f"{SPAM} {index}", bits="ffff") for index in range(3)]
    return case_of([*honest, *bridge, *spam], replace(PROSE, sec_distance_bits={"toy": radius}))


def test_t6_spam_behind_a_spliced_bridge_is_in_the_ball_and_never_core(
    case_of: Build, member: Any, key: Key
) -> None:
    verdict = judge(spliced(case_of, member, 8))
    assert (verdict.center, verdict.ball_size, verdict.need) == (key(7), 11, 7)
    assert statuses(verdict, key, 11) == ["core"] * 8 + ["accepted"] * 3
    winners = {
        judge(replace(spliced(case_of, member, 8), selection_beacon=f"{i:04x}")).winner for i in range(60)
    }
    assert winners <= {key(index) for index in range(8)}


# Theorems over generated rounds. Bits are 16, the radius is 5: balls overlap often.

CENTERS = ["0000", "0007", "003f", "07ff", "ffff"]


@st.composite
def rounds(draw: st.DrawFn, case_of: Build, member: Any, prose: bool | None = None) -> Case:
    is_prose = draw(st.booleans()) if prose is None else prose
    texts = [f"{PARIS} {index}" for index in range(5)] if is_prose else ["yes", "no", "Yes.", "NO"]
    members = draw(
        st.lists(
            st.builds(
                member,
                answer=st.sampled_from(texts),
                bits=st.sampled_from(CENTERS),
                seats=st.integers(1, 2),
                commits=st.sampled_from([True] * 6 + [False]),
                reveals=st.sampled_from([True] * 6 + [False]),
            ),
            min_size=1,
            max_size=10,
        )
    )
    bp = draw(st.integers(3_000, 9_000))
    frame = JudgedFrame(draw(st.integers(1, 4)), bp, {"toy": 5}, ())
    return case_of(members, frame if is_prose else replace(frame, labels=("yes", "no")))


def without_reveals(case: Case, keys: set[str]) -> Case:
    return replace(case, reveals=tuple(reveal for reveal in case.reveals if reveal.pubkey not in keys))


def core_of(case: Case, verdict: Verdict) -> set[str]:
    """Every answer that `need` seats agree with, in the ball or not."""
    return {key for key, count in verdict.support.items() if count >= verdict.need}


@pytest.fixture(scope="session")
def theorem(case_of: Build, member: Any) -> Callable[..., None]:
    """Run a check over generated rounds."""

    def run(check: Callable[[Case, st.DataObject], None], prose: bool | None = None) -> None:
        given(rounds(case_of, member, prose), st.data())(check)()

    return run


def test_t1_order_is_nothing(theorem: Callable[..., None]) -> None:
    def check(case: Case, data: st.DataObject) -> None:
        order = random.Random(data.draw(st.integers(0, 2**32)))
        shuffled = {
            name: order.sample(getattr(case, name), len(getattr(case, name)))
            for name in ("commits", "reveals")
        }
        panel = dict(order.sample(sorted((case.panel or {}).items()), len(case.panel or {})))
        other = replace(case, **{name: tuple(value) for name, value in shuffled.items()}, panel=panel)
        assert judge(other).encode() == judge(case).encode()

    theorem(check)


def test_t2_whatever_wins_at_least_need_seats_agree_with_it(theorem: Callable[..., None]) -> None:
    def check(case: Case, _data: st.DataObject) -> None:
        verdict = judge(case)
        assert (verdict.outcome is Outcome.ACCEPTED) == (verdict.winner is not None)
        if verdict.winner is not None:
            assert verdict.support[verdict.winner] >= verdict.need
            assert verdict.statuses[verdict.winner] is Status.CORE
            assert {k for k, s in verdict.statuses.items() if s is Status.CORE} <= core_of(case, verdict)
            assert verdict.ball_size == verdict.support[verdict.center or ""]

    theorem(check)


def test_t3_a_reveal_more_never_lowers_support_nor_undoes_acceptance(theorem: Callable[..., None]) -> None:
    def check(case: Case, data: st.DataObject) -> None:
        keys = [reveal.pubkey for reveal in case.reveals]
        withheld = set(data.draw(st.lists(st.sampled_from(keys)))) if keys else set()
        more, less = judge(case), judge(without_reveals(case, withheld))
        assert all(more.support[key] >= count for key, count in less.support.items())
        assert not (less.outcome is Outcome.ACCEPTED and more.outcome is Outcome.UNDETERMINED)

    theorem(check)


def test_t4_withheld_reveals_make_no_new_core_and_more_than_f_support_old_and_new(
    theorem: Callable[..., None],
) -> None:
    """P4. Any number may be withheld; the bound 2·need - n > f holds for each old and new core answer."""

    def check(case: Case, data: st.DataObject) -> None:
        keys = [reveal.pubkey for reveal in case.reveals]
        withheld = set(data.draw(st.lists(st.sampled_from(keys)))) if keys else set()
        before, after = judge(case), judge(without_reveals(case, withheld))
        new, old = core_of(case, after), core_of(case, before)
        assert new <= old
        for one in new:
            for other in old:
                both = supporters(case, one) & supporters(case, other)
                shared = sum((case.panel or {})[key] for key in both)
                assert shared >= 2 * before.need - before.n

    theorem(check)


def supporters(case: Case, key: str) -> set[str]:
    """Who agrees with a key's answer: judged alone with it, they support it together."""
    found: set[str] = set()
    for reveal in case.reveals:
        pair = tuple(other for other in case.reveals if other.pubkey in {key, reveal.pubkey})
        alone = judge(replace(case, reveals=pair))
        if len(pair) == 1 or alone.support[key] > (case.panel or {})[key]:
            found.add(reveal.pubkey)
    return found


def test_t4_withholding_never_flips_an_agreed_value(theorem: Callable[..., None]) -> None:
    def check(case: Case, data: st.DataObject) -> None:
        frame = case.request.frame
        case = replace(case, request=replace(case.request, frame=replace(frame, sec_percentage_bp=5_001)))
        before = judge(case)
        keys = [reveal.pubkey for reveal in case.reveals]
        withheld = set(data.draw(st.lists(st.sampled_from(keys)))) if keys else set()
        after = judge(without_reveals(case, withheld))
        assert after.answer in {None, before.answer}

    theorem(check, prose=False)


def test_t5_leaving_others_out_never_rerolls_the_winner(theorem: Callable[..., None]) -> None:
    """P5: while the ball keeps the winner and gains nobody, it wins again, whoever else is left out."""

    def check(case: Case, data: st.DataObject) -> None:
        before = judge(case)
        others = [commit.pubkey for commit in case.commits if commit.pubkey != before.winner]
        left_out = set(data.draw(st.lists(st.sampled_from(others)))) if others else set()
        kept = tuple(commit for commit in case.commits if commit.pubkey not in left_out)
        after = judge(replace(without_reveals(case, left_out), commits=kept))
        core = [{k for k, s in v.statuses.items() if s is Status.CORE} for v in (before, after)]
        if before.winner in core[1] and core[1] <= core[0]:
            assert after.winner == before.winner

    theorem(check)


def test_t7_a_key_of_several_seats_weighs_like_several_keys(
    theorem: Callable[..., None], case_of: Build, member: Any
) -> None:
    def check(case: Case, _data: st.DataObject) -> None:
        answers = {reveal.pubkey: reveal for reveal in case.reveals}
        committed = {commit.pubkey for commit in case.commits}
        split = [
            member(
                answer=answers[key].answer if key in answers else PARIS,
                bits=answers[key].embeddings if key in answers else "0000",
                commits=key in committed,
                reveals=key in answers,
            )
            for key, seats in (case.panel or {}).items()
            for _ in range(seats)
        ]
        whole, parts = judge(case), judge(case_of(split, case.request.frame))
        fields = ("outcome", "reason", "n", "need", "ball_size")
        assert [getattr(whole, name) for name in fields] == [getattr(parts, name) for name in fields]
        assert set(whole.support.values()) == set(parts.support.values())

    theorem(check)


def test_t8_a_majority_leaves_room_for_one_value(theorem: Callable[..., None]) -> None:
    def check(case: Case, _data: st.DataObject) -> None:
        verdict = judge(case)
        if 2 * verdict.need > verdict.n and verdict.outcome is Outcome.ACCEPTED:
            assert verdict.unique

    theorem(check, prose=False)


def test_need_of_a_panel_ignores_who_committed(case_of: Build, member: Any) -> None:
    members = [member(answer="yes")] * 4 + [member(commits=False)] * 5
    verdict = judge(case_of(members, LABELS))
    assert (verdict.n, verdict.need, verdict.reason) == (9, need(6_000, 9), "too_few_reveals")
