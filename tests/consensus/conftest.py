"""A builder of cases that the tests of the judge share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from dicast.consensus.case import Case, CaseCommit, CaseRequest, CaseReveal
from dicast.consensus.frame import JudgedFrame
from dicast.consensus.selection import commit_digest

REQUEST_ID = "ab" * 32
SALT = "cd" * 32


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a case to build; `bits` is hex under the embedder `toy`, or a mapping of embedders."""

    answer: str = ""
    bits: str | dict[str, str] = "0000"
    seats: int = 1
    model: str = "m"
    commits: bool = True
    reveals: bool = True
    forged: bool = False
    recomputed: str | dict[str, str] | None = None


def key_of(index: int) -> str:
    """The key of a member: any 32 bytes do, the judge checks no signatures."""
    return hashlib.sha256(b"member %d" % index).hexdigest()


def _embeddings(bits: str | dict[str, str]) -> dict[str, str]:
    return dict(bits) if isinstance(bits, Mapping) else {"toy": bits}


def _case(members: Sequence[Member], frame: JudgedFrame, **options: Any) -> Case:
    has_panel = options.pop("panel", True)
    beacon = options.pop("selection_beacon", "")
    commits: list[CaseCommit] = []
    reveals: list[CaseReveal] = []
    recomputed: dict[str, dict[str, str]] = {}
    for index, member in enumerate(members):
        key = key_of(index)
        salt = hashlib.sha256(b"salt %d" % index).hexdigest()
        digest = commit_digest(REQUEST_ID, key, salt, member.answer, member.model)
        if member.commits:
            commits.append(CaseCommit(key, digest[::-1] if member.forged else digest))
        if member.commits and member.reveals:
            bits = _embeddings(member.bits)
            reveals.append(CaseReveal(key, member.answer, member.model, salt, bits))
        if member.commits and member.recomputed is not None:
            recomputed[key] = _embeddings(member.recomputed)
    return Case(
        v=1,
        request=CaseRequest(id=REQUEST_ID, frame=frame, **options),
        selection_salt=SALT,
        commits=tuple(commits),
        reveals=tuple(reveals),
        panel={key_of(index): member.seats for index, member in enumerate(members)} if has_panel else None,
        selection_beacon=beacon,
        recomputed=recomputed,
    )


@pytest.fixture(scope="session")
def case_of() -> Callable[..., Case]:
    """`case_of(members, frame, prompt=…, models=…, schema=…, panel=True, selection_beacon=…)`."""
    return _case


@pytest.fixture(scope="session")
def member() -> type[Member]:
    """The record of one member."""
    return Member


@pytest.fixture(scope="session")
def key() -> Callable[[int], str]:
    """The key of member number i."""
    return key_of
