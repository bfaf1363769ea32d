"""Lines that are questions: a text, or an object with `prompt` and perhaps `id`; and what each becomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from dicast.base.errors import DicastError, Rejection
from dicast.batch.book import Line
from dicast.batch.dispatch import Dispatcher
from dicast.batch.input import read_line
from dicast.batch.lease import LINE
from dicast.batch.runner import LineLog, Outcome
from dicast.client import AskKeywords
from dicast.daemon.api import Answer


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A line in JSON."""

    prompt: str
    id: str | int | None = None


class PlainAnswers:
    """Answers such lines of a file, all with the same options."""

    def __init__(self, path: Path, dispatcher: Dispatcher, options: AskKeywords) -> None:
        self._path = path
        self._dispatcher = dispatcher
        self._options = options

    async def answer(self, line: Line) -> Outcome:
        """The line's outcome; what goes wrong is one as well."""
        named: str | int = line.number + 1
        try:
            prompt = read_prompt(read_line(self._path, line))
            named = named if prompt.id is None else prompt.id
            answer = await self._dispatcher.ask(prompt.prompt, **self._options)
        except DicastError as error:
            told = {"code": error.code, "message": f"{error.message} {error.next_step}".strip()}
            return Outcome(False, msgspec.json.encode({"id": named, "answer": None, "error": told}))
        return Outcome(answer.is_accepted, msgspec.json.encode(_written(named, answer)))


def read_prompt(content: bytes) -> Prompt:
    """The question of a line. Raises Rejection."""
    try:
        text = content.decode().strip()
    except UnicodeDecodeError:
        raise Rejection("line_malformed", "The line is not UTF-8 text.") from None
    if not text.startswith(("{", '"')):
        return Prompt(text)
    try:
        value = msgspec.json.decode(text, type=Prompt | str)
    except msgspec.MsgspecError as error:
        raise Rejection(
            "line_malformed", f"{error}.", 'A line is a text, or {"prompt": "…"} with an "id" if you like.'
        ) from error
    return Prompt(value) if isinstance(value, str) else value


def _written(named: str | int, answer: Answer) -> dict[str, Any]:
    winner = answer.reveals.get(answer.verdict.winner or "")
    return {
        "id": named,
        "answer": answer.answer,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "n": answer.verdict.n,
        "need": answer.verdict.need,
        "ball": answer.verdict.ball_size,
        "model": None if winner is None else winner.model,
        "request_id": answer.request_id,
        "nodes": asked_nodes(),
    }


def asked_nodes() -> Sequence[dict[str, Any]]:
    """Who was asked for the line at hand, and why."""
    log = LINE.get(None)
    return log.nodes if isinstance(log, LineLog) else ()
