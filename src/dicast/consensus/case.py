"""A case: everything the judge reads, and nothing else (`spec/06-judge.md`)."""

from __future__ import annotations

import msgspec

from dicast.base.errors import Rejection
from dicast.consensus.frame import JudgedFrame


class CaseRequest(msgspec.Struct, frozen=True):
    """The request as the judge sees it; no `models` means any, no `schema` means none."""

    id: str
    frame: JudgedFrame
    prompt: str = ""
    models: tuple[str, ...] = ()
    schema: str = ""


class CaseCommit(msgspec.Struct, frozen=True):
    """One commit of the sealed quorum."""

    pubkey: str
    digest: str


class CaseReveal(msgspec.Struct, frozen=True):
    """One reveal that counts: the opened answer and its packed bits (hex) under each embedder."""

    pubkey: str
    answer: str
    model: str
    salt: str
    embeddings: dict[str, str]


class Case(msgspec.Struct, frozen=True):
    """One round, ready to be judged; without a `panel` every committed key has one seat."""

    v: int
    request: CaseRequest
    selection_salt: str
    commits: tuple[CaseCommit, ...]
    reveals: tuple[CaseReveal, ...]
    panel: dict[str, int] | None = None
    selection_beacon: str = ""
    recomputed: dict[str, dict[str, str]] = {}


class CaseError(Rejection):
    """A case that is not one; the message is one line, `field: reason`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__("case_invalid", f"{field}: {reason}")
        self.field = field
        self.reason = reason
