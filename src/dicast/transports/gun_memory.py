"""What a peer of GunDB remembers for those who ask: the latest value of each key, bounded."""

from __future__ import annotations

from dicast.transports.gun_frames import Put

KEYS_MAX = 1024  # the slots of a dozen busy nodes, or the announcements of a thousand
BYTES_MAX = 4 << 20


class GunMemory:
    """The oldest key makes room; a value with an earlier time than the one that is there is none."""

    def __init__(self) -> None:
        self._latest: dict[str, Put] = {}
        self._bytes = 0

    def keep(self, put: Put) -> None:
        """Remember a value."""
        old = self._latest.get(put.key)
        if old is not None and old.state > put.state:
            return
        self._drop(put.key)
        self._latest[put.key] = put
        self._bytes += _size(put)
        while len(self._latest) > KEYS_MAX or self._bytes > BYTES_MAX:
            self._drop(next(iter(self._latest)))

    def under(self, key: str) -> list[Put]:
        """What is under a key; under all for ""."""
        if not key:
            return list(self._latest.values())
        return [self._latest[key]] if key in self._latest else []

    def _drop(self, key: str) -> None:
        old = self._latest.pop(key, None)
        self._bytes -= 0 if old is None else _size(old)


def _size(put: Put) -> int:
    return len(put.key) + len(put.value)
