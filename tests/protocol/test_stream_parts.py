"""What a stream is made of: seals, the text as it grows, chunks put together."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.limits import REVEAL_BYTES_MAX
from dicast.base.nip44 import SealError, conversation_key, unseal
from dicast.base.types import NodeId, RequestId
from dicast.consensus.text import clean_output
from dicast.protocol.listener import SILENCE_MS, Hearing
from dicast.protocol.speaker import BEAT_MS, Voice
from dicast.protocol.stream_seal import (
    Line,
    StreamFrom,
    StreamText,
    opened_text,
    opened_wish,
    sealed_text,
    sealed_wish,
)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.integers(0, 5))
def test_theorem_11_11_what_is_sealed_opens_for_the_two_and_for_nobody_else(text, number):
    """Neither the other members nor outsiders read a stream, whatever keys they hold."""
    requester, worker = KeyPair.from_seed(b"requester"), KeyPair.from_seed(b"worker")
    request_id = RequestId("ab" * 32)
    line = Line(conversation_key(worker, requester.node_id), request_id, worker.node_id)
    chunk = StreamText(number, number, text)
    said = sealed_text(line, chunk)
    theirs = Line(conversation_key(requester, worker.node_id), request_id, worker.node_id)
    assert opened_text(theirs, said) == chunk
    for name in (b"member", b"outsider"):
        other = KeyPair.from_seed(name)
        for peer in (requester.node_id, worker.node_id, other.node_id):
            with pytest.raises(SealError):
                unseal(said.sealed, conversation_key(other, peer))
    wish = StreamFrom(number, number)
    assert opened_wish(theirs, sealed_wish(line, wish)) == wish


@settings(max_examples=40, deadline=None)
@given(
    pieces=st.lists(
        st.sampled_from(["Paris", " is", "\n", "  ", "\r\n", ".", " è", "\t"]), min_size=1, max_size=12
    )
)
def test_what_is_streamed_is_how_the_answer_begins(pieces):
    """However the engine cuts it: cleaned and trimmed as the answer will be."""
    voice = Voice(None, True, 0)
    for piece in pieces:
        voice.add(piece)
        assert clean_output("".join(pieces)).startswith(voice.text)
    assert voice.text == clean_output("".join(pieces))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_chunks_in_any_order_and_number_make_the_text(data):
    text = "The quick brown fox jumps over the lazy dog"
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=8))})
    chunks = [
        StreamText(number, start, text[start:end], end == len(text))
        for number, (start, end) in enumerate(pairwise(cuts))
    ]
    order = data.draw(st.permutations([*chunks, *data.draw(st.lists(st.sampled_from(chunks), max_size=4))]))
    hearing = Hearing("a", [NodeId("1" * 64)], 0)
    for chunk in order:
        hearing.take(chunk)
        hearing.catch_up()
    assert (hearing.said, hearing.is_whole, hearing.ahead) == (text, True, {})


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.builds(
            StreamText,
            st.integers(0, 9),
            st.integers(0, 40) | st.integers(0, 2**53 - 1),
            st.sampled_from(["", "a", "ab", "b" * 4_096, "🌍" * 4_096]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_theorem_11_14_whatever_a_liar_streams_memory_is_bounded(chunks):
    hearing = Hearing("a", [NodeId("1" * 64)], 0)
    for chunk in chunks:
        hearing.take(chunk)
        hearing.catch_up()
        assert len(hearing.said.encode()) <= REVEAL_BYTES_MAX
        assert len(hearing.ahead) <= 64


def test_two_beats_may_be_lost_and_another_goes_on_within_two_seconds():
    assert 2 * BEAT_MS < SILENCE_MS < 2_000
