"""`dicast publish` with what is no document."""

from __future__ import annotations

import io

import pytest

from dicast.base.errors import Rejection
from dicast.cli.publishing import WANTED, publish


@pytest.mark.parametrize("typed", ["message.json", "[1]", "{", ""])
def test_whoever_gives_no_object_is_told_what_to_give(typed: str) -> None:
    with pytest.raises(Rejection) as refused:
        publish(typed)
    assert refused.value.next_step == WANTED


def test_nothing_on_standard_input_is_told_the_same(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(Rejection) as refused:
        publish()
    assert refused.value.next_step == WANTED
