"""Packets that wait: each network in its own line, none kept waiting by another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.daemon.inbox import PACKET_BYTES_WAITING_MAX, PACKETS_WAITING_MAX, Inbox
from dicast.protocol.inputs import PacketReceived


def test_a_flood_over_one_delays_no_packet_of_another() -> None:
    inbox = Inbox()
    for _ in range(PACKETS_WAITING_MAX):
        assert inbox.put(b"noise", "flood")
    assert not inbox.put(b"noise", "flood")
    assert inbox.put(b"news", "calm")
    assert [inbox.take(), inbox.take()] == [
        PacketReceived(b"noise", "flood"),
        PacketReceived(b"news", "calm"),
    ]


def test_what_waits_is_bounded_by_bytes_too() -> None:
    inbox, count = Inbox(), 0
    while inbox.put(bytes(65_536), "flood"):
        count += 1
    assert count == PACKET_BYTES_WAITING_MAX // 65_536


@given(st.lists(st.one_of(st.none(), st.tuples(st.binary(max_size=2), st.sampled_from("abc")))))
def test_all_that_was_put_comes_out_once_and_in_the_order_of_its_network(steps) -> None:
    inbox, put, taken = Inbox(), list[PacketReceived](), list[PacketReceived]()
    for step in steps:
        if step is None:
            taken += filter(None, [inbox.take()])
        else:
            inbox.put(*step)
            put.append(PacketReceived(*step))
    taken += iter(inbox.take, None)
    assert len(inbox) == 0
    for carrier in "abc":
        lines = [[one for one in side if one.carrier == carrier] for side in (put, taken)]
        assert lines[0] == lines[1]
