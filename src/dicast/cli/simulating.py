"""`dicast simulate` on the command line; the command itself is in `cli/simulate.py`."""

from __future__ import annotations

from dicast.cli.common import DEFAULTS, Common


def simulate(
    *, seed: int = 1, nodes: int = 25, minutes: int = 1, seeds: str = "", common: Common = DEFAULTS
) -> int:
    """Run a simulated network; the same seed gives the same trace. Exit 1 when a property failed.

    Parameters
    ----------
    seed
        Decides everything.
    nodes
        How many nodes.
    minutes
        How much virtual time.
    seeds
        Run many worlds: a range like 0..1999.
    """
    from dicast.cli.simulate import simulate_command

    return simulate_command(seed, nodes, minutes, seeds, common.json)
