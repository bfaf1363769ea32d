"""Fill a file from HTTP, going on where an earlier try stopped."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import BinaryIO, Final

import httpx

from dicast.base.errors import AdapterError

Progress = Callable[[int, int], None]

CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 30.0  # a server that sends nothing for this long is taken for dead
IDLE_TRIES_MAX: Final = 3  # tries in a row that bring no byte, before giving up
TRIES_MAX: Final = 100  # tries in all: a server that gives a little each time must not hold us for ever
REDIRECTS_MAX: Final = 5
WHOLE, PARTIAL, BAD_RANGE = 200, 206, 416  # HTTP status
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class _BrokenOffError(Exception):
    """The connection ended before the file did: worth another try."""


def download(url: str, part: BinaryIO, size: int, progress: Progress) -> None:
    """Append to `part` until it holds `size` bytes.

    Raises AdapterError `download_failed` or `weights_wrong`; what came is kept.
    """
    idle, reason = 0, "no answer"
    timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
    with httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=REDIRECTS_MAX) as client:
        for _ in range(TRIES_MAX):
            before = part.seek(0, 2)
            if before == size:
                return
            try:
                _one_try(client, url, part, size, progress)
            except (_BrokenOffError, httpx.TransportError) as error:
                reason = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                reason = str(error) or type(error).__name__
                break
            idle = 0 if part.seek(0, 2) > before else idle + 1
            if idle == IDLE_TRIES_MAX:
                break
    if part.seek(0, 2) != size:
        message = f"Download from {url} stopped at {part.seek(0, 2)} of {size} bytes: {reason}."
        raise AdapterError(
            "download_failed", message, "Run it again to go on from there, or use --from FILE."
        )


def _one_try(client: httpx.Client, url: str, part: BinaryIO, size: int, progress: Progress) -> None:
    start = part.seek(0, 2)
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    with client.stream("GET", url, headers=headers) as response:
        start = _accepted_start(response, part, start, size)
        _copy(response, part, start, size, progress)


def _accepted_start(response: httpx.Response, part: BinaryIO, start: int, size: int) -> int:
    """Where the server's bytes begin; 0 empties the part, because the server ignored the range."""
    status = response.status_code
    if status == PARTIAL:
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found and int(found[1]) == start and found[2] in {"*", str(size)}:
            return start
        part.truncate(0)
        raise _BrokenOffError("the server answered with another range")
    if status == BAD_RANGE:
        part.truncate(0)
        raise _BrokenOffError("the server refused the range")
    if status in {408, 429} or status >= 500:
        raise _BrokenOffError(f"HTTP {status}")
    if status != WHOLE:
        raise AdapterError(
            "download_failed", f"{response.url} answered HTTP {status}.", "Try --from FILE or URL."
        )
    length = response.headers.get("Content-Length", str(size))
    if length != str(size):
        raise AdapterError("weights_wrong", f"{response.url} has {length} bytes; the weights have {size}.")
    part.truncate(0)
    return 0


def _copy(response: httpx.Response, part: BinaryIO, start: int, size: int, progress: Progress) -> None:
    done = start
    part.seek(done)
    try:
        for piece in response.iter_raw():
            done += len(piece)
            if done > size:
                part.truncate(start)
                raise AdapterError("weights_wrong", f"{response.url} sent more than {size} bytes.")
            part.write(piece)
            progress(done, size)
    finally:
        part.flush()
    if done < size:
        raise _BrokenOffError("the connection was closed")
