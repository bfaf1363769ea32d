"""Limits and tags of the consensus rules, each with the reason for its value."""

from __future__ import annotations

EMBEDDER = "minilm-l6-v2/381"
"""The voting embedder of version 1."""

EMBEDDER_BITS = {EMBEDDER: 381}
"""Live bits of each embedder we know: a share of the distance is a share of these."""

BASIS_POINTS = 10_000
"""One whole, in hundredths of a percent: the judge knows no fractions."""

SEATS_MAX = 16_384
"""Seats of one case: pairs grow with the square; at this many they still take seconds, not minutes."""

CASE_BYTES_MAX = 64 * 1024 * 1024
"""Size of a case: 16,384 reveals of 2 kB and some long answers fit."""

DISTANCE_BITS_MAX = 130
"""Widest radius a frame may ask for: from 131 bits on, answers to other prompts were seen inside."""

DEADLINE_MS_MAX = 3_600_000
"""Longest time to commit: an hour, the longest a request stays open."""

REVEAL_MS_MAX = 600_000
"""Longest time to reveal: ten minutes carry a reveal through a relay that restarts."""

GRACE_MS_MAX = 600_000
"""Longest wait for late commits once the quorum is there; never longer than a reveal may take."""

UNITS_MAX = 64
"""Most tickets of one key: bounds the draw's work and what one key can weigh."""

CANDIDATES_MAX = 16_384
"""Most keys in one draw: a million tickets, drawn in seconds."""

UNPROVEN_SHARE = 8
"""All unproven keys together hold at most one seat in this many."""

POINTERS_MAX = 64
"""Most JSON pointers of a frame: each is looked up in every answer."""

LABELS_MAX = 256
"""Most labels of a frame: each is compared with every answer."""
