"""An agenda knows what a look at everything would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.base.agenda import STALE_MIN, Agenda

moves = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.none() | st.integers(0, 20), st.integers(0, 20)), max_size=200
)


@given(moves)
def test_what_is_due_and_when_the_next_is_are_what_a_scan_finds(given_moves) -> None:
    agenda: Agenda[str] = Agenda()
    plain: dict[str, int] = {}
    for key, due_ms, now_ms in given_moves:
        if due_ms is None:
            agenda.drop(key)
            plain.pop(key, None)
        else:
            agenda.put(key, due_ms)
            plain[key] = due_ms
        assert agenda.due(now_ms) == [one for one, at_ms in plain.items() if at_ms <= now_ms]
        assert agenda.deadline_ms == min(plain.values(), default=None)
        assert len(agenda) == len(plain)


def test_putting_off_again_and_again_takes_no_memory() -> None:
    agenda: Agenda[int] = Agenda()
    for turn in range(10_000):
        agenda.put(turn % 10, turn)
        assert len(agenda._heap) <= 2 * 10 + STALE_MIN
    assert agenda.due(9_995) == [0, 1, 2, 3, 4, 5]
