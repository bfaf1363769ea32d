"""Recorded beacon values: a file that another program appends to, one `{"round":N,"value":"hex"}` a line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.logs import Log
from dicast.protocol.inputs import BeaconSeen, Input

POLL_S = 0.5
"""How often the file is looked at: public beacons publish every three seconds or more."""
LINE_BYTES_MAX = 1024
"""A round number and at most 128 bytes of hex; a longer line is not a beacon's."""
FILE_BYTES_MAX = 64 * 1024 * 1024
"""Read whole by `dicast verify`: half a million values."""
BACKLOG_BYTES_MAX = 64 * 1024
"""What is read of a file that is there already: the newest few hundred values."""


class BeaconLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published value."""

    round: Annotated[int, msgspec.Meta(ge=1, le=2**53 - 1)]
    value: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{2}){1,128}\Z")]


def read_beacons(path: Path) -> dict[int, str]:
    """Every value in a recorded file, round -> hex; a line that is none is an error here, not skipped."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
        if len(data) > FILE_BYTES_MAX:
            raise ValueError("it is larger than 64 MiB")
        lines = [msgspec.json.decode(line, type=BeaconLine) for line in data.split(b"\n") if line.strip()]
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            "beacon_file_unreadable",
            f"{path} cannot be read as beacon values: {error}.",
            'A line looks like {"round":1,"value":"9f…"}.',
        ) from error
    return {line.round: line.value for line in lines}


class BeaconFile:
    """Follows the file from its newest values on; a line that is not a beacon's is logged and skipped."""

    def __init__(self, path: Path, log: Log) -> None:
        if not path.is_file():
            raise ConfigurationError(
                "beacon_file_missing",
                f"beacon_file: there is no file {path}.",
                'For example: beacon_file = "/var/lib/dicast/beacon.jsonl"',
            )
        self._path = path
        self._log = log
        self._offset = max(0, path.stat().st_size - BACKLOG_BYTES_MAX)
        self._skip_first = self._offset > 0

    def read_new(self) -> list[BeaconSeen]:
        """Values appended since the last call; a file that shrank is read anew. Its content never raises."""
        try:
            if self._path.stat().st_size < self._offset:
                self._offset, self._skip_first = 0, False
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read(BACKLOG_BYTES_MAX)
        except OSError as error:
            self._log.warning("beacon_file_unreadable", path=str(self._path), error=str(error))
            return []
        whole, newline, rest = data.rpartition(b"\n")
        if not newline:
            self._offset += len(data) if len(rest) >= BACKLOG_BYTES_MAX else 0
            return []
        self._offset += len(whole) + 1
        lines = whole.split(b"\n")[1 if self._skip_first else 0 :]
        self._skip_first = False
        return [seen for line in lines if (seen := self._parse(line)) is not None]

    async def follow(self, submit: Callable[[Input], None]) -> None:
        """Hand every new value to `submit`, until cancelled."""
        while True:
            for seen in self.read_new():
                submit(seen)
            await asyncio.sleep(POLL_S)

    def _parse(self, line: bytes) -> BeaconSeen | None:
        if not line.strip():
            return None
        try:
            if len(line) > LINE_BYTES_MAX:
                raise msgspec.DecodeError("the line is too long")
            beacon = msgspec.json.decode(line, type=BeaconLine)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            self._log.warning("beacon_line_skipped", path=str(self._path), error=str(error))
            return None
        return BeaconSeen(beacon.round, beacon.value)
