"""Verdicts by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from dicast.consensus.case import Case
from dicast.consensus.frame import JudgedFrame, need
from dicast.consensus.judge import Verdict, judge
from dicast.consensus.reasons import Outcome, Reason, Status

Build = Callable[..., Case]
Key = Callable[[int], str]

PARIS = "The capital of that country is the city of Paris."
LYON = "The capital of that country is the city of Lyon."
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
    ["", " \n", '"."', "a bell \x07 rings", "unassigned \U0001fae8 face", "word " * 5_000],
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


def test_answers_that_no_embedding_reads_agree_only_when_they_are_equal(
    case_of: Build, member: Any, key: Key
) -> None:
    """Signs outside the model's vocabulary are all one piece to it: no distance may vouch for them."""
    answers = (
        "中国的首都是北京。",
        "中国的首都是東京。",
        "**中国的首都是北京**。",
        "every test has passed ✅ 🎉 🎉",
    )
    verdict = judge(
        case_of([member(answer=text) for text in answers], replace(PROSE, sec_percentage_bp=5_000))
    )
    assert verdict.support == {key(0): 2, key(1): 1, key(2): 2, key(3): 1}
    assert verdict.answer in answers


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


def test_need_of_a_panel_ignores_who_committed(case_of: Build, member: Any) -> None:
    members = [member(answer="yes")] * 4 + [member(commits=False)] * 5
    verdict = judge(case_of(members, LABELS))
    assert (verdict.n, verdict.need, verdict.reason) == (9, need(6_000, 9), "too_few_reveals")
