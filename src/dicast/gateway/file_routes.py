"""`/v1/files`: what batches read and write. A file belongs to the key that brought it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shutil
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, NamedTuple

import anyio.to_thread
import msgspec
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response

from dicast.base.errors import DicastError
from dicast.batch.book import Book
from dicast.batch.input import FILE_BYTES_MAX
from dicast.content.manifest import is_hash
from dicast.gateway.batches import Batches, put_file
from dicast.gateway.bodies import declared_bytes
from dicast.gateway.errors import GatewayError, invalid, unsupported
from dicast.gateway.keys import Scope
from dicast.gateway.parts import Parts, caller_of, limit_of
from dicast.gateway.replies import ClientGoneError, json_response
from dicast.gateway.spending import NOBODY

OWNER_BYTES_MAX = 2 * 1024**3
"""Of one key: ten files of the largest size, and what is answered to them."""
ALL_BYTES_MAX = 10 * 1024**3
"""Of all: a disk commonly has as much to spare."""
FILES_MAX = 1
FIELDS_MAX = 4
"""`purpose`, and what future clients may add, which is refused by name."""
ENVELOPE_BYTES = 16 * 1024
"""What multipart writes around a file."""
PIECE_TIMEOUT_S = 30.0
"""Between two pieces of an upload; whoever is slower holds a connection for nothing."""
UPLOAD_TIMEOUT_S = 1_800.0
"""200 MB in half an hour are 0.9 Mbit/s."""
BLOB = "sha256:"
"""Before the hash of a file that is not here."""
BLOB_TIMEOUT_S = 60.0
"""To fetch a file that is named by its hash; what came stays, and the next try goes on from there."""
UPLOADS_MAX = 4
"""At a time: each may take `FILE_BYTES_MAX` of the disk twice over."""
PAGE_MAX = 10_000
PAGE_DEFAULT = 10_000
NAME_CHARS_MAX = 256


class Page(NamedTuple):
    """Which part of a list is wanted."""

    after: str
    limit: int


class FileRoutes:
    """Answers `/v1/files`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._uploading = 0
        # What is wrong with an upload is told to whoever sent it, and not by its parser on standard error.
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)

    async def upload(self, request: Request) -> Response:
        """`POST /v1/files`."""
        batches, owner = batches_of(self._parts), owner_of(request)
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise GatewayError("not_json", "Send the file as multipart/form-data.")
        if declared_bytes(request) > FILE_BYTES_MAX + ENVELOPE_BYTES:
            raise _too_large()
        if self._uploading >= UPLOADS_MAX:
            raise GatewayError("overloaded", f"{UPLOADS_MAX} files are being uploaded already.")
        self._uploading += 1
        try:
            return await self._kept(request, batches, owner)
        finally:
            self._uploading -= 1

    async def every(self, request: Request) -> Response:
        """`GET /v1/files`, newest first."""
        book, page = batches_of(self._parts).book, page_of(request, PAGE_DEFAULT, PAGE_MAX)
        purpose = request.query_params.get("purpose", "")
        if request.query_params.get("order", "desc") != "desc":
            raise unsupported("order", "The newest come first.")
        ids = book.files(seen_by(request), purpose, page.after, page.limit + 1)
        return json_response(listed([_written(book, one) for one in ids], page.limit))

    async def one(self, request: Request) -> Response:
        """`GET /v1/files/{file_id}`."""
        file_id = self._found(request)
        return json_response(_written(batches_of(self._parts).book, file_id))

    async def content(self, request: Request) -> Response:
        """`GET /v1/files/{file_id}/content`."""
        path = batches_of(self._parts).path_of(self._found(request))
        if not path.exists():
            raise GatewayError("file_missing", "The file is gone from the disk.")
        return FileResponse(path, media_type="application/jsonl")

    async def delete(self, request: Request) -> Response:
        """`DELETE /v1/files/{file_id}`; not while a batch reads it."""
        batches, file_id = batches_of(self._parts), self._found(request)
        for batch_id in batches.book.open_jobs():
            found = batches.find(batch_id)
            if found is not None and found[2].input_file_id == file_id:
                raise invalid("file_id", f"{batch_id} still reads it; cancel that first.")
        await batches.book.write(("DELETE FROM file WHERE id = ?", (file_id,)))
        batches.path_of(file_id).unlink(missing_ok=True)
        return json_response({"id": file_id, "object": "file", "deleted": True})

    def _found(self, request: Request) -> str:
        file_id, owner = request.path_params["file_id"], seen_by(request)
        found = batches_of(self._parts).book.file(file_id)
        if found is None or owner not in (None, found[0]):
            raise GatewayError("file_missing", f"There is no file {file_id[:64]!r}.", field="file_id")
        return file_id

    async def _kept(self, request: Request, batches: Batches, owner: str) -> Response:
        parser = MultiPartParser(
            request.headers, _bounded(request), max_files=FILES_MAX, max_fields=FIELDS_MAX
        )
        try:
            async with asyncio.timeout(UPLOAD_TIMEOUT_S):
                form = await parser.parse()
        except TimeoutError as error:
            raise GatewayError("body_too_slow", "The file came too slowly.") from error
        except (MultiPartException, KeyError, UnicodeDecodeError, AttributeError) as error:
            why = str(error).rstrip(".")
            raise GatewayError("invalid_request", f"The upload is malformed: {why}.") from error
        except ClientDisconnect as error:
            raise ClientGoneError from error
        try:
            given = dict(form)
            file, purpose = given.pop("file", None), given.pop("purpose", None)
            if not isinstance(file, UploadFile):
                raise invalid("file", "is missing.")
            if purpose != "batch":
                raise invalid("purpose", "There is only `batch`.")
            if given:
                raise unsupported(str(next(iter(given))))
            return await _stored(file, batches, owner)
        finally:
            await form.close()


