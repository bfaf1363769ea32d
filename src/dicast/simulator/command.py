"""One world with its trace, or a sweep over many seeds: what `dicast simulate` runs."""

from __future__ import annotations

import re
import sys

from dicast.base.errors import ConfigurationError
from dicast.simulator.report import sweep_report, world_json, world_text
from dicast.simulator.sweep import run_seed, sweep

NODES_MAX = 3_000
"""Above this one world takes more than a gigabyte."""
MINUTES_MAX = 1_440
"""A day of virtual time."""


def run_command(seed: int, nodes: int, minutes: int, seeds: str, json_output: bool) -> int:
    """Run world `seed`, or every seed of `seeds` ("A..B"); exit status 1 when a property failed.

    Raises `ConfigurationError` for numbers out of range.
    """
    _check("nodes", nodes, 1, NODES_MAX)
    _check("minutes", minutes, 1, MINUTES_MAX)
    if seeds:
        failed = sweep_report(sweep(_range_of(seeds), nodes, minutes), sys.stdout, json_output=json_output)
        return 1 if failed else 0
    run = run_seed(seed, nodes, minutes, keep_lines=not json_output)
    print(world_json(run) if json_output else world_text(run))
    return 1 if run.failure else 0


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ConfigurationError(
            "out_of_range", f"{name} {value} is outside {least}…{most}.", f"Try --{name} {min(25, most)}."
        )


def _range_of(text: str) -> range:
    found = re.fullmatch(r"(\d{1,12})\.\.(\d{1,12})", text)
    if found is None or int(found[1]) > int(found[2]):
        raise ConfigurationError("bad_seeds", f"seeds {text!r} is not a range.", "Write it like 0..1999.")
    return range(int(found[1]), int(found[2]) + 1)
