"""What became of a round whose answer nobody wrote down: read from the node by the round's id."""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from dicast.base.errors import DicastError
from dicast.daemon.api import Answer, RevealRecord
from dicast.daemon.history import Papers
from dicast.protocol.messages import Kind, Usage

WAIT_S = 90.0
"""A round that is still open is waited for: a node that came back goes on with it for a minute or so."""
AGAIN_S = 0.2
"""How often it is looked at."""


class _Reveal(msgspec.Struct, frozen=True):
    answer: str
    model: str = ""
    usage: Usage | None = None


_REVEALS = msgspec.json.Decoder(_Reveal)


class Archive(Protocol):
    """Where rounds are looked up."""

    async def round(self, request_id: str) -> Papers:
        """Everything about one round."""
        ...

    async def certificate(self, request_id: str) -> bytes:
        """Its certificate."""
        ...


async def recovered(archive: Archive, request_id: str) -> Answer | None:
    """The answer of a round that was decided; None where asking again is all that is left."""
    try:
        async with asyncio.timeout(WAIT_S):
            papers = await _ended(archive, request_id)
            if papers.verdict is None:
                return None
            return _answer(request_id, papers, await archive.certificate(request_id))
    except (TimeoutError, DicastError):
        return None


async def _ended(archive: Archive, request_id: str) -> Papers:
    """The round's papers when nothing more will come. Raises DicastError for one that is not known."""
    while True:
        papers = await _papers(archive, request_id)
        if papers is not None and (papers.verdict is not None or papers.summary.state != "open"):
            return papers
        await asyncio.sleep(AGAIN_S)


async def _papers(archive: Archive, request_id: str) -> Papers | None:
    """None while the node is away. Raises DicastError for a round that it does not know."""
    try:
        return await archive.round(request_id)
    except DicastError as error:
        if error.code not in {"node_not_running", "node_stopped"}:
            raise
        return None


def _answer(request_id: str, papers: Papers, certificate: bytes) -> Answer:
    verdict = papers.verdict
    assert verdict is not None, "only decided rounds have an answer"
    reveals: dict[str, RevealRecord] = {}
    for event in papers.events:
        if event.kind == Kind.REVEAL:
            reveal = _read(event.content)
            if reveal is not None:
                reveals[event.pubkey] = RevealRecord(reveal.answer, reveal.model, reveal.usage or _NO_USAGE)
    accepted = verdict.answer is not None
    return Answer(
        outcome=verdict.outcome,
        reason=verdict.reason,
        answer=verdict.answer,
        request_id=request_id,
        verdict=verdict,
        verified=verdict.n > 1 and accepted,
        checked=True,
        signed_seats=papers.summary.signatures,
        attempts=papers.summary.attempt,
        certificate=certificate,
        reveals=reveals,
    )


def _read(content: str) -> _Reveal | None:
    try:
        return _REVEALS.decode(content)
    except msgspec.MsgspecError:
        return None


_NO_USAGE = Usage(prompt_tokens=0, completion_tokens=0, first_token_ms=0, total_ms=0)
