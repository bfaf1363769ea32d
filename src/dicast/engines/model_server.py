"""One HTTP server that runs models: its address, its key, bounded replies, and its errors as ours."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.engines.answer import bad_answer, too_long
from dicast.engines.sse import LINE_BYTES_MAX
from dicast.protocol.outputs import StartInference

CONNECT_TIMEOUT_S: Final = 5.0
LIST_TIMEOUT_S: Final = 5.0
MODELS_MAX: Final = 4_096  # public gateways list some hundreds
BODY_BYTES_MAX: Final = 8 * 1024 * 1024  # the list of a public gateway is about 1 MB
CHARS_PER_TOKEN_MIN: Final = 3  # English has 4 to 5: an estimate that errs towards refusing
TOKENS_PER_MESSAGE: Final = 8  # role marks and separators of common chat templates
SEED_MASK: Final = 2**31 - 1  # some servers keep the seed in 32 bits, signed


class ModelServer:
    """The server at `base_url`; `headers` may hold the key, which is sent there and shown nowhere."""

    def __init__(self, engine: str, base_url: str, headers: Mapping[str, str], path: str = "") -> None:
        url = checked_url(base_url, path)
        self._engine = engine
        self._client = httpx.AsyncClient(
            base_url=url,
            headers={"Accept-Encoding": "identity", "Content-Type": "application/json"} | dict(headers),
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_S),
            trust_env=not _is_local(url),  # a proxy has no business between us and this machine
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self._client.base_url)

    @asynccontextmanager
    async def request(self, method: str, path: str, **options: Any) -> AsyncGenerator[httpx.Response]:
        """One request; foreign errors become ours. Leaving the block closes the connection."""
        try:
            async with self._client.stream(method, path, **options) as response:
                yield response
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            message = f"{self._engine} at {self.url} broke off or is not there: {reason}."
            raise AdapterError("engine_unreachable", message, "Is the server running?") from error

    async def bounded(self, response: httpx.Response) -> bytes:
        """The body, when it is not longer than one can be."""
        limit = BODY_BYTES_MAX if response.request.method == "GET" else LINE_BYTES_MAX
        data = b""
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > limit:
                raise bad_answer(self._engine, "more than an answer can need")
        return data

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def check_length(engine: str, job: StartInference, context_tokens: int) -> None:
    """For servers that cut a long prompt silently: refuse what might not fit. 0 tokens: not known."""
    if not context_tokens:
        return
    characters = sum(len(message.content) for message in job.messages)
    needed = characters // CHARS_PER_TOKEN_MIN + TOKENS_PER_MESSAGE * len(job.messages) + job.max_tokens
    if needed > context_tokens:
        raise too_long(engine, needed, context_tokens)


def read_key(file: Path | None = None, variable: str = "") -> str:
    """An API key out of a file or an environment variable; "" when neither is named."""
    if file is not None:
        try:
            key = file.expanduser().read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                "key_file", f"Cannot read the key file {file}.", "Check key_file."
            ) from error
    elif variable:
        key = os.environ.get(variable, "").strip()
    else:
        return ""
    if not key or not key.isascii() or not key.isprintable():
        where = file or f"${variable}"
        raise ConfigurationError(
            "key_missing", f"There is no usable API key in {where}.", "Put the key there."
        )
    return key


def checked_url(base_url: str, path: str = "") -> str:
    """With a closing slash, and with `path` where the address names none."""
    example = "For example http://127.0.0.1:8080/v1."
    try:
        parts = urlsplit(base_url)
        well_formed = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise ConfigurationError("engine_url", f"{base_url!r} is not an address.", example) from None
    if parts.username or parts.password:
        raise ConfigurationError(
            "engine_url", "An engine's address must not hold a password.", "Use key_file."
        )
    if not well_formed or parts.query or parts.fragment:
        raise ConfigurationError("engine_url", f"{base_url!r} is not an address.", example)
    return base_url.rstrip("/") + ("/" if parts.path.strip("/") else f"{path}/")


def _is_local(url: str) -> bool:
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}
