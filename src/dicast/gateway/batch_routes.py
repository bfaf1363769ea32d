"""`/v1/batches`: OpenAI's batches over the nodes of the network."""

from __future__ import annotations

import secrets
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.batch.book import OPEN_STATES, Book
from dicast.gateway.batches import WINDOW_S, BatchRecord
from dicast.gateway.bodies import read_body
from dicast.gateway.errors import GatewayError, invalid, unsupported
from dicast.gateway.file_routes import (
    BLOB,
    adopted,
    batches_of,
    decoded_metadata,
    listed,
    owner_of,
    page_of,
    seen_by,
)
from dicast.gateway.parts import Parts
from dicast.gateway.replies import json_response

OPEN_MAX = 64
"""Batches that wait or run: each may hold 50,000 lines."""
PAGE_DEFAULT = 20
PAGE_MAX = 100
TIMES = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


class BatchRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body."""

    input_file_id: str
    endpoint: str
    completion_window: str
    metadata: Any = None
    output_expires_after: Any = None


class BatchRoutes:
    """Answers `/v1/batches`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def create(self, request: Request) -> Response:
        """`POST /v1/batches`."""
        body = await read_body(request, BatchRequest, self._parts.budgets.body_s)
        batches, owner = batches_of(self._parts), owner_of(request)
        if body.input_file_id.startswith(BLOB):
            file_id = await adopted(self._parts, body.input_file_id, owner)
            body = msgspec.structs.replace(body, input_file_id=file_id)
        found = batches.book.file(body.input_file_id)
        if found is None or seen_by(request) not in (None, found[0]):
            raise GatewayError(
                "file_missing", f"There is no file {body.input_file_id[:64]!r}.", field="input_file_id"
            )
        if found[2] != "batch":
            raise invalid("input_file_id", "The file was not uploaded for a batch.")
        if body.endpoint not in batches.endpoints:
            raise unsupported("endpoint", f"There are {', '.join(batches.endpoints)}.")
        if body.completion_window != "24h":
            raise invalid("completion_window", "There is only `24h`.")
        if body.output_expires_after is not None:
            raise unsupported("output_expires_after", "Files stay until they are deleted.")
        if len(batches.book.open_jobs()) >= OPEN_MAX:
            raise GatewayError("overloaded", f"{OPEN_MAX} batches wait already.")
        now = int(time.time())
        record = BatchRecord(
            id="batch_" + secrets.token_hex(12),
            endpoint=body.endpoint,
            input_file_id=body.input_file_id,
            created_at=now,
            expires_at=now + WINDOW_S,
            metadata=decoded_metadata(body.metadata),
        )
        await batches.add(record, owner)
        return json_response(written(batches.book, "validating", record))

    async def every(self, request: Request) -> Response:
        """`GET /v1/batches`, newest first."""
        batches, page = batches_of(self._parts), page_of(request, PAGE_DEFAULT, PAGE_MAX)
        ids = batches.book.jobs(seen_by(request), page.after, page.limit + 1)
        found = [one for one in map(batches.find, ids) if one is not None]
        return json_response(
            listed([written(batches.book, state, record) for state, _, record in found], page.limit)
        )

    async def one(self, request: Request) -> Response:
        """`GET /v1/batches/{batch_id}`."""
        state, record = self._found(request)
        return json_response(written(batches_of(self._parts).book, state, record))

    async def cancel(self, request: Request) -> Response:
        """`POST /v1/batches/{batch_id}/cancel`."""
        state, record = self._found(request)
        if state not in OPEN_STATES:
            raise invalid("batch_id", f"The batch is {state} already.")
        await batches_of(self._parts).cancel(record.id)
        return await self.one(request)

    def _found(self, request: Request) -> tuple[str, BatchRecord]:
        batch_id, owner = request.path_params["batch_id"], seen_by(request)
        found = batches_of(self._parts).find(batch_id)
        if found is None or owner not in (None, found[1]):
            raise GatewayError("batch_missing", f"There is no batch {batch_id[:64]!r}.", field="batch_id")
        return found[0], found[2]


def written(book: Book, state: str, record: BatchRecord) -> dict[str, Any]:
    """A batch as OpenAI writes it."""
    counts = book.counts(record.id)
    return {
        "id": record.id,
        "object": "batch",
        "endpoint": record.endpoint,
        "errors": {"object": "list", "data": record.errors} if record.errors else None,
        "input_file_id": record.input_file_id,
        "completion_window": "24h",
        "status": state,
        "output_file_id": record.output_file_id,
        "error_file_id": record.error_file_id,
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        **{name: record.times.get(name) for name in TIMES},
        "request_counts": {"total": counts.total, "completed": counts.done, "failed": counts.failed},
        "metadata": record.metadata,
    }
