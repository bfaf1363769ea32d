"""API keys: made here, stored as hashes in the state folder (0600), read again whenever the file changes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from dicast.base.errors import AdapterError, ConfigurationError, Rejection

KEY_PREFIX = "dicast-"
"""Whatever does not begin so is no key of ours."""
KEYS_MAX = 10_000
"""As many fit a file of 3 MB, which is read in a few milliseconds when it changed."""
KEYS_BYTES_MAX = 16 * 1024 * 1024
RATE_DEFAULT = 600
"""Requests a minute: ten a second outrun what one person's programs ask."""
RATE_MAX = 1_000_000
NAME_CHARS_MAX = 64
SPEND_MAX = 2**53 - 1
"""What every reader of JSON can count to."""


class Scope(StrEnum):
    """What a key may do: ask, look, or look after the gateway."""

    INFER = "infer"
    READ = "read"
    ADMIN = "admin"


class Limits(msgspec.Struct, frozen=True):
    """What a key may do and spend; None is without limit."""

    requests_per_minute: int = RATE_DEFAULT
    tokens_per_day: int | None = None
    rounds_per_day: int | None = None


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One key as it is stored: `digest` is the SHA-256 of the key, whose 256 bits are random."""

    id: str
    name: str
    digest: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    scopes: tuple[Scope, ...]
    rate_per_minute: Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX)] = RATE_DEFAULT
    created_unix_s: int = 0
    tokens_per_day: Annotated[int, msgspec.Meta(ge=1, le=SPEND_MAX)] | None = None
    rounds_per_day: Annotated[int, msgspec.Meta(ge=1, le=SPEND_MAX)] | None = None


class NewKey(NamedTuple):
    """A key, which is nowhere else, and what is stored of it."""

    secret: str
    record: KeyRecord


class KeyFile:
    """The keys of one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / "gateway-keys.json"
        self._seen: tuple[int, int, int] | None = None
        self._by_digest: dict[str, KeyRecord] = {}

    def create(self, name: str, scopes: tuple[Scope, ...], limits: Limits, now_unix_s: int) -> NewKey:
        """Make and store a key; the answer is the only copy of it."""
        _check_key(name, limits)
        key = KEY_PREFIX + secrets.token_urlsafe(32)
        with self._locked():
            records = self._read()
            if len(records) >= KEYS_MAX:
                raise Rejection("key_limit", f"There are {KEYS_MAX} keys already.", "Revoke one.")
            record = KeyRecord(
                id=secrets.token_hex(4),
                name=name,
                digest=_digest(key),
                scopes=tuple(dict.fromkeys(scopes)) or (Scope.INFER,),
                rate_per_minute=limits.requests_per_minute,
                created_unix_s=now_unix_s,
                tokens_per_day=limits.tokens_per_day,
                rounds_per_day=limits.rounds_per_day,
            )
            self._write((*records, record))
        return NewKey(key, record)

    def revoke(self, name: str) -> tuple[KeyRecord, ...]:
        """Forget the key of this id, else those of this name; raises ConfigurationError: there is none."""
        with self._locked():
            records = self._read()
            gone = tuple(record for record in records if record.id == name)
            gone = gone or tuple(record for record in records if record.name == name)
            if not gone:
                raise ConfigurationError(
                    "key_missing",
                    f"No key is called {name[:NAME_CHARS_MAX]!r}.",
                    "`dicast keys list` has them.",
                )
            self._write(tuple(record for record in records if record not in gone))
        return gone

    def records(self) -> tuple[KeyRecord, ...]:
        """Every key."""
        self._refresh()
        return tuple(self._by_digest.values())

    def find(self, key: str) -> KeyRecord | None:
        """The record of a key, as the file says now."""
        self._refresh()
        return self._by_digest.get(_digest(key))

    def _refresh(self) -> None:
        try:
            state = self._path.stat()
        except OSError:
            self._seen, self._by_digest = None, {}
            return
        seen = (state.st_mtime_ns, state.st_size, state.st_ino)
        if seen != self._seen:
            self._by_digest = {record.digest: record for record in self._read()}
            self._seen = seen

    def _read(self) -> tuple[KeyRecord, ...]:
        try:
            with self._path.open("rb") as file:
                content = file.read(KEYS_BYTES_MAX)
            return msgspec.json.decode(content, type=tuple[KeyRecord, ...])
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                "keys_unreadable",
                f"{self._path} cannot be read: {error}.",
                "Move it away and make new keys: `dicast keys create NAME`.",
            ) from error

    def _write(self, records: tuple[KeyRecord, ...]) -> None:
        """Replace the file at once; it is never, not even for a moment, open to others."""
        temporary = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.encode(records))
            temporary.replace(self._path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise AdapterError(
                "keys_unwritable", f"{self._path} cannot be written: {error.strerror}.", "Is the disk full?"
            ) from error

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Two commands at a time do not lose each other's keys."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _check_key(name: str, limits: Limits) -> None:
    if not 0 < len(name) <= NAME_CHARS_MAX or not name.isprintable():
        raise Rejection(
            "key_name", f"A key's name has 1 to {NAME_CHARS_MAX} printable characters.", 'E.g. "laptop".'
        )
    for word, value, most in (
        ("requests a minute", limits.requests_per_minute, RATE_MAX),
        ("tokens a day", limits.tokens_per_day, SPEND_MAX),
        ("rounds a day", limits.rounds_per_day, SPEND_MAX),
    ):
        if value is not None and not 1 <= value <= most:
            raise Rejection("key_rate", f"{word}: {value} is outside 1…{most}.", "E.g. 600.")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
