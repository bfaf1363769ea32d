"""`dicast simulate`: one world with its trace, or a sweep over many seeds."""

from __future__ import annotations


def simulate_command(seed: int, nodes: int, minutes: int, seeds: str = "", json_output: bool = False) -> int:
    """Run world `seed`, or every seed of `seeds` ("A..B"); exit status 1 when a property failed.

    Raises `ConfigurationError` for numbers out of range.
    """
    from dicast.simulator.command import run_command

    return run_command(seed, nodes, minutes, seeds, json_output)
