"""Results to standard output, all else to standard error; `--json` changes the form, never the channel."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import cast

import msgspec


def print_result(value: object, text: str, as_json: bool) -> None:
    """The result of a command: `value` as one line of JSON, or `text`."""
    line = json.dumps(to_plain(value), ensure_ascii=False) if as_json else text
    sys.stdout.write(line if line.endswith("\n") else line + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Something to read that is not the result; where nobody reads it, the result still comes."""
    with suppress(OSError):
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


def print_error(code: str, message: str, next_step: str, as_json: bool) -> None:
    """Why a command failed, with its stable code and the next step."""
    from dicast.daemon.logs import without_secrets

    message, next_step = without_secrets(message), without_secrets(next_step)
    if as_json:
        line = json.dumps(
            {"error": {"code": code, "message": message, "next_step": next_step}}, ensure_ascii=False
        )
        with suppress(OSError):
            sys.stderr.write(line + "\n")
        return
    note(f"error: {message} [{code}]")
    if next_step:
        note(next_step)


def to_plain(value: object) -> object:
    """Records as JSON values."""
    return cast("object", msgspec.to_builtins(value))


def fields_of(record: msgspec.Struct) -> dict[str, object]:
    """A record's fields as JSON values."""
    return cast("dict[str, object]", msgspec.to_builtins(record))


def printable(text: str) -> str:
    """`text` without characters that could steer a terminal; line feeds and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns of text, aligned with spaces."""
    lines = [tuple(headings), *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
