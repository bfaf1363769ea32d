"""The file of a batch: where its lines stand, and what may be in it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dicast.base.errors import AdapterError, Rejection
from dicast.batch.book import Line

FILE_BYTES_MAX = 200 * 1024 * 1024
"""As OpenAI allows for a batch."""
LINES_MAX = 50_000
"""As OpenAI allows for a batch."""
LINE_BYTES_MAX = 2 * 1024 * 1024 + 4096
"""A body as large as any request's, and what a batch writes around it."""


class Index(NamedTuple):
    """The lines of a file that are not blank, and the SHA-256 of all of it."""

    lines: tuple[Line, ...]
    digest: str


def read_index(path: Path) -> Index:
    """Raises Rejection for a file that is no batch, AdapterError for one that cannot be read."""
    try:
        with path.open("rb") as file:
            index = _indexed(file)
    except OSError as error:
        raise AdapterError("batch_unreadable", f"{path} cannot be read: {error.strerror}.") from error
    if not index.lines:
        raise Rejection("batch_empty", "There is no line in the file.", "Write one question a line.")
    return index


def read_line(path: Path, line: Line) -> bytes:
    """One line as it stands."""
    try:
        with path.open("rb") as file:
            file.seek(line.place)
            return file.read(line.size)
    except OSError as error:
        raise AdapterError("batch_unreadable", f"{path} cannot be read: {error.strerror}.") from error


def _indexed(file: BinaryIO) -> Index:
    lines: list[Line] = []
    digest = hashlib.sha256()
    place = 0
    while text := file.readline(LINE_BYTES_MAX + 2):
        digest.update(text)
        if text.strip():
            lines.append(Line(len(lines), place, len(text)))
        place += len(text)
        _check(lines, text, place)
    return Index(tuple(lines), digest.hexdigest())


def _check(lines: list[Line], text: bytes, place: int) -> None:
    if len(text) > LINE_BYTES_MAX + 1 and not text.endswith(b"\n"):
        raise Rejection(
            "batch_line_too_large",
            f"Line {len(lines)} has more than {LINE_BYTES_MAX} bytes.",
            "Shorten it: a question is at most 1 MiB.",
        )
    if len(lines) > LINES_MAX:
        raise Rejection(
            "batch_too_long", f"A batch has at most {LINES_MAX} lines.", "Split the file into several."
        )
    if place > FILE_BYTES_MAX:
        raise Rejection(
            "batch_too_large", f"A batch has at most {FILE_BYTES_MAX} bytes.", "Split the file into several."
        )
