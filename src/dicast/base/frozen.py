"""The only reader of package data: tables that are part of the source, read once and never written."""

from __future__ import annotations

import functools
from importlib.resources import files

from dicast.base.codec import decode_loose
from dicast.base.types import Json


@functools.cache
def table_bytes(package: str, name: str) -> bytes:
    """The bytes of `data/name` inside a package, e.g. `table_bytes("dicast.base", "unicode13.bin")`."""
    return files(package).joinpath("data", name).read_bytes()


@functools.cache
def table_text(package: str, name: str) -> str:
    """The same as UTF-8 text."""
    return table_bytes(package, name).decode("utf-8")


def table_json(package: str, name: str) -> Json:
    """The same as JSON."""
    return decode_loose(table_bytes(package, name))
