"""Who is right: frame, canonical text, gates, support, the draw and the verdict (pure)."""
