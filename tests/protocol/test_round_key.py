"""The length of a sealed reveal is known before it is sealed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.base.codec import encode
from dicast.base.types import NodeId
from dicast.protocol.messages import Reveal, Usage
from dicast.protocol.round_key import as_long, spoken

AUTHOR = NodeId("12" * 32)
USAGE = Usage(prompt_tokens=1, completion_tokens=2, first_token_ms=3, total_ms=4)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=2_000), st.none() | st.just(b"k" * 32))
def test_a_reveal_is_as_long_as_the_one_that_is_spoken(answer, key) -> None:
    reveal = Reveal(
        v=1, answer=answer, model="m", salt="ab" * 32, embeddings={"toy/8": "ff"}, usage=USAGE, engine="e"
    )
    assert len(encode(as_long(reveal, key))) == len(encode(spoken(reveal, AUTHOR, key)))


def test_an_answer_that_cannot_be_sealed_has_no_length() -> None:
    reveal = Reveal(
        v=1, answer="x" * 65_536, model="m", salt="ab" * 32, embeddings={}, usage=USAGE, engine="e"
    )
    assert as_long(reveal, b"k" * 32) is None
    assert spoken(reveal, AUTHOR, b"k" * 32) is None
