"""`/v1/embeddings` with OpenAI's client: the real embedder's bits, in both encodings."""

from __future__ import annotations

import math
from collections.abc import Iterator

import openai
import pytest

from dicast.consensus.constants import EMBEDDER
from dicast.daemon.builtin import minilm_from

TEXTS = ["The capital of France is Paris.", "Paris is France's capital.", "Copper kettles whistle loudly."]


@pytest.fixture
def chat(real_place) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{real_place.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_vectors_are_the_bits_that_votes_compare(chat) -> None:
    answer = chat.embeddings.create(model=EMBEDDER, input=TEXTS)  # the client asks for base64
    plain = chat.embeddings.create(model="any", input=TEXTS[0], encoding_format="float")
    vectors = [one.embedding for one in answer.data]
    bits = ["".join(f"{byte:08b}" for byte in packed)[:381] for packed in minilm_from(None).embed(TEXTS)]
    signs = ["".join("1" if component > 0 else "0" for component in vector) for vector in vectors]
    assert signs == bits
    assert plain.data[0].embedding == pytest.approx(vectors[0])
    assert all(math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-5) for vector in vectors)
    near, far = (sum(x * y for x, y in zip(vectors[0], other, strict=True)) for other in vectors[1:])
    assert near > far
    assert (answer.model, answer.usage.prompt_tokens > 12) == (EMBEDDER, True)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"model": "text-embedding-3-large"}, "model_not_found"),
        ({"input": []}, "invalid_request"),
        ({"input": ["x", " "]}, "invalid_request"),
        ({"input": ["x"] * 257}, "invalid_request"),
        ({"input": [1, 2]}, "unsupported"),
        ({"dimensions": 64}, "unsupported"),
        ({"input": "word " * 5_000}, "context_length_exceeded"),
        ({"encoding_format": "int8"}, "invalid_request"),
    ],
)
def test_what_cannot_be_embedded_is_refused(chat, given, code: str) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        chat.embeddings.create(**{"model": EMBEDDER, "input": "x", **given})
    assert (caught.value.code, caught.value.status_code < 500) == (code, True)
