"""Digests of commits, and the tickets that pick one answer among those that agree (`spec/06-judge.md`)."""

from __future__ import annotations

from dicast.base.hashing import sha256, tagged
from dicast.base.types import Digest, NodeId, RequestId


def commit_digest(request_id: RequestId, pubkey: NodeId, salt: str, answer: str, model: str) -> Digest:
    """What a commit promises: this key's answer and model for this request, hidden by the salt."""
    opened = (request_id, pubkey, salt)
    parts = (*map(bytes.fromhex, opened), sha256(answer.encode()), sha256(model.encode()))
    return Digest(tagged("dicast/commit/1", *parts).hex())


def selection_salt_hash(selection_salt: str) -> Digest:
    """What a request promises about the salt that CLOSE opens."""
    return Digest(tagged("dicast/selection-salt/1", bytes.fromhex(selection_salt)).hex())


def selection_seed(request_id: RequestId, selection_salt: str, selection_beacon: str) -> bytes:
    """The seed of both tickets; without the quorum, so that leaving a commit out re-rolls nothing."""
    parts = (request_id, selection_salt, selection_beacon)
    return tagged("dicast/selection/1", *map(bytes.fromhex, parts))


def selection_ticket(seed: bytes, digest: str) -> bytes:
    """The ticket of a commit: the lowest among the core wins."""
    return tagged("dicast/select/1", seed, bytes.fromhex(digest))


def tie_ticket(seed: bytes, digest: str) -> bytes:
    """The ticket of a commit where two answers are equally central."""
    return tagged("dicast/tie/1", seed, bytes.fromhex(digest))


def sampling_seed(request_id: RequestId, pubkey: NodeId) -> int:
    """The public 31-bit seed with which a key samples its answer, so that anybody can run it again."""
    digest = tagged("dicast/seed/1", bytes.fromhex(request_id), bytes.fromhex(pubkey))
    return int.from_bytes(digest[:4], "big") & 0x7FFF_FFFF