def batches_of(parts: Parts) -> Batches:
    """Where batches are kept."""
    if parts.batches is None:
        raise GatewayError("not_found", "This gateway keeps no batches.")
    return parts.batches


def owner_of(request: Request) -> str:
    """Whose a new file or batch is."""
    record = caller_of(request).record
    return NOBODY if record is None else record.id


def seen_by(request: Request) -> str | None:
    """Whose files and batches may be seen; None: everybody's, for keys that look after the gateway."""
    return None if caller_of(request).is_allowed(Scope.ADMIN) else owner_of(request)


def page_of(request: Request, usual: int, most: int) -> Page:
    """`after` and `limit` of a list."""
    limit = limit_of(request, usual, most)
    return Page(request.query_params.get("after", "")[:NAME_CHARS_MAX], limit)


def listed(entries: list[dict[str, Any]], limit: int) -> dict[str, Any]:
    """A page as OpenAI writes it; one entry more than `limit` says that there are more."""
    shown = entries[:limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(entries) > limit,
    }


async def _bounded(request: Request) -> AsyncGenerator[bytes]:
    """The body in pieces; raises GatewayError when it is too large or too slow."""
    size = 0
    pieces = request.stream()
    while True:
        try:
            async with asyncio.timeout(PIECE_TIMEOUT_S):
                piece = await anext(pieces, None)
        except TimeoutError as error:
            raise GatewayError("body_too_slow", f"Nothing came for {PIECE_TIMEOUT_S:g} s.") from error
        if piece is None:
            return
        size += len(piece)
        if size > FILE_BYTES_MAX + ENVELOPE_BYTES:
            raise _too_large()
        yield piece


async def adopted(parts: Parts, name: str, owner: str) -> str:
    """A blob of the network as a file for batches: its id. Raises GatewayError."""
    sha256 = name.removeprefix(BLOB)
    if not is_hash(sha256):  # a magnet link would name hosts to knock at, and lift the bound on the size
        raise invalid("input_file_id", f"has 64 lower-case hex digits after `{BLOB}`.")
    if parts.blob is None:
        raise GatewayError("file_missing", "This gateway keeps no blobs.", field="input_file_id")
    try:
        async with asyncio.timeout(BLOB_TIMEOUT_S):
            path = await parts.blob(sha256)
    except (DicastError, TimeoutError) as error:
        why = (
            f"{error.message} {error.next_step}" if isinstance(error, DicastError) else "It came too slowly."
        )
        message = f"{name[:80]!r} could not be fetched: {why.strip()}"
        raise GatewayError("file_missing", message, field="input_file_id") from error
    batches, file_id = batches_of(parts), "file-" + secrets.token_hex(12)
    size = path.stat().st_size
    _check_room(batches.book, owner, size)
    await anyio.to_thread.run_sync(_copy_blob, path, batches.path_of(file_id))
    await batches.book.write(put_file(file_id, owner, (f"{path.name[:16]}.jsonl", "batch", size)))
    return file_id


def _too_large() -> GatewayError:
    return GatewayError("body_too_large", f"A file has at most {FILE_BYTES_MAX} bytes.")


def _check_room(book: Book, owner: str, size: int) -> None:
    if size > FILE_BYTES_MAX:
        raise _too_large()
    if book.file_bytes(owner) + size > OWNER_BYTES_MAX or book.file_bytes() + size > ALL_BYTES_MAX:
        raise GatewayError("storage_full", "There is no room for another file. Delete some first.")


async def _stored(file: UploadFile, batches: Batches, owner: str) -> Response:
    """The file, durable under a name of ours."""
    size = file.size or 0
    book = batches.book
    _check_room(book, owner, size)
    file_id = "file-" + secrets.token_hex(12)
    name = "".join(char for char in file.filename or "" if char.isprintable())[:NAME_CHARS_MAX]
    await anyio.to_thread.run_sync(_copy, file, batches.path_of(file_id))
    await book.write(put_file(file_id, owner, (name or "batch.jsonl", "batch", size)))
    return json_response(_written(book, file_id))


def _copy(file: UploadFile, path: Path) -> None:
    temporary = path.with_suffix(".part")
    file.file.seek(0)
    with temporary.open("wb") as kept:
        shutil.copyfileobj(file.file, kept)
    temporary.chmod(0o600)
    temporary.replace(path)


def _copy_blob(path: Path, file: Path) -> None:
    temporary = file.with_suffix(".part")
    shutil.copyfile(path, temporary)
    temporary.chmod(0o600)
    temporary.replace(file)


def _written(book: Book, file_id: str) -> dict[str, Any]:
    _, name, purpose, size, made = book.file(file_id) or ("", "", "batch", 0, int(time.time()))
    return {
        "id": file_id,
        "object": "file",
        "bytes": size,
        "created_at": made,
        "filename": name,
        "purpose": purpose,
        "status": "processed",
        "expires_at": None,
    }


def decoded_metadata(value: Any) -> dict[str, str] | None:
    """`metadata` as OpenAI bounds it: 16 pairs of short texts."""
    try:
        pairs = msgspec.convert(value, dict[str, str] | None)
    except msgspec.ValidationError as error:
        raise invalid("metadata", "is an object of texts.") from error
    if pairs and (len(pairs) > 16 or any(len(k) > 64 or len(v) > 512 for k, v in pairs.items())):
        raise invalid("metadata", "has at most 16 pairs of 64 and 512 characters.")
    return pairs
