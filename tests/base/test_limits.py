"""Limits fit each other, and each gives its reason."""

from __future__ import annotations

import ast
from pathlib import Path

from dicast.base import codec, limits
from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event


def test_every_limit_gives_its_reason() -> None:
    body = ast.parse(Path(limits.__file__).read_text()).body[2:]
    kinds = [type(one.value).__name__ if isinstance(one, ast.Expr) else "Assign" for one in body]
    assert kinds == ["Assign", "Constant"] * (len(body) // 2)


def test_the_largest_quorum_fits_a_packet() -> None:
    content = codec.encode({"commits": ["ab" * 32] * limits.MEMBERS_MAX, "v": 1}).decode()
    tags = [["t", "ab" * 32], ["e", "ab" * 32], ["expiration", "253402300799"]]
    event = sign_event(KeyPair.from_seed(b"limits"), 1, 4113, tags, content)
    assert len(encode_event(event)) < limits.PACKET_BYTES_MAX


def test_ids_are_remembered_while_packets_are_fresh() -> None:
    longest = max(limits.REQUEST_FRESHNESS_MS, limits.EPHEMERAL_FRESHNESS_MS, limits.ANNOUNCEMENT_EXPIRY_MS)
    assert longest <= limits.SEEN_WINDOW_MS
    assert limits.SEEN_WINDOW_MS >= limits.DEADLINE_MS_MAX + limits.ROUND_FRESHNESS_MS


def test_announcements_are_renewed_before_they_expire() -> None:
    assert (
        limits.ANNOUNCEMENT_PERIOD_MS_MIN < limits.ANNOUNCEMENT_PERIOD_MS_MAX < limits.ANNOUNCEMENT_EXPIRY_MS
    )
