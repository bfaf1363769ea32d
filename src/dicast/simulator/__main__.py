"""`python -m dicast.simulator`: the same as `dicast simulate`, for a checkout without the command."""

from __future__ import annotations

import argparse
import sys

from dicast.simulator.command import run_command


def main() -> int:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(prog="python -m dicast.simulator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--nodes", type=int, default=25)
    parser.add_argument("--minutes", type=int, default=1)
    parser.add_argument("--seeds", default="", help="A..B: run every seed from A to B, B included")
    parser.add_argument("--json", action="store_true", dest="json_output")
    flags = parser.parse_args()
    return run_command(flags.seed, flags.nodes, flags.minutes, flags.seeds, flags.json_output)


if __name__ == "__main__":
    sys.exit(main())
