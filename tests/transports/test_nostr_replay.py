"""What is stored is asked for page by page, and put into the order in which it happened."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import LIVE, Relayed
from dicast.transports.nostr_replay import HELD_PACKETS_MAX, PAGES_MAX, Replay

TOPIC = "ab" * 32
KINDS = [int(kind) for kind in Kind]
ROUND_KINDS = [kind for kind in KINDS if kind != 31411]
ROUND = [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE]


def packet(created_at: int, kind: Kind = Kind.COMMIT, wire: bytes = b"") -> Relayed:
    return Relayed(LIVE, wire or f"{created_at} {kind.name}".encode(), kind, created_at)


def held(packets: list[tuple[int, Kind]]) -> list[bytes]:
    replay = Replay(TOPIC, 100, 0)
    for created_at, kind in packets:
        replay.hold(packet(created_at, kind))
    return replay.take()


@given(st.permutations(ROUND))
def test_theorem_20_4_a_round_of_one_second_comes_in_its_own_order(kinds: list[Kind]) -> None:
    assert held([(7, kind) for kind in kinds]) == [f"7 {kind.name}".encode() for kind in ROUND]


def test_announcements_come_first_then_time_decides() -> None:
    packets = [(9, Kind.REQUEST), (3, Kind.CLOSE), (2, Kind.REQUEST), (8, Kind.ANNOUNCEMENT)]
    assert held(packets) == [b"8 ANNOUNCEMENT", b"2 REQUEST", b"3 CLOSE", b"9 REQUEST"]


def test_it_says_when_it_is_full_and_starts_anew_after_taking() -> None:
    replay = Replay(TOPIC, 100, 0)
    fits = [replay.hold(packet(1)) for _ in range(HELD_PACKETS_MAX)]
    assert fits == [True] * (HELD_PACKETS_MAX - 1) + [False]
    assert (len(replay.take()), replay.take()) == (HELD_PACKETS_MAX, [])


def test_large_packets_fill_it_sooner() -> None:
    replay = Replay(TOPIC, 100, 0)
    large = packet(1, wire=bytes(65_536))
    assert sum(1 for _ in iter(lambda: replay.hold(large), False)) == 127


def test_the_subscription_keeps_announcements_apart_from_rounds() -> None:
    assert json.loads(Replay(TOPIC, 10_000, 9_000).first_page()) == [
        "REQ",
        "live",
        {"#t": [TOPIC], "kinds": [31411], "since": 9_000, "limit": 1024},
        {"#t": [TOPIC], "kinds": ROUND_KINDS, "since": 9_000, "limit": 1000},
        {"#t": [TOPIC], "kinds": KINDS, "limit": 1},
    ]


def test_announcements_are_never_asked_for_after_they_expired() -> None:
    assert json.loads(Replay(TOPIC, 10_000, 0).first_page())[2]["since"] == 10_000 - 1_800


def test_nothing_stored_is_asked_for_when_since_is_now() -> None:
    asked = json.loads(Replay(TOPIC, 10_000, 10_000).first_page())[2:]
    assert [part["since"] for part in asked] == [10_000] * 3


def test_a_short_page_is_the_last() -> None:
    replay = Replay(TOPIC, 10_000, 0)
    replay.first_page()
    for number in range(99):
        replay.hold(packet(9_000 + number))
    assert replay.next_page() is None


def test_a_full_page_is_followed_by_what_is_older_of_the_kinds_that_were_cut() -> None:
    replay = Replay(TOPIC, 10_000, 5_000)
    replay.first_page()
    for number in range(100):
        replay.hold(packet(9_000 + number))
    replay.hold(packet(9_500, Kind.ANNOUNCEMENT))
    older = {"#t": [TOPIC], "kinds": ROUND_KINDS, "since": 5_000, "until": 9_000, "limit": 1000}
    assert json.loads(replay.next_page() or b"") == ["REQ", "older", older]
    for _ in range(100):
        replay.hold(packet(9_000))
    assert json.loads(replay.next_page() or b"")[2]["until"] == 8_999  # a second as large as a page
    assert replay.next_page() is None


class FakeStore:
    """A relay's store that cuts each filter at `cap`, newest first."""

    def __init__(self, stamps: list[int], cap: int) -> None:
        self.stamps, self.cap, self.asked = stamps, cap, 0

    def answer(self, replay: Replay, frame: bytes) -> None:
        self.asked += 1
        for part in json.loads(frame)[2:]:
            self._answer_filter(replay, part)

    def _answer_filter(self, replay: Replay, part: dict[str, Any]) -> None:
        if Kind.COMMIT in part["kinds"]:
            until = part.get("until", 1 << 40)
            fitting = [stamp for stamp in self.stamps if part.get("since", 0) <= stamp <= until]
            for stamp in sorted(fitting, reverse=True)[: min(self.cap, part["limit"])]:
                replay.hold(packet(stamp))


@given(st.lists(st.integers(1_000, 9_999), max_size=700, unique=True), st.integers(100, 300))
def test_all_that_is_stored_is_found_where_no_second_fills_a_page(stamps: list[int], cap: int) -> None:
    store, replay = FakeStore(stamps, cap), Replay(TOPIC, 10_000, 1_000)
    frame: bytes | None = replay.first_page()
    while frame is not None:
        store.answer(replay, frame)
        frame = replay.next_page()
    assert sorted(set(replay.take())) == sorted({packet(stamp).wire for stamp in stamps})
    assert store.asked <= PAGES_MAX


@given(st.lists(st.integers(0, 20), max_size=400))
def test_turning_pages_always_ends(stamps: list[int]) -> None:
    replay = Replay(TOPIC, 21, 5)
    asked = 1
    replay.first_page()
    while True:
        for stamp in stamps:
            replay.hold(packet(stamp))
        if replay.next_page() is None:
            break
        asked += 1
    assert asked <= PAGES_MAX
