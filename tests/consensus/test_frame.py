"""The security frame: presets, shares, and every way in which a frame cannot hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dicast.base.codec import CodecError, decode, decode_as, encode
from dicast.base.errors import Rejection
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.frame import (
    PRESETS,
    Frame,
    JudgedFrame,
    check_frame,
    check_preset,
    frame_from_shares,
    is_minority,
    largest_frame,
    need,
    tolerated_faults,
)
from dicast.consensus.reasons import FrameFault

DEFAULT = PRESETS["default"].frame


def test_presets_hold_and_are_what_the_page_says() -> None:
    shapes = {
        name: (
            preset.seats,
            preset.frame.quorum,
            need(preset.frame.sec_percentage_bp, preset.seats),
            preset.frame.faults,
            preset.frame.sec_distance_bits[EMBEDDER],
            preset.frame.gates,
            preset.checked_form,
        )
        for name, preset in PRESETS.items()
    }
    strict = ("numbers_strict", "entities_strict", "polarity_strict")
    assert shapes == {
        "story": (3, 2, 2, 0, 130, (), False),
        "default": (9, 7, 6, 2, 100, ("numbers", "entities", "polarity"), False),
        "careful": (13, 11, 10, 6, 100, strict, False),
        "financial": (31, 25, 22, 12, 100, strict, True),
    }
    for preset in PRESETS.values():
        check_frame(preset.frame, preset.seats, minority_allowed=False)


def test_the_judge_reads_a_part_of_the_frame() -> None:
    frame = replace(DEFAULT, exact=("/a",), fuzzy=("/b",))
    assert frame.judged() == JudgedFrame(7, 6_600, {EMBEDDER: 100}, DEFAULT.gates, ("/a",), ("/b",), ())


REFUSED: list[tuple[dict[str, Any], int, FrameFault, str, str]] = [
    ({"quorum": 10}, 9, FrameFault.QUORUM, "quorum 10", "quorum 9, of which 6"),
    ({"quorum": 0}, 9, FrameFault.QUORUM, "quorum 0", "9"),
    ({}, 0, FrameFault.SEATS, "seats 0", "16384"),
    ({}, 16_385, FrameFault.SEATS, "seats 16385", "16384"),
    ({"sec_percentage_bp": 0}, 9, FrameFault.PERCENTAGE, "sec_percentage_bp 0", "10000"),
    ({"sec_percentage_bp": 10_001}, 9, FrameFault.PERCENTAGE, "sec_percentage_bp 10001", "10000"),
    ({"sec_distance_bits": {EMBEDDER: 131}}, 9, FrameFault.DISTANCE, "sec_distance_bits 131", "130"),
    ({"sec_distance_bits": {EMBEDDER: -1}}, 9, FrameFault.DISTANCE, "sec_distance_bits -1", "130"),
    ({"sec_distance_bits": {}, "fuzzy": ("/a",)}, 9, FrameFault.FORM, "sec_distance_bits: ", ""),
    ({"faults": 3}, 9, FrameFault.FAULTS, "faults 3", "2"),
    ({"faults": -1}, 9, FrameFault.FAULTS, "faults -1", "2"),
    ({"deadline_ms": 3_600_001}, 9, FrameFault.TIME, "deadline_ms 3600001", "3600000"),
    ({"deadline_ms": 999}, 9, FrameFault.TIME, "deadline_ms 999", "3600000"),
    ({"reveal_ms": 600_001}, 9, FrameFault.TIME, "reveal_ms 600001", "600000"),
    ({"grace_ms": -1}, 9, FrameFault.TIME, "grace_ms -1", "600000"),
    ({"gates": ("colour",)}, 9, FrameFault.GATES, "'colour'", ""),
    ({"gates": ("numbers", "numbers")}, 9, FrameFault.GATES, "twice", ""),
    ({"gates": ("json",)}, 9, FrameFault.GATES, "json", ""),
    ({"exact": ("a",)}, 9, FrameFault.FORM, "'a' is not a JSON pointer", ""),
    ({"exact": ("/a~2",)}, 9, FrameFault.FORM, "'/a~2' is not a JSON pointer", ""),
    ({"fuzzy": ("/a", "/a")}, 9, FrameFault.FORM, "twice", ""),
    ({"labels": ("yes",), "exact": ("/a",)}, 9, FrameFault.FORM, "exclude", ""),
    ({"labels": ("Yes", "yes.")}, 9, FrameFault.FORM, "one canonical text", ""),
    ({"labels": (" ",)}, 9, FrameFault.FORM, "empty canonical text", ""),
    ({"labels": tuple(f"l{i}" for i in range(257))}, 9, FrameFault.FORM, "257 labels", ""),
    ({"fuzzy": tuple(f"/{i}" for i in range(65))}, 9, FrameFault.FORM, "65 pointers", ""),
]


@pytest.mark.parametrize(("change", "seats", "code", "named", "largest"), REFUSED)
def test_an_impossible_frame_is_refused_by_name(
    change: dict[str, Any], seats: int, code: FrameFault, named: str, largest: str
) -> None:
    with pytest.raises(Rejection) as caught:
        check_frame(replace(DEFAULT, **change), seats)
    assert caught.value.code == code
    assert named in caught.value.message
    assert largest in caught.value.next_step


def test_half_of_the_seats_may_decide_only_where_nobody_else_relies_on_it() -> None:
    frame = replace(DEFAULT, sec_percentage_bp=5_000, faults=0)
    check_frame(frame, 9)
    assert (is_minority(frame), is_minority(DEFAULT)) == (True, False)
    with pytest.raises(Rejection) as caught:
        check_frame(frame, 9, minority_allowed=False)
    assert caught.value.code == FrameFault.PERCENTAGE
    with pytest.raises(Rejection):
        check_frame(replace(frame, faults=1), 9)


def test_labels_and_json_values_need_no_embedder() -> None:
    bare = replace(DEFAULT, sec_distance_bits={}, gates=())
    check_frame(replace(bare, labels=("yes", "no")), 9)
    check_frame(replace(bare, exact=("/price",), gates=("json",)), 9)
    with pytest.raises(Rejection):
        check_frame(replace(bare, exact=("/price",), fuzzy=("/note",)), 9)


def test_financial_serves_labels_and_json_only() -> None:
    financial = PRESETS["financial"]
    check_preset(financial, replace(financial.frame, labels=("buy", "sell")))
    check_preset(financial, replace(financial.frame, exact=("/price",)))
    check_preset(PRESETS["careful"], PRESETS["careful"].frame)
    with pytest.raises(Rejection) as caught:
        check_preset(financial, financial.frame)
    assert caught.value.code == FrameFault.PRESET


def test_shares_become_integers() -> None:
    assert frame_from_shares(6, 0.26, 0.57, 7) == replace(
        DEFAULT, quorum=6, sec_percentage_bp=5_700, sec_distance_bits={EMBEDDER: 99}, faults=0
    )
    story = frame_from_shares(13, 0.3, 0.7, 13, PRESETS["careful"].frame)
    assert (story.sec_distance_bits, story.faults, story.gates) == (
        {EMBEDDER: 114},
        6,
        PRESETS["careful"].frame.gates,
    )


@pytest.mark.parametrize(
    ("distance", "percentage", "code"),
    [
        (-0.1, 0.5, FrameFault.DISTANCE),
        (1.1, 0.5, FrameFault.DISTANCE),
        (float("nan"), 0.5, FrameFault.DISTANCE),
        (0.2, 0.0, FrameFault.PERCENTAGE),
        (0.2, 66.0, FrameFault.PERCENTAGE),
        (0.2, float("nan"), FrameFault.PERCENTAGE),
    ],
)
def test_a_share_is_between_0_and_1(distance: float, percentage: float, code: FrameFault) -> None:
    with pytest.raises(Rejection) as caught:
        frame_from_shares(5, distance, percentage, 9)
    assert caught.value.code == code


def test_too_few_nodes_get_the_largest_frame_that_works() -> None:
    assert [largest_frame(known, DEFAULT) for known in (0, 1, 5, 7, 9, 50)] == [
        (0, 0),
        (1, 1),
        (5, 4),
        (7, 5),
        (7, 6),
        (7, 33),
    ]


@given(st.integers(1, 10_000), st.integers(0, 16_384))
def test_theorem_3_1_need_is_the_share_rounded_up(percentage_bp: int, seats: int) -> None:
    found = need(percentage_bp, seats)
    assert (found - 1) * 10_000 < percentage_bp * seats <= found * 10_000


@given(st.integers(1, 10_000), st.integers(1, 500))
def test_theorem_3_2_tolerated_faults_is_the_largest_f_of_p4(percentage_bp: int, seats: int) -> None:
    agreeing, faults = need(percentage_bp, seats), tolerated_faults(percentage_bp, seats)
    assert faults == max([f for f in range(seats + 1) if 2 * agreeing >= seats + f + 1], default=0)


@given(st.integers(5_001, 10_000), st.integers(1, 200), st.data())
def test_theorem_3_3_a_checked_frame_keeps_p4(percentage_bp: int, seats: int, data: st.DataObject) -> None:
    faults = data.draw(st.integers(0, seats))
    frame: Frame = replace(DEFAULT, quorum=1, sec_percentage_bp=percentage_bp, faults=faults)
    if 2 * need(percentage_bp, seats) >= seats + faults + 1:
        check_frame(frame, seats)
        return
    with pytest.raises(Rejection) as caught:
        check_frame(frame, seats)
    assert caught.value.code == FrameFault.FAULTS


@given(
    st.sampled_from([1_000, 59_999, 60_000]),
    st.sampled_from([1, 10_000]),
    st.sampled_from([0, 2_000, 2_001]),
)
def test_a_frame_has_one_encoding_and_a_default_spelled_out_is_another(
    deadline_ms: int, reveal_ms: int, grace_ms: int
) -> None:
    # int(str(…)) makes new objects, as a computed budget is one: msgspec leaves out only the same object.
    times = {
        name: int(str(value))
        for name, value in (
            ("deadline_ms", deadline_ms),
            ("reveal_ms", reveal_ms),
            ("grace_ms", grace_ms),
        )
    }
    frame = Frame(quorum=1, sec_percentage_bp=5_000, sec_distance_bits={}, gates=(), **times)
    usual = {"deadline_ms": 60_000, "reveal_ms": 10_000, "grace_ms": 2_000}
    encoded = encode(frame)
    spelled = {name for name in times if f'"{name}"'.encode() in encoded}
    assert spelled == {name for name, value in times.items() if value != usual[name]}
    assert decode_as(encoded, Frame) == frame
    whole = encode({**decode(encoded), **times})  # type: ignore[dict-item]
    if whole != encoded:
        with pytest.raises(CodecError):
            decode_as(whole, Frame)
