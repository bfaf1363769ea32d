"""Ids, the canonical codec, signatures, limits, errors: what everything else stands on (pure)."""
