"""Rounds, log and usage as files: a line a record, JSONL or CSV, streamed page by page."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from dicast.daemon.history import PAGE_MAX, Wanted
from dicast.gateway.native.key_routes import own_key, usage_day
from dicast.gateway.native.queries import ExportQuery, read_query
from dicast.gateway.parts import Parts

LOG_LINES_MAX = 1_000
"""As many as the node keeps."""
DAYS_MAX = 400
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet run a cell instead of showing it (OWASP, CSV injection)."""
MEDIA = {"jsonl": "application/jsonl", "csv": "text/csv; charset=utf-8"}
Records = AsyncIterator[Sequence[msgspec.Struct]]


class ExportRoutes:
    """Everything there is, to take away."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def rounds(self, request: Request) -> Response:
        """Every round."""
        return _file(request, "rounds", self._rounds())

    async def logs(self, request: Request) -> Response:
        """The newest lines of the node's log."""
        lines = await self._parts.client.logs(LOG_LINES_MAX)
        return _file(request, "logs", _at_once(lines))

    async def usage(self, request: Request) -> Response:
        """What was spent."""
        spent = self._parts.asker.ledger.spent(DAYS_MAX, own_key(request))
        return _file(request, "usage", _at_once(tuple(map(usage_day, spent))))

    async def _rounds(self) -> AsyncGenerator[Sequence[msgspec.Struct]]:
        cursor = ""
        while True:
            page = await self._parts.client.history(Wanted(limit=PAGE_MAX, before=cursor))
            yield page.items
            cursor = page.next_cursor
            if not cursor:
                return


def csv_cell(value: Any) -> str:
    """A value as a cell that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _file(request: Request, name: str, records: Records) -> Response:
    query = read_query(request.query_params, ExportQuery)
    lines = _csv(records) if query.format == "csv" else _jsonl(records)
    headers = {
        "content-disposition": f'attachment; filename="dicast-{name}.{query.format}"',
        "cache-control": "no-store",
    }
    return StreamingResponse(lines, headers=headers, media_type=MEDIA[query.format])


async def _at_once(records: Sequence[msgspec.Struct]) -> AsyncGenerator[Sequence[msgspec.Struct]]:
    yield records


async def _jsonl(pages: Records) -> AsyncGenerator[bytes]:
    async for page in pages:
        yield b"".join(msgspec.json.encode(record) + b"\n" for record in page)


async def _csv(pages: Records) -> AsyncGenerator[bytes]:
    is_first = True
    async for page in pages:
        rows: list[Iterable[str]] = []
        if is_first and page:
            rows.append(page[0].__struct_fields__)
            is_first = False
        rows += [map(csv_cell, msgspec.to_builtins(record).values()) for record in page]
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        yield text.getvalue().encode()
