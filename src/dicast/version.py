"""The version of this program, kept apart so that reading it costs nothing."""

VERSION = "0.1.0"
"""Equal to the one in `pyproject.toml`; a test holds them together."""
