"""A table for `str.translate` that is worked out as characters are met."""

from __future__ import annotations

from collections.abc import Callable

CHARACTERS_KEPT_MAX = 8_192
"""More characters than any one language but Chinese uses: about 1 MB."""


class CharacterMap(dict[int, str]):
    """Maps each character by a pure function, and remembers what it gave."""

    def __init__(self, function: Callable[[str], str]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, code: int) -> str:
        mapped = self._function(chr(code))
        if len(self) < CHARACTERS_KEPT_MAX:
            self[code] = mapped
        return mapped
