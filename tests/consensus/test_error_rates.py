"""The chances that people see before they ask."""

from __future__ import annotations

import pytest

from dicast.consensus.error_rates import accept, at_least, false_accept
from dicast.consensus.frame import PRESETS, error_rate

TABLE = {
    (5, 3): [("8.6e-03", "0.949"), ("5.8e-02", "0.862"), ("1.6e-01", "0.733")],
    (11, 7): [("2.3e-05", "0.959"), ("2.0e-03", "0.832"), ("2.2e-02", "0.615")],
    (21, 13): [("9.3e-09", "0.990"), ("3.2e-05", "0.896"), ("2.4e-03", "0.636")],
    (31, 19): [("4.3e-12", "0.997"), ("6.0e-07", "0.933"), ("3.0e-04", "0.654")],
    (51, 31): [("1.0e-18", "1.000"), ("2.3e-10", "0.971"), ("5.2e-06", "0.685")],
    (51, 34): [("2.6e-22", "0.995"), ("6.5e-13", "0.843"), ("7.2e-08", "0.350")],
}
"""The published table: seats and need, then for a dishonest share of 0.1, 0.2 and 0.3 both chances."""


@pytest.mark.parametrize(("seats", "need"), TABLE)
def test_the_published_table_comes_out(seats: int, need: int) -> None:
    found = [
        (f"{false_accept(seats, need, share):.1e}", f"{accept(seats, need, share):.3f}")
        for share in (0.1, 0.2, 0.3)
    ]
    assert found == TABLE[seats, need]


def test_certain_and_impossible_events() -> None:
    found = [at_least(*arguments) for arguments in ((0, 5, 0.0), (1, 5, 0.0), (5, 5, 1.0), (6, 5, 1.0))]
    assert found == [1.0, 0.0, 1.0, 0.0]


def test_thousands_of_seats_do_not_overflow() -> None:
    assert at_least(8_192, 16_384, 0.5) == pytest.approx(0.5, abs=0.01)


def test_more_liars_err_more_often_and_larger_frames_err_less() -> None:
    shares = [0.0, 0.1, 0.2, 0.3, 0.5]
    rates = {
        name: [error_rate(preset.frame, preset.seats, share) for share in shares]
        for name, preset in PRESETS.items()
    }
    assert all(column == sorted(column) for column in rates.values())
    assert rates["story"][2] > rates["default"][2] > rates["careful"][2] > rates["financial"][2]
