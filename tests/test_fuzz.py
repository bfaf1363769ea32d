"""Every fuzz target, for some thousands of inputs: nothing that comes from elsewhere is more than refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzzing import FOLDER, finds_nothing

NEED_LIBP2P = {"gossip"}
"""The interop tests install it, and run these."""
TARGETS = sorted({path.stem for path in FOLDER.glob("*.py")} - NEED_LIBP2P)


def test_there_is_a_target_for_everything_that_reads_bytes_from_elsewhere() -> None:
    assert {"adapters", "content", "decoder", "signaller", "transports", "webrtc"} <= set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_a_fuzz_target_finds_nothing(target: str, tmp_path: Path) -> None:
    finds_nothing(target, tmp_path)
