"""Structured log lines on standard error: text for people, or JSON; secrets are cut out by their shape."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TextIO

from dicast.addresses import without_user
from dicast.daemon.tellings import LogLine

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FIELD_CHARS_MAX = 2_000
"""A field of a log line: a stack trace fits, a prompt or a packet that slipped in is cut."""
LINES_KEPT_MAX = 1_000
"""The newest lines, for whoever looks at the node from elsewhere: at most 2 MB, mostly 200 kB."""
Plain = str | int | float | bool | None
_SECRET = re.compile(
    r"\b(nsec1|ncryptsec1)[02-9ac-hj-np-z]+|\bdicast-[A-Za-z0-9_\-]{40,}|(?i:(bearer\s+|sk-)[A-Za-z0-9_\-.]{8,})"
)


class Log:
    """Writes one line an event. `log.info("round_decided", request=…)`; fields are short and plain."""

    def __init__(
        self,
        level: str = "info",
        as_json: bool = False,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._threshold = LEVELS[level]
        self._as_json = as_json
        self._stream = stream
        self._clock = clock
        self.recent: deque[LogLine] = deque(maxlen=LINES_KEPT_MAX)
        """The newest lines, without secrets."""
        self.on_line: Callable[[LogLine], None] | None = None
        """Is handed every line as it is written; must not write lines itself."""

    def debug(self, event: str, **fields: object) -> None:
        """For those who look for a fault."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What a person running a node wants to see."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Something is not as it should be, and the node goes on."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Something failed."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        if LEVELS[level] < self._threshold:
            return
        stamp = self._clock()
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(stamp)) + f".{int(stamp * 1000) % 1000:03d}Z"
        plain = {name: _plain(value) for name, value in fields.items()}
        self._keep(LogLine(int(stamp * 1000), level, event, plain))
        if self._as_json:
            line = json.dumps({"at": when, "level": level, "event": event, **plain}, ensure_ascii=False)
        else:
            shown = " ".join(f"{name}={_quoted(value)}" for name, value in plain.items())
            line = f"{when} {level:<7} {event} {shown}".rstrip()
        with suppress(OSError, ValueError):  # a closed standard error must not stop a node
            print(line, file=self._stream or sys.stderr, flush=True)

    def _keep(self, line: LogLine) -> None:
        self.recent.append(line)
        if self.on_line is not None:
            self.on_line(line)


def without_secrets(text: str) -> str:
    """`text` without what looks like a secret key, a bearer token, or the user and password of an address."""
    return without_user(_SECRET.sub("[secret]", text))


def _plain(value: object) -> Plain:
    if value is None or isinstance(value, bool | int | float):
        return value
    text = without_secrets(str(value))
    return text if len(text) <= FIELD_CHARS_MAX else text[:FIELD_CHARS_MAX] + "…"


def _quoted(value: object) -> str:
    text = str(value)
    if not text.isprintable():
        return json.dumps(text)
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r'[\s"=]', text) else text
