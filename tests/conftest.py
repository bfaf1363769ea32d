"""Fixtures that every test may use."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Coroutine tests run on asyncio only: it is what the daemon runs on."""
    return "asyncio"
