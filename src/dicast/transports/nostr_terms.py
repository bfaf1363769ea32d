"""What a relay says of its own limits (NIP-11): read where it is told, never relied upon."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit, urlunsplit

import msgspec

from dicast.transports.nostr_socket import is_on_this_machine

if TYPE_CHECKING:
    import httpx

DOCUMENT_BYTES_MAX = 64 * 1024  # real ones have one or two kB
ASK_SECONDS_MAX = 5.0  # the connection does not wait for it
TOLD_AGAIN_SECONDS = 3600.0  # limits change with a relay's software, not by the minute
MESSAGE_BYTES_MIN = (
    4096  # below this a relay takes no packet at all: a mistake, and then it is as good as mute
)
SUBSCRIPTIONS_MIN = 1
OK = 200
HEADERS = {
    "Accept": "application/nostr+json",
    "Accept-Encoding": "identity",
}  # nothing swells while it is read
STAMP_SECONDS_MAX = 10 * 365 * 86_400


class Terms(msgspec.Struct, frozen=True):
    """A relay's limits; None where it names none. Ages are in seconds beside the relay's clock."""

    message_bytes_max: int | None = None
    subscriptions_max: int | None = None
    is_auth_required: bool = False
    is_payment_required: bool = False
    age_max: int | None = None
    future_max: int | None = None
    date: str = ""
    """The answer's `Date`, for whoever compares clocks."""

    def takes(self, frame_bytes: int, created_at: int, now: int) -> bool:
        """Whether a packet has a chance: it is not too long, too old or too far ahead."""
        if self.message_bytes_max is not None and frame_bytes > self.message_bytes_max:
            return False
        if self.age_max is not None and created_at < now - self.age_max:
            return False
        return self.future_max is None or created_at <= now + self.future_max

    def may_open(self, subscriptions: int) -> bool:
        """Whether so many subscriptions may be open at once."""
        return self.subscriptions_max is None or subscriptions <= self.subscriptions_max


UNTOLD = Terms()


def parse_terms(document: bytes, date: str = "") -> Terms:
    """The limits in a relay's document; what is missing or makes no sense is no limit. Never raises."""
    try:
        told = _DOCUMENT.decode(document[: DOCUMENT_BYTES_MAX + 1])
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        return Terms(date=date)
    found = told.get("limitation")
    limits = cast("dict[str, object]", found) if isinstance(found, dict) else {}
    return Terms(
        message_bytes_max=_number(limits.get("max_message_length"), MESSAGE_BYTES_MIN, 1 << 31),
        subscriptions_max=_number(limits.get("max_subscriptions"), SUBSCRIPTIONS_MIN, 1 << 31),
        is_auth_required=limits.get("auth_required") is True,
        is_payment_required=limits.get("payment_required") is True,
        age_max=_number(limits.get("created_at_lower_limit"), 1, STAMP_SECONDS_MAX),
        future_max=_number(limits.get("created_at_upper_limit"), 1, STAMP_SECONDS_MAX),
        date=date,
    )


async def ask_terms(url: str) -> Terms | None:
    """Ask a ws:// or wss:// relay for its limits; None when it does not say."""
    import httpx  # loaded only where there is a relay

    parts = urlsplit(url)
    address = urlunsplit(parts._replace(scheme="https" if parts.scheme == "wss" else "http"))
    has_tls = parts.scheme == "wss"  # reading the authorities takes 30 ms, for nothing where there is no TLS
    proxies = not is_on_this_machine(url)
    try:
        async with (
            httpx.AsyncClient(timeout=ASK_SECONDS_MAX, trust_env=proxies, verify=has_tls) as client,
            client.stream("GET", address, headers=HEADERS) as answer,
        ):
            document = await _read(answer) if answer.status_code == OK else None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError):
        return None
    return None if document is None else parse_terms(document, answer.headers.get("Date", ""))


async def _read(answer: httpx.Response) -> bytes | None:
    """The whole document, or None when it is too long."""
    document = b""
    async for part in answer.aiter_raw(DOCUMENT_BYTES_MAX):
        document += part
        if len(document) > DOCUMENT_BYTES_MAX:
            return None
    return document


def _number(value: object, least: int, most: int) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if least <= value <= most else None


_DOCUMENT = msgspec.json.Decoder(dict[str, object])
