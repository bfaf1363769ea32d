"""What an answer tells beside itself: the winner's usage, the models that took part, the certificate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, cast

import msgspec

from dicast.daemon.api import Answer, RevealRecord
from dicast.protocol.messages import Usage

CERTIFICATE_PATH = "/api/certificates/"


class Told(msgspec.Struct, frozen=True):
    """`usage` and `model` are the winner's own, None where nobody won or no certificate came.

    `models` counts the revealed answers of every model that took part; `tokens` are what a key pays for.
    """

    model: str | None
    usage: Usage | None
    models: dict[str, int]
    tokens: int = 0


def told_by(answer: Answer) -> Told:
    """What the revealed answers say beside themselves."""
    reveals = answer.reveals
    winner = reveals.get(answer.verdict.winner or "")
    models = Counter(reveal.model for reveal in reveals.values())
    return Told(
        None if winner is None else winner.model,
        None if winner is None else winner.usage,
        dict(sorted(models.items())),
        tokens_of(reveals.values()) if winner is None else tokens_of((winner,)),
    )


def tokens_of(reveals: Iterable[RevealRecord]) -> int:
    """Tokens that a question took: the winner's count, and where nobody won the largest."""
    counts = (one.usage.prompt_tokens + one.usage.completion_tokens for one in reveals)
    return max(counts, default=0)


def dicast_field(answer: Answer, told: Told) -> dict[str, Any]:
    """The `dicast` field of an answer, and of the error that says there is none."""
    verdict = answer.verdict
    has_certificate = bool(answer.certificate)
    return {
        "request_id": answer.request_id,
        "outcome": answer.outcome,
        "reason": answer.reason,
        "n": verdict.n,
        "need": verdict.need,
        "ball": verdict.ball_size,
        "runner_up": verdict.runner_up_size,
        "verified": answer.verified,
        "checked": answer.checked,
        "signed_seats": answer.signed_seats,
        "attempts": answer.attempts,
        "model": told.model,
        "models": told.models,
        "certificate": answer.request_id if has_certificate else None,
        "certificate_url": f"{CERTIFICATE_PATH}{answer.request_id}" if has_certificate else None,
    }


def dicast_headers(field: dict[str, Any]) -> dict[str, str]:
    """The same as `X-Dicast-*` headers; model names outside printable ASCII are left to the body."""
    headers: dict[str, str] = {}
    for name, value in field.items():
        text = ",".join(cast("dict[str, int]", value)) if isinstance(value, dict) else str(value)
        text = text.lower() if isinstance(value, bool) else text
        if value is not None and text.isascii() and text.isprintable():
            headers[f"x-dicast-{name.replace('_', '-')}"] = text
    return headers
