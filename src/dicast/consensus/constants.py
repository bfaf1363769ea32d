"""Limits and tags of the consensus rules, each with the reason for its value."""

from __future__ import annotations

EMBEDDER = "minilm-l6-v2/381"
"""The voting embedder of version 1."""

EMBEDDER_BITS = {EMBEDDER: 381}
"""Live bits of each embedder we know: a share of the distance is a share of these."""

BASIS_POINTS = 10_000
"""One whole, in hundredths of a percent: the judge knows no fractions."""

DISTANCE_BITS_MAX = 130
"""Widest radius a frame may ask for: from 131 bits on, answers to other prompts were seen inside."""

CANDIDATES_MAX = 16_384
"""Most keys in one draw: a million tickets, drawn in seconds."""

UNPROVEN_SHARE = 8
"""All unproven keys together hold at most one seat in this many."""

POINTERS_MAX = 64
"""Most JSON pointers of a frame: each is looked up in every answer."""

LABELS_MAX = 256
"""Most labels of a frame: each is compared with every answer."""

GATES = (
    "numbers",
    "entities",
    "polarity",
    "numbers_strict",
    "entities_strict",
    "polarity_strict",
    "json",
)
"""Every gate a frame may name."""

EMBEDDING_BYTES_MAX = 4096
"""Longest embedding, ten times any in use: a distance fits 16 bits, those of all seats together fit 32."""
