"""Fixtures and settings that every test may use."""

from __future__ import annotations

import pytest
from hypothesis import settings

# The same examples on every run and no time limit per example: a slow machine must not fail a test.
settings.register_profile("dicast", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("dicast")


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio only: it is what the daemon runs on."""
    return "asyncio"
