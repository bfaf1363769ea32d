"""Vectors of the embedding profile: texts with their bits, and two mean vectors to the last bit."""

from __future__ import annotations

import hashlib
import math

from dicast.base.types import Json
from dicast.embedders.minilm import (
    DEAD_COMPONENTS,
    FLOAT32_MARGIN,
    FLOAT64_MARGIN,
    NAME,
    MiniLmEmbedder,
    framed_windows,
)
from dicast.embedders.minilm_reference import ORDERED, QUICK, MiniLmReference
from dicast.embedders.weights import MINILM, find_weights, missing

TEXTS = (
    "",
    "paris",
    "42",
    "yes",
    "the capital of france is paris",
    "paris is the capital of france",
    "france's capital city is paris",
    "the capital of france is lyon",
    "i cannot help with that",
    "the mona lisa was painted by leonardo da vinci",
    "leonardo da vinci painted the mona lisa around 1503",
    "mount everest, at 8,848.86 m, is the highest mountain on earth",
    "water boils at 100 °c (212 °f) at sea level",
    "naïve café, résumé; coöperate",
    "π ≈ 3.14159, e ≈ 2.71828",
    "der schnelle braune fuchs springt über den faulen hund",
    "москва, столица россии",
    "東京は日本の首都です",
    "αθήνα είναι η πρωτεύουσα της ελλάδας",
    "def f(x):\n    return x * x  # a square",
    '{"city": "oslo", "population": 709037}',
    "a" * 101,
    "tab\tand\nline feed",
    "x" * 100 + " " + "y" * 100,
)
"""Ordinary, short, foreign, accented, empty, and unknown words."""
NEAR_ZERO = (
    "The sum of 286 and 6 is 354.",
    "The sum of 483 and 667 is 750.",
    "The sum of 791 and 426 is 1390.",
)
"""Found by search: onnxruntime in float32 gives another sign here than float64."""
LONG = (
    "one two three four five six seven eight nine ten " * 30,
    "the quick brown fox jumps over the lazy dog, " * 120,
)
"""Two windows, and five."""
TO_THE_LAST_BIT = ("paris", "the capital of france is paris")


def generate() -> dict[str, Json]:
    """File name -> content."""
    path = find_weights()
    if path is None:
        raise missing()
    embedder, reference = MiniLmEmbedder(path), MiniLmReference(path)
    return {
        "embedding.json": {
            "profile": NAME,
            "weights_sha256": MINILM.sha256,
            "dead_components": list(DEAD_COMPONENTS),
            "float32_margin_exponent": int(math.log2(FLOAT32_MARGIN)),
            "float64_margin_exponent": int(math.log2(FLOAT64_MARGIN)),
            "texts": [text_vector(embedder, text) for text in TEXTS],
            "near_zero": [text_vector(embedder, text) for text in NEAR_ZERO],
            "long": [text_vector(embedder, text) for text in LONG],
            "mean_vectors": [mean_vector(reference, text) for text in TO_THE_LAST_BIT],
        }
    }


def text_vector(embedder: MiniLmEmbedder, text: str) -> Json:
    """A text, the hash of its pieces, its bits."""
    windows = framed_windows(text)
    (bits,) = embedder.embed([text])
    return {
        "text": text,
        "windows": [len(window) for window in windows],
        "pieces_sha256": pieces_digest(windows),
        "bits": bits.hex(),
    }


def pieces_digest(windows: list[list[int]]) -> str:
    """SHA-256 over the ids of all windows as u32, [CLS] and [SEP] included."""
    return hashlib.sha256(
        b"".join(piece.to_bytes(4, "big") for window in windows for piece in window)
    ).hexdigest()


def mean_vector(reference: MiniLmReference, text: str) -> Json:
    """The mean vector by the definition: 8 bytes a component, float64, most significant first."""
    windows = framed_windows(text)
    vector = reference.mean_vector(windows, ORDERED)
    assert abs(vector - reference.mean_vector(windows, QUICK)).max() < FLOAT64_MARGIN
    return {"text": text, "pieces": list(windows[0]), "components": vector.astype(">f8").tobytes().hex()}
