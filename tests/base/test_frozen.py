"""Package data."""

from __future__ import annotations

import pytest

from dicast.base.frozen import table_bytes, table_json, table_text


def test_a_table_is_read_as_bytes_text_and_json() -> None:
    data = table_bytes("dicast.base", "unicode13.json")
    table = table_json("dicast.base", "unicode13.json")
    assert table_text("dicast.base", "unicode13.json").encode() == data
    assert isinstance(table, dict)
    assert table["unicode"] == "13.0.0"


def test_a_missing_table_is_our_own_bug() -> None:
    with pytest.raises(FileNotFoundError):
        table_bytes("dicast.base", "nothing.json")
