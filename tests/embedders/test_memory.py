from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.embedders.memory import MemoryEmbedder


def distance(left: bytes, right: bytes) -> int:
    return (int.from_bytes(left) ^ int.from_bytes(right)).bit_count()


def naive(text: str) -> bytes:
    import hashlib

    words = text.lower().split()
    words += [] if len(words) % 2 else ["\x00"]
    votes = [int.from_bytes(hashlib.shake_128(word.encode()).digest(48)) >> 3 for word in words]
    ones = [sum(vote >> bit & 1 for vote in votes) * 2 > len(words) for bit in range(380, -1, -1)]
    return int("".join(str(int(one)) for one in ones) + "000", 2).to_bytes(48)


@given(st.text(alphabet="ab é\n", max_size=80))
def test_it_is_the_majority_of_the_words(text: str) -> None:
    assert MemoryEmbedder().embed([text]) == [naive(text)]


def test_shared_words_are_near_and_others_far() -> None:
    right, same, near, far = MemoryEmbedder().embed(
        [
            "the capital of France is Paris",
            "Paris is the capital of france",
            "the capital city of France is Paris",
            "my dog likes to eat fish at noon",
        ]
    )
    assert (distance(right, same), distance(right, near) < 100, distance(right, far) > 140) == (0, True, True)


def test_the_name_and_length_are_free() -> None:
    embedder = MemoryEmbedder("other/16", 16)
    assert (embedder.name, embedder.bits, [len(bits) for bits in embedder.embed(["a", ""])]) == (
        "other/16",
        16,
        [2, 2],
    )
