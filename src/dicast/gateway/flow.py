"""What a client reads before the verdict, and what the verdict makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from starlette.requests import Request

from dicast.client import AskKeywords, Event
from dicast.daemon.provisional import Piece, Provisional
from dicast.gateway.asking import Agreed, Wanted
from dicast.gateway.errors import GatewayError
from dicast.gateway.frames import FrameFields, frame_of_headers, waits_for_verdict
from dicast.gateway.json_format import JsonForm
from dicast.protocol.outputs import Token

RESTARTED = "\n\n[Another node answers; what stands above is void.]\n\n"
CORRECTED = "\n\n[The network did not agree with what stands above. It agreed on:]\n\n"
"""For clients that only put pieces together: what was sent cannot be taken back, so it is said in words."""
FORMS = ("labels", "exact", "fuzzy", "schema")
"""What asks for an answer of a form: half of it is of no use."""


class Ending(StrEnum):
    """What the verdict says of the text that was shown."""

    AGREED = "agreed"
    """It is the agreed answer, or how that begins."""
    SUPPORTED = "supported"
    """It is one of the answers that agree; the agreed wording is another's."""
    CORRECTED = "corrected"
    """The network did not agree with it."""


class Settled(NamedTuple):
    """The text that is still to be told, and the `dicast` field of the end."""

    rest: str
    field: dict[str, Any]


class Telling(Protocol):
    """How a dialect streams one answer."""

    waiting: bytes

    def provisional(self, request_id: str, piece: Piece) -> Iterable[bytes]:
        """A piece before the verdict."""
        ...

    def agreed(self, agreed: Agreed, settled: Settled) -> Iterable[bytes]:
        """What is left to tell, and the end. Raises GatewayError."""
        ...

    def failed(self, error: GatewayError) -> Iterable[bytes]:
        """There is no answer."""
        ...


class Flow:
    """The provisional text of one question, from its events."""

    def __init__(self) -> None:
        self._provisional = Provisional()
        self._waiting: list[Piece] = []
        self.news = asyncio.Event()
        self.request_id = ""
        """Of the round in which the first piece came."""

    def hear(self, event: Event) -> None:
        """An event of the question."""
        piece = self._provisional.hear(event)
        if piece is None or not isinstance(event, Token):
            return
        self.request_id = self.request_id or event.request_id
        if self._waiting and not piece.restarted:
            last = self._waiting.pop()
            piece = Piece(last.text + piece.text, last.restarted)
        self._waiting.append(piece)
        self.news.set()

    def take(self) -> list[Piece]:
        """What came since the last time."""
        taken, self._waiting = self._waiting, []
        self.news.clear()
        return taken

    def settled(self, agreed: Agreed) -> Settled:
        """What the verdict makes of what was shown."""
        shown = self._provisional.text
        if not shown:
            return Settled(agreed.text, agreed.field)
        own = agreed.core.get(self._provisional.member, "")
        if agreed.text.startswith(shown):
            return Settled(agreed.text[len(shown) :], {**agreed.field, "stream": Ending.AGREED.value})
        if own.startswith(shown):
            rest, ending = own[len(shown) :], Ending.SUPPORTED
        else:
            rest, ending = CORRECTED + agreed.text, Ending.CORRECTED
        return Settled(rest, {**agreed.field, "stream": ending.value, "agreed": agreed.text})

    def denied(self, error: GatewayError) -> GatewayError:
        """The error, saying so where a text was shown."""
        if self._provisional.text and error.told is not None:
            error.told["stream"] = "void"
        return error


def reading_along(request: Request, frame: FrameFields, wanted: Wanted) -> Wanted:
    """The question of a stream: streamed, unless it waits for the verdict or its answer has a form."""
    has_form = wanted.form != JsonForm() or any(wanted.options.get(name) for name in FORMS)
    if has_form or waits_for_verdict(frame, frame_of_headers(request.headers.items())):
        return wanted
    options: AskKeywords = {**wanted.options, "stream": True}
    return wanted._replace(options=options)


def marked(piece: Piece) -> dict[str, Any]:
    """The `dicast` field of a provisional piece."""
    return {"provisional": True, **({"restarted": True} if piece.restarted else {})}


def shown(piece: Piece) -> str:
    """The text of a provisional piece."""
    return (RESTARTED if piece.restarted else "") + piece.text
