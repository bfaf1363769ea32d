"""What became of each member before agreement is looked at: rules 1 to 3 of `spec/06-judge.md`."""

from __future__ import annotations

import hashlib

import msgspec

from dicast.consensus.agreement import Reading, reader
from dicast.consensus.case import Case, CaseReveal
from dicast.consensus.reasons import Status


class Valid(msgspec.Struct, frozen=True, gc=False):
    """A member whose reveal counts in the vote."""

    pubkey: str
    seats: int
    digest: str
    reveal: CaseReveal
    reading: Reading


class Opened(msgspec.Struct, frozen=True):
    """The seats of every member, the seats that committed, what went wrong, and who is left."""

    seats: dict[str, int]
    committed_seats: int
    fallen: dict[str, Status]
    valid: tuple[Valid, ...]


def open_case(case: Case) -> Opened:
    """Give each member its status, or make it one of the valid; members in the order of their keys."""
    digests = {commit.pubkey: commit.digest for commit in case.commits}
    seats = dict.fromkeys(digests, 1) if case.panel is None else case.panel
    reveals = {reveal.pubkey: reveal for reveal in case.reveals}
    check = _RevealCheck(case)
    fallen: dict[str, Status] = {}
    valid: list[Valid] = []
    for pubkey in sorted(seats):
        digest, reveal = digests.get(pubkey), reveals.get(pubkey)
        if digest is None or reveal is None:
            fallen[pubkey] = Status.SILENT if digest is None else Status.UNREVEALED
            continue
        found = check.status_or_reading(reveal, digest)
        if isinstance(found, Status):
            fallen[pubkey] = found
        else:
            valid.append(Valid(pubkey, seats[pubkey], digest, reveal, found))
    committed_seats = sum(seats[pubkey] for pubkey in digests)
    return Opened(seats, committed_seats, fallen, tuple(valid))


class _RevealCheck:
    """Checks reveals against commits; equal answers and equal model names are read once."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._prefix = b"dicast/commit/1" + bytes.fromhex(case.request.id)
        self._read = reader(case.request)
        self._readings: dict[str, Reading | None] = {}
        self._model_hashes: dict[str, bytes] = {}

    def status_or_reading(self, reveal: CaseReveal, digest: str) -> Status | Reading:
        """The reading of a valid reveal, or the first thing that is wrong with it."""
        if self._digest(reveal) != digest:
            return Status.DIGEST_MISMATCH
        models = self._case.request.models
        if models and reveal.model not in models:
            return Status.MODEL_REFUSED
        reading = self._reading(reveal.answer)
        if reading is None:
            return Status.MALFORMED
        if self._case.recomputed.get(reveal.pubkey, reveal.embeddings) != reveal.embeddings:
            return Status.EMBEDDING_MISMATCH
        return reading

    def _digest(self, reveal: CaseReveal) -> str:
        """`selection.commit_digest`, with the hashes that repeat remembered."""
        model = self._model_hashes.get(reveal.model)
        if model is None:
            model = self._model_hashes[reveal.model] = hashlib.sha256(reveal.model.encode()).digest()
        answer = hashlib.sha256(reveal.answer.encode()).digest()
        opened = bytes.fromhex(reveal.pubkey + reveal.salt)
        return hashlib.sha256(self._prefix + opened + answer + model).hexdigest()

    def _reading(self, answer: str) -> Reading | None:
        found = self._readings.get(answer)
        if found is None and answer not in self._readings:
            found = self._readings[answer] = self._read(answer)
        return found
