"""A provisional text as its events make it: what somebody who reads along has before the verdict."""

from __future__ import annotations

from typing import NamedTuple

from dicast.daemon.api import ReportsDropped
from dicast.daemon.tellings import Told
from dicast.protocol.outputs import RoundOpened, StreamRestarted, Token


class Piece(NamedTuple):
    """What to show next; `restarted`: what was shown before it is void."""

    text: str
    restarted: bool = False


class Provisional:
    """The text so far and who says it. A text with a hole is told no further."""

    def __init__(self) -> None:
        self.text = ""
        self.member = ""
        self._request_id = ""
        self._is_void = False

    def hear(self, event: Told | ReportsDropped) -> Piece | None:
        """The piece that an event adds, if any."""
        match event:
            case RoundOpened():
                self._is_void = bool(self.text)
                self._request_id = event.request_id
            case StreamRestarted() if event.request_id == self._request_id:
                self._is_void = bool(self.text)
            case Token() if event.request_id == self._request_id:
                return self._add(event)
            case _:
                pass
        return None

    def _add(self, token: Token) -> Piece | None:
        restarted, known = self._is_void, "" if self._is_void else self.text
        if token.offset != len(known):
            return None  # an event before it was lost on its way here
        self.text, self.member, self._is_void = known + token.text, token.member, False
        return Piece(token.text, restarted)
