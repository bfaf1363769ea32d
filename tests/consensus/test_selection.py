"""Digests and tickets, byte for byte."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from dicast.base.types import NodeId, RequestId
from dicast.consensus import selection

RAW = st.binary(min_size=32, max_size=32)


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


@given(RAW, RAW, RAW, st.text(), st.text())
def test_a_commit_digest_binds_request_key_salt_answer_and_model(
    request: bytes, key: bytes, salt: bytes, answer: str, model: str
) -> None:
    found = selection.commit_digest(RequestId(request.hex()), NodeId(key.hex()), salt.hex(), answer, model)
    hashes = sha(answer.encode()), sha(model.encode())
    assert found == sha(b"dicast/commit/1", request, key, salt, *hashes).hex()


@given(RAW, RAW, st.binary(max_size=64))
def test_seed_and_tickets_are_tagged_hashes(request: bytes, salt: bytes, beacon: bytes) -> None:
    seed = selection.selection_seed(RequestId(request.hex()), salt.hex(), beacon.hex())
    assert seed == sha(b"dicast/selection/1", request, salt, beacon)
    assert selection.selection_ticket(seed, salt.hex()) == sha(b"dicast/select/1", seed, salt)
    assert selection.tie_ticket(seed, salt.hex()) == sha(b"dicast/tie/1", seed, salt)
    assert selection.selection_salt_hash(salt.hex()) == sha(b"dicast/selection-salt/1", salt).hex()


@given(RAW, RAW)
def test_a_sampling_seed_is_31_bits_of_a_hash(request: bytes, key: bytes) -> None:
    found = selection.sampling_seed(RequestId(request.hex()), NodeId(key.hex()))
    assert found == int.from_bytes(sha(b"dicast/seed/1", request, key)[:4], "big") % 2**31
