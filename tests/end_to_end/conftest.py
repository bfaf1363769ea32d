"""A machine to run `dicast` on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from machine import Machine, machine_in


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Tests in the background of a shell ignore Ctrl-C; what they start must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A folder, and nothing running in it afterwards."""
    with machine_in(tmp_path) as made:
        yield made
