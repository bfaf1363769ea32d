"""What an engine makes of a job: an answer whose pieces are the whole, or an error."""

from __future__ import annotations

import pytest

from dicast.base.errors import AdapterError
from dicast.ports import Engine, Generation
from dicast.protocol.outputs import StartInference


async def answer_of(engine: Engine, job: StartInference) -> Generation:
    """Its answer; the engine is closed."""
    pieces: list[str] = []
    try:
        generation = await engine.generate(job, pieces.append)
    finally:
        await engine.close()
    assert "".join(pieces) == generation.text
    return generation


async def failure_of(engine: Engine, job: StartInference) -> AdapterError:
    """Why there is no answer; the engine is closed."""
    with pytest.raises(AdapterError) as caught:
        await answer_of(engine, job)
    return caught.value
