"""Stored packets are put into the order in which they happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import LIVE, Relayed
from dicast.transports.nostr_replay import HELD_PACKETS_MAX, Replay


def held(packets: list[tuple[int, Kind]]) -> list[bytes]:
    replay = Replay()
    for created_at, kind in packets:
        replay.hold(Relayed(LIVE, f"{created_at} {kind.name}".encode(), kind, created_at))
    return replay.take()


ROUND = [Kind.REQUEST, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE]


@given(st.permutations(ROUND))
def test_theorem_20_4_a_round_of_one_second_comes_in_its_own_order(kinds: list[Kind]) -> None:
    assert held([(7, kind) for kind in kinds]) == [f"7 {kind.name}".encode() for kind in ROUND]


def test_announcements_come_first_then_time_decides() -> None:
    packets = [(9, Kind.REQUEST), (3, Kind.CLOSE), (2, Kind.REQUEST), (8, Kind.ANNOUNCEMENT)]
    assert held(packets) == [b"8 ANNOUNCEMENT", b"2 REQUEST", b"3 CLOSE", b"9 REQUEST"]


def test_it_says_when_it_is_full_and_starts_anew_after_taking() -> None:
    replay = Replay()
    packet = Relayed(LIVE, b"wire", Kind.COMMIT, 1)
    fits = [replay.hold(packet) for _ in range(HELD_PACKETS_MAX)]
    assert fits == [True] * (HELD_PACKETS_MAX - 1) + [False]
    assert (len(replay.take()), replay.take()) == (HELD_PACKETS_MAX, [])


def test_large_packets_fill_it_sooner() -> None:
    replay = Replay()
    packet = Relayed(LIVE, bytes(65_536), Kind.REVEAL, 1)
    assert sum(1 for _ in iter(lambda: replay.hold(packet), False)) == 127
