"""A question that is streamed: its events carry the text while it is made, and nobody else's do."""

from __future__ import annotations

import asyncio

import pytest

from dicast.daemon import api
from dicast.daemon.provisional import Piece, Provisional
from dicast.engines.memory import MemoryEngine
from dicast.protocol.outputs import CertificateReady, RoundOpened, StreamRestarted, Token
from waiting import WAIT_SECONDS_MAX

pytestmark = pytest.mark.anyio
SENTENCE = "The capital city of France is called Paris."
BEFORE = SENTENCE.removesuffix(" Paris.")
QUESTION = api.Ask(prompt="What is the capital of France?", quorum=3, stream=True)


class Reader:
    """Reads along, and knows when it has read something."""

    def __init__(self) -> None:
        self.provisional = Provisional()
        self.pieces: list[Piece] = []
        self.events: list[object] = []
        self.news = asyncio.Event()

    def hear(self, event) -> None:
        self.events.append(event)
        piece = self.provisional.hear(event)
        if piece is not None:
            self.pieces.append(piece)
        self.news.set()

    async def until_read(self, text: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while self.provisional.text != text:
                self.news.clear()
                await self.news.wait()


async def held(network, count=3, reply=lambda _: SENTENCE):
    """An asker and workers whose last word waits."""
    hold = asyncio.Event()
    asker = await network.add("follower", roles=())
    workers = [
        await network.add(f"worker {number}", engine=MemoryEngine(reply, hold=hold))
        for number in range(count)
    ]
    return asker, workers, hold


async def test_the_text_is_there_before_the_verdict(network) -> None:
    asker, _, hold = await held(network)
    reader = Reader()
    asking = asyncio.create_task(asker.service.answer(QUESTION, reader.hear))
    await reader.until_read(BEFORE)
    assert not any(isinstance(event, CertificateReady) for event in reader.events)
    hold.set()
    answer = await asking
    assert (reader.provisional.text, answer.answer) == (SENTENCE, SENTENCE)
    assert answer.reveals[reader.provisional.member].answer == SENTENCE
    assert not any(isinstance(event, StreamRestarted) for event in reader.events)


async def test_when_the_one_that_streams_dies_another_goes_on(network) -> None:
    asker, workers, hold = await held(network, 4)
    reader = Reader()
    question = api.Ask(prompt="Capital?", seats=4, quorum=3, sec_percentage=0.6, stream=True)
    asking = asyncio.create_task(asker.service.answer(question, reader.hear))
    await reader.until_read(BEFORE)
    dead = next(one for one in workers if one.node_id == reader.provisional.member)
    dead.driver.stop()
    await network.running[dead]
    died = asyncio.get_running_loop().time()
    hold.set()
    await reader.until_read(SENTENCE)
    assert asyncio.get_running_loop().time() - died < 10
    assert "".join(piece.text for piece in reader.pieces) == SENTENCE
    assert not any(piece.restarted for piece in reader.pieces)
    assert reader.provisional.member != dead.node_id
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_nobody_but_the_asker_is_told(network) -> None:
    asker, _, hold = await held(network)
    everything: list[object] = []
    following = asyncio.create_task(asker.service.answer(api.Events(noisy=True), everything.append))
    reader, other = Reader(), Reader()
    hold.set()
    await asyncio.gather(
        asker.service.answer(QUESTION, reader.hear),
        asker.service.answer(api.Ask(prompt="Capital?", quorum=3), other.hear),
    )
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert any(isinstance(event, RoundOpened) for event in everything)
    assert [event for event in everything + other.events if isinstance(event, Token)] == []
    assert reader.provisional.text == SENTENCE
    assert SENTENCE not in asker.log_text.getvalue()


def token(offset, text, round_="r", member="m"):
    return Token("a", round_, member, offset, text)


def opened(round_):
    return RoundOpened("a", round_, {}, 3, 2, 3, 1)


async def test_a_text_that_is_void_is_replaced_and_one_with_a_hole_is_told_no_further() -> None:
    provisional = Provisional()
    told = [
        provisional.hear(event)
        for event in (
            opened("r"),
            token(0, "ab"),
            token(3, "d"),
            token(2, "c"),
            StreamRestarted("a", "r", "n"),
            token(0, "x"),
            opened("s"),
            token(1, "y", "r"),
            token(0, "z", "s", "o"),
        )
    ]
    assert told == [
        None, Piece("ab"), None, Piece("c"), None, Piece("x", True), None, None, Piece("z", True),
    ]  # fmt: skip
    assert (provisional.text, provisional.member) == ("z", "o")
