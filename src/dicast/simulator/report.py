"""What people read: the trace of one world, the summary of many."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import TextIO

from dicast.simulator.sweep import Run


def world_text(run: Run) -> str:
    """The trace of one world, its digest, and how its questions ended."""
    lines = [*run.lines, "", *_facts(run)]
    if run.failure:
        lines += [f"FAILED {run.failure}", f"replay: {run.replay}"]
    return "\n".join(lines)


def world_json(run: Run) -> str:
    """The same for programs, on one line."""
    facts = {
        "seed": run.seed,
        "nodes": run.nodes,
        "minutes": run.minutes,
        "digest": run.digest,
        "handled": run.handled,
        "packets": run.packets,
        "rounds": run.rounds,
        "failure": run.failure,
        "replay": run.replay,
    }
    return json.dumps(facts, sort_keys=True)


def sweep_report(runs: Iterable[Run], out: TextIO, *, json_output: bool) -> int:
    """Print failures as they come and a summary at the end; how many seeds failed."""
    worlds, failed, handled, packets, seconds = 0, 0, 0, 0, 0.0
    rounds: Counter[str] = Counter()
    for run in runs:
        worlds, failed = worlds + 1, failed + bool(run.failure)
        handled, packets, seconds = handled + run.handled, packets + run.packets, seconds + run.seconds
        rounds.update(run.rounds)
        if json_output:
            print(world_json(run), file=out)
        elif run.failure:
            print(f"FAILED {run.failure}\nreplay: {run.replay}", file=out, flush=True)
    if not json_output:
        rate = round(handled / seconds) if seconds else 0
        print(
            f"{worlds} worlds, {failed} failed; {packets} packets, {handled} inputs, {rate} inputs/s",
            file=out,
        )
        print("questions ended: " + _counts(dict(sorted(rounds.items()))), file=out)
    return failed


def _facts(run: Run) -> list[str]:
    return [
        f"seed {run.seed}: {run.nodes} nodes, {run.minutes} min, {run.packets} packets, {run.handled} inputs",
        "questions ended: " + _counts(run.rounds),
        f"digest {run.digest}",
    ]


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none was asked"
