"""Fixtures and settings that every test may use."""

from __future__ import annotations

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from hypothesis import settings

from waiting import WAIT_SECONDS_MAX

pytest.register_assert_rewrite("asked_engines", "driven", "machine", "servers")
# The same examples on every run and no time limit per example: a slow machine must not fail a test.
settings.register_profile("dicast", deadline=None, derandomize=True, max_examples=100)
settings.load_profile("dicast")
# httpx would give up after 5 s where nothing else is said.
for wait in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, wait, WAIT_SECONDS_MAX)


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio only: it is what the daemon runs on."""
    return "asyncio"
