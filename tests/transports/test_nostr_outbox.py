"""A relay's outbox: bounded, in order, and nothing unconfirmed is forgotten while there is room."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from dicast.transports.nostr_outbox import Outbox


def taken(outbox: Outbox) -> list[bytes]:
    return list(iter(outbox.take, None))


def filled(ids: Iterable[str], packets_max: int = 8, bytes_max: int = 1000) -> Outbox:
    outbox = Outbox(packets_max, bytes_max)
    for event_id in ids:
        outbox.put(event_id, event_id.encode())
    return outbox


def test_packets_leave_in_the_order_they_came() -> None:
    assert taken(filled("abc")) == [b"a", b"b", b"c"]


def test_the_oldest_makes_room_and_counts_as_dropped() -> None:
    outbox = filled("abcdefghij")
    assert (outbox.dropped, taken(outbox)) == (2, [b"c", b"d", b"e", b"f", b"g", b"h", b"i", b"j"])


def test_sent_packets_make_room_first_and_do_not_count() -> None:
    outbox = filled("abc")
    outbox.take()
    outbox.take()
    for event_id in "defghi":
        outbox.put(event_id, event_id.encode())
    assert (outbox.dropped, outbox.unconfirmed, outbox.waiting) == (0, 1, 7)


def test_bytes_are_bounded_but_one_packet_always_fits() -> None:
    outbox = Outbox(8, 10)
    outbox.put("a", b"x" * 6)
    outbox.put("b", b"y" * 6)
    assert (outbox.dropped, outbox.frame_bytes, taken(outbox)) == (1, 6, [b"y" * 6])
    outbox.put("c", b"z" * 50)
    assert taken(outbox) == [b"z" * 50]


def test_unconfirmed_packets_are_sent_again_before_the_others() -> None:
    outbox = filled("abcd")
    outbox.take()
    outbox.take()
    outbox.confirm("a")
    outbox.send_all_again()
    assert taken(outbox) == [b"b", b"c", b"d"]


def test_a_refused_packet_goes_to_the_front() -> None:
    outbox = filled("abc")
    outbox.take()
    outbox.take()
    outbox.send_again("a")
    outbox.send_again("unknown")
    assert taken(outbox) == [b"a", b"c"]


def test_confirmed_packets_are_forgotten() -> None:
    outbox = filled("ab")
    taken(outbox)
    outbox.confirm("a")
    outbox.confirm("b")
    outbox.confirm("never heard of")
    assert (len(outbox), outbox.frame_bytes) == (0, 0)


def test_a_repetition_is_sent_again_but_waits_only_once() -> None:
    outbox = filled("ab")
    outbox.put("a", b"a")
    assert taken(outbox) == [b"a", b"b"]
    outbox.put("a", b"a")
    assert (taken(outbox), outbox.frame_bytes) == ([b"a"], 2)


_STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "take", "confirm", "again", "all"]), st.sampled_from("abcdefghijkl")),
    max_size=60,
)


@given(_STEPS)
def test_theorem_20_3_the_bounds_hold_whatever_happens(steps: list[tuple[str, str]]) -> None:
    outbox = Outbox(4, 20)
    for step, event_id in steps:
        match step:
            case "put":
                outbox.put(event_id, event_id.encode() * (1 + ord(event_id) % 7))
            case "take":
                outbox.take()
            case "confirm":
                outbox.confirm(event_id)
            case "again":
                outbox.send_again(event_id)
            case _:
                outbox.send_all_again()
        assert len(outbox) <= 4
        assert 0 <= outbox.frame_bytes <= 20
    outbox.send_all_again()
    frames = taken(outbox)
    assert sum(map(len, frames)) == outbox.frame_bytes
    assert len(frames) == len(set(frames))
