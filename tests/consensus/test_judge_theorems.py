"""The theorems of `spec/06-judge.md` over generated rounds: 16 bits and small radii make balls overlap."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dicast.base.codec import encode
from dicast.base.hashing import tagged
from dicast.consensus.case import Case
from dicast.consensus.frame import JudgedFrame
from dicast.consensus.judge import Verdict, judge
from dicast.consensus.reasons import Outcome, Status

Build = Callable[..., Case]
Key = Callable[[int], str]

PARIS = "The capital of that country is the city of Paris."
SPAM = "Buy cheap watches now at our wonderful online shop."
PROSE = JudgedFrame(1, 6_000, {"toy": 4}, ())
LABELS = JudgedFrame(1, 6_000, {}, (), labels=("Yes", "No"))


def statuses(verdict: Verdict, key: Key, count: int) -> list[str]:
    return [str(verdict.statuses[key(index)]) for index in range(count)]


def spliced(case_of: Build, member: Any, radius: int) -> Case:
    """Seven honest answers at 0000, a splice half-way, three spam texts at ffff."""
    honest = [member(answer=f"{PARIS} {index}", bits="0000") for index in range(7)]
    bridge = [member(answer=f"{PARIS} {SPAM}", bits="00ff")]
    spam = [member(answer=f"{SPAM} {index}", bits="ffff") for index in range(3)]
    return case_of([*honest, *bridge, *spam], replace(PROSE, sec_distance_bits={"toy": radius}))


def test_theorem_6_6_spam_behind_a_spliced_bridge_is_in_the_ball_and_never_core(
    case_of: Build, member: Any, key: Key
) -> None:
    verdict = judge(spliced(case_of, member, 8))
    assert (verdict.center, verdict.ball_size, verdict.need) == (key(7), 11, 7)
    assert statuses(verdict, key, 11) == ["core"] * 8 + ["accepted"] * 3
    winners = {
        judge(replace(spliced(case_of, member, 8), selection_beacon=f"{i:04x}")).winner for i in range(60)
    }
    assert winners <= {key(index) for index in range(8)}


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

    def run(check: Callable[..., None], prose: bool | None = None, examples: int = 100) -> None:
        settings(max_examples=examples)(given(rounds(case_of, member, prose), st.data())(check))()

    return run


def test_theorem_6_1_order_is_nothing(theorem: Callable[..., None]) -> None:
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


def test_theorem_6_2_whatever_wins_at_least_need_seats_agree_with_it(theorem: Callable[..., None]) -> None:
    def check(case: Case, _data: st.DataObject) -> None:
        verdict = judge(case)
        assert (verdict.outcome is Outcome.ACCEPTED) == (verdict.winner is not None)
        if verdict.winner is not None:
            assert verdict.support[verdict.winner] >= verdict.need
            assert verdict.statuses[verdict.winner] is Status.CORE
            assert {k for k, s in verdict.statuses.items() if s is Status.CORE} <= core_of(case, verdict)
            assert verdict.ball_size == verdict.support[verdict.center or ""]

    theorem(check)


def test_theorem_6_3_a_reveal_more_never_undoes_acceptance(
    theorem: Callable[..., None],
) -> None:
    def check(case: Case, data: st.DataObject) -> None:
        keys = [reveal.pubkey for reveal in case.reveals]
        withheld = set(data.draw(st.lists(st.sampled_from(keys)))) if keys else set()
        more, less = judge(case), judge(without_reveals(case, withheld))
        assert all(more.support[key] >= count for key, count in less.support.items())
        assert not (less.outcome is Outcome.ACCEPTED and more.outcome is Outcome.UNDETERMINED)

    theorem(check)


def test_theorem_6_4_withheld_reveals_make_no_new_core(
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

    theorem(check, examples=40)


def supporters(case: Case, key: str) -> set[str]:
    """Who agrees with a key's answer: judged alone with it, they support it together."""
    found: set[str] = set()
    for reveal in case.reveals:
        pair = tuple(other for other in case.reveals if other.pubkey in {key, reveal.pubkey})
        alone = judge(replace(case, reveals=pair))
        if len(pair) == 1 or alone.support[key] > (case.panel or {})[key]:
            found.add(reveal.pubkey)
    return found


def test_theorem_6_4_withholding_never_flips_an_agreed_value(theorem: Callable[..., None]) -> None:
    def check(case: Case, data: st.DataObject) -> None:
        frame = case.request.frame
        case = replace(case, request=replace(case.request, frame=replace(frame, sec_percentage_bp=5_001)))
        before = judge(case)
        keys = [reveal.pubkey for reveal in case.reveals]
        withheld = set(data.draw(st.lists(st.sampled_from(keys)))) if keys else set()
        after = judge(without_reveals(case, withheld))
        assert after.answer in {None, before.answer}

    theorem(check, prose=False)


def test_theorem_6_5_leaving_others_out_never_rerolls_the_winner(theorem: Callable[..., None]) -> None:
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


def test_theorem_6_7_a_key_of_several_seats_weighs_like_several_keys(
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


def test_theorem_6_8_a_majority_leaves_room_for_one_value(theorem: Callable[..., None]) -> None:
    def check(case: Case, _data: st.DataObject) -> None:
        verdict = judge(case)
        if 2 * verdict.need > verdict.n and verdict.outcome is Outcome.ACCEPTED:
            assert verdict.unique

    theorem(check, prose=False)


def test_theorem_6_9_the_digest_covers_every_other_field(case_of: Build, member: Any) -> None:
    verdict = judge(case_of([member(answer="yes")], LABELS))
    rest = {name: getattr(verdict, name) for name in verdict.__struct_fields__ if name != "digest"}
    assert verdict.digest == tagged("dicast/verdict/1", encode(rest)).hex()
