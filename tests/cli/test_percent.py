"""Progress on standard error never goes back, whatever is reported."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.cli.percent import Percent


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 1000))))
def test_it_never_goes_back(capsys: pytest.CaptureFixture[str], steps: list[tuple[int, int]]) -> None:
    capsys.readouterr()
    shown = Percent()
    for done, size in steps:
        shown.show(done, size)
    shown.end()
    said = [int(line.removesuffix(" %")) for line in capsys.readouterr().err.splitlines()]
    assert said == sorted(set(said))
    assert all(0 <= share <= 100 for share in said)
