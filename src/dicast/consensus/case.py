"""A case: everything the judge reads, and nothing else (`spec/06-judge.md`)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dicast.base.codec import CodecError, decode_loose
from dicast.base.errors import Rejection
from dicast.base.limits import CASE_BYTES_MAX, CASE_SEATS_MAX
from dicast.base.types import Json
from dicast.consensus import case_fields as read
from dicast.consensus.case_faults import case_error
from dicast.consensus.case_fields import CaseError
from dicast.consensus.constants import BASIS_POINTS, EMBEDDING_BYTES_MAX
from dicast.consensus.form import form_fault
from dicast.consensus.frame import JudgedFrame
from dicast.consensus.schema import parse_schema

__all__ = ["Case", "CaseCommit", "CaseError", "CaseRequest", "CaseReveal", "parse_case"]


class CaseRequest(msgspec.Struct, frozen=True, omit_defaults=True):
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


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """One round, ready to be judged; without a `panel` every committed key has one seat."""

    v: int
    request: CaseRequest
    selection_salt: str
    commits: tuple[CaseCommit, ...]
    reveals: tuple[CaseReveal, ...]
    panel: dict[str, int] | None = None
    selection_beacon: str = ""
    recomputed: dict[str, dict[str, str]] = {}


def parse_case(data: bytes) -> Case:
    """A case from any JSON text that spells it; raises `CaseError` naming the field and the reason."""
    if len(data) > CASE_BYTES_MAX:
        raise CaseError("case", f"longer than {CASE_BYTES_MAX} bytes")
    try:
        value = decode_loose(data)
    except CodecError as error:
        raise case_error(data, error) from error
    case = _case(value)
    check_case(case)
    return case


def check_case(case: Case) -> None:
    """Raise `CaseError` unless the parts of a well-formed case fit together."""
    fault = form_fault(case.request.frame)
    if fault is not None:
        raise CaseError(f"request.frame.{fault[0]}", fault[1])
    _check_schema(case.request.schema)
    committed = _once("commits", (commit.pubkey for commit in case.commits))
    revealed = _once("reveals", (reveal.pubkey for reveal in case.reveals))
    _check_seats(case, committed)
    for index, reveal in enumerate(case.reveals):
        if reveal.pubkey not in committed:
            raise CaseError(f"reveals[{index}].pubkey", "has no commit")
    for key in case.recomputed:
        if key not in committed:
            raise CaseError(f"recomputed.{key}", "has no commit")
    assert revealed <= committed
    _check_embeddings(case)


def _case(value: Json) -> Case:
    required = ("v", "request", "selection_salt", "commits", "reveals")
    found = read.fields(value, "", required, ("panel", "selection_beacon", "recomputed"))
    read.integer(found["v"], "v", 1, 1)
    panel = found.get("panel")
    return Case(
        v=1,
        request=_request(found["request"]),
        selection_salt=read.digest(found["selection_salt"], "selection_salt"),
        commits=tuple(_commit(item, at) for item, at in _listed(found["commits"], "commits")),
        reveals=tuple(_reveal(item, at) for item, at in _listed(found["reveals"], "reveals")),
        panel=_panel(panel) if "panel" in found else None,
        selection_beacon=read.hex_text(found.get("selection_beacon", ""), "selection_beacon"),
        recomputed=_recomputed(found.get("recomputed", {})),
    )


def _listed(value: Json, field: str) -> Iterable[tuple[Json, str]]:
    return ((item, f"{field}[{index}]") for index, item in enumerate(read.elements(value, field)))


def _request(value: Json) -> CaseRequest:
    found = read.fields(value, "request", ("id", "frame"), ("prompt", "models", "schema"))
    return CaseRequest(
        id=read.digest(found["id"], "request.id"),
        frame=_frame(found["frame"]),
        prompt=read.text(found.get("prompt", ""), "request.prompt"),
        models=read.texts(found.get("models", []), "request.models"),
        schema=read.text(found.get("schema", ""), "request.schema"),
    )


def _frame(value: Json) -> JudgedFrame:
    at = "request.frame"
    required = ("quorum", "sec_percentage_bp", "sec_distance_bits", "gates")
    found = read.fields(value, at, required, ("exact", "fuzzy", "labels"))
    radii = read.members(found["sec_distance_bits"], f"{at}.sec_distance_bits")
    return JudgedFrame(
        quorum=read.integer(found["quorum"], f"{at}.quorum", 1),
        sec_percentage_bp=read.integer(
            found["sec_percentage_bp"], f"{at}.sec_percentage_bp", 1, BASIS_POINTS
        ),
        sec_distance_bits={
            name: read.integer(bits, f"{at}.sec_distance_bits.{read.shown(name)}", 0)
            for name, bits in radii.items()
        },
        gates=read.texts(found["gates"], f"{at}.gates"),
        exact=read.texts(found.get("exact", []), f"{at}.exact"),
        fuzzy=read.texts(found.get("fuzzy", []), f"{at}.fuzzy"),
        labels=read.texts(found.get("labels", []), f"{at}.labels"),
    )


def _commit(value: Json, at: str) -> CaseCommit:
    found = read.fields(value, at, ("pubkey", "digest"), ())
    return CaseCommit(
        read.digest(found["pubkey"], f"{at}.pubkey"), read.digest(found["digest"], f"{at}.digest")
    )


def _reveal(value: Json, at: str) -> CaseReveal:
    found = read.fields(value, at, ("pubkey", "answer", "model", "salt", "embeddings"), ())
    return CaseReveal(
        pubkey=read.digest(found["pubkey"], f"{at}.pubkey"),
        answer=read.text(found["answer"], f"{at}.answer"),
        model=read.text(found["model"], f"{at}.model"),
        salt=read.digest(found["salt"], f"{at}.salt"),
        embeddings=_embeddings(found["embeddings"], f"{at}.embeddings"),
    )


def _embeddings(value: Json, at: str) -> dict[str, str]:
    return {
        name: read.hex_text(bits, f"{at}.{read.shown(name)}")
        for name, bits in read.members(value, at).items()
    }


def _panel(value: Json) -> dict[str, int]:
    return {
        read.digest(key, f"panel.{read.shown(key)}"): read.integer(seats, f"panel.{read.shown(key)}", 1)
        for key, seats in read.members(value, "panel").items()
    }


def _recomputed(value: Json) -> dict[str, dict[str, str]]:
    return {
        read.digest(key, f"recomputed.{read.shown(key)}"): _embeddings(bits, f"recomputed.{read.shown(key)}")
        for key, bits in read.members(value, "recomputed").items()
    }


def _check_schema(text: str) -> None:
    if not text:
        return
    try:
        parse_schema(text)
    except Rejection as error:
        reason = error.message.partition(": ")[0].removesuffix(".")
        raise CaseError("request.schema", read.one_line(reason)) from error


def _once(field: str, pubkeys: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    for index, pubkey in enumerate(pubkeys):
        if pubkey in seen:
            raise CaseError(f"{field}[{index}].pubkey", "a second one of this key")
        seen.add(pubkey)
    return seen


def _check_seats(case: Case, committed: set[str]) -> None:
    if case.panel is None:
        seats, field = len(committed), "commits"
    else:
        seats, field = sum(case.panel.values()), "panel"
        for index, commit in enumerate(case.commits):
            if commit.pubkey not in case.panel:
                raise CaseError(f"commits[{index}].pubkey", "is not in the panel")
    if seats > CASE_SEATS_MAX:
        raise CaseError(field, f"{seats} seats, at most {CASE_SEATS_MAX}")


def _check_embeddings(case: Case) -> None:
    radii = case.request.frame.sec_distance_bits
    lengths: dict[str, int] = {}
    for index, reveal in enumerate(case.reveals):
        _check_bits(reveal.embeddings, radii, lengths, f"reveals[{index}].embeddings")
    for key, embeddings in case.recomputed.items():
        _check_bits(embeddings, radii, lengths, f"recomputed.{key}")
    for name, length in lengths.items():
        if radii[name] > 4 * length:
            field = f"request.frame.sec_distance_bits.{read.shown(name)}"
            raise CaseError(field, f"must be within 0…{4 * length}, is {radii[name]}")


def _check_bits(found: dict[str, str], radii: dict[str, int], lengths: dict[str, int], at: str) -> None:
    for name in radii:
        if name not in found:
            raise CaseError(f"{at}.{read.shown(name)}", "missing")
    for name, bits in found.items():
        field = f"{at}.{read.shown(name)}"
        if name not in radii:
            raise CaseError(field, "no such embedder in sec_distance_bits")
        if not 0 < len(bits) <= 2 * EMBEDDING_BYTES_MAX:
            raise CaseError(field, f"must be 1…{EMBEDDING_BYTES_MAX} bytes of hex")
        if len(bits) != lengths.setdefault(name, len(bits)):
            raise CaseError(field, f"must be {lengths[name]} hex characters, has {len(bits)}")
