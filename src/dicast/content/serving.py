"""Blobs for other nodes: what a node answers to plain requests where its mesh listens."""

from __future__ import annotations

import asyncio
import os
import re
from http import HTTPStatus
from pathlib import Path

from dicast.base.errors import AdapterError
from dicast.content.store import MANIFEST, BlobStore

PART_BYTES_MAX = 512 * 1024  # of one answer: it fits the ten seconds of an opening on a slow line
AT_ONCE_MAX = 8  # answers being made; more would read the disk to pieces
_PLACE = re.compile(r"/blob/([0-9a-f]{64})(\.manifest)?", re.ASCII)
_RANGE = re.compile(r"bytes=(\d{1,15})-(\d{1,15})?", re.ASCII)

Page = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an answer."""


class BlobPages:
    """Answers for whole blobs of a store. Never raises, whatever is asked."""

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self._at_once = 0

    async def answer(self, place: str, asked_range: str) -> Page | None:
        """To a request whose path, behind the topic, is `place`; None when it is not about blobs."""
        found = _PLACE.fullmatch(place)
        if found is None:
            return None
        if self._at_once >= AT_ONCE_MAX:
            return _refused(HTTPStatus.SERVICE_UNAVAILABLE, "Busy.\n")
        self._at_once += 1
        try:
            return await asyncio.to_thread(self._page, found[1], found[2] == MANIFEST, asked_range)
        except (AdapterError, OSError):
            return _refused(HTTPStatus.INTERNAL_SERVER_ERROR, "The disk failed.\n")
        finally:
            self._at_once -= 1

    def _page(self, sha256: str, wants_manifest: bool, asked_range: str) -> Page:
        path = self._store.path(sha256)
        if path is None:
            return _refused(HTTPStatus.NOT_FOUND, "No such blob here.\n")
        if wants_manifest:
            manifest = self._store.manifest(sha256)
            return HTTPStatus.OK, _headers(), manifest.encode() if manifest else b""
        size = path.stat().st_size
        found = _RANGE.fullmatch(asked_range)
        start = int(found[1]) if found else 0
        end = min(int(found[2]) if found and found[2] else size - 1, size - 1, start + PART_BYTES_MAX - 1)
        if size == 0 and not start:
            return HTTPStatus.OK, _headers(), b""
        if start > end:
            headers = _headers() | {"Content-Range": f"bytes */{size}"}
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers, b""
        headers = _headers() | {"Content-Range": f"bytes {start}-{end}/{size}"}
        return HTTPStatus.PARTIAL_CONTENT, headers, _part(path, start, end + 1 - start)


def _part(path: Path, start: int, length: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), length, start)


def _refused(status: HTTPStatus, text: str) -> Page:
    return status, _headers(), text.encode()


def _headers() -> dict[str, str]:
    return {"Content-Type": "application/octet-stream", "Connection": "close"}
