"""What a node weighs and how soon the command answers: memory of real processes, time of whole commands.

Run `python benchmarks/footprint.py`. Separate processes: a relay, three nodes that answer and vote (the
heaviest is shown), and a follower that asks, loads no embedder and so needs signatures. Memory is
the resident set after a round, in MB (10^6 bytes). "× python" is beside a Python process that does nothing.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

DICAST = (sys.executable, "-m", "dicast.cli")
QUESTION = "What is the capital of France?"
MEMORY_MB_MAX = {"follower": 90, "validator": 220}
TIME_MS_MAX = {"--version": 60, "--help": 250}
START_S = 60.0


def main() -> int:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=11)
    repeats = parser.parse_args().repeats
    print(f"{'command':12} {'median ms (fastest … slowest)':>34} {'× python':>9}  target")
    idle = _time((sys.executable, "-c", "pass"), repeats)
    for word, limit_ms in TIME_MS_MAX.items():
        times = _time((str(Path(sys.executable).parent / "dicast"), word), repeats)
        ratio = statistics.median(times) / statistics.median(idle)
        print(f"{word:12} {_spread(times):>34} {ratio:9.1f}  ≤ {limit_ms}")
    print(f"{'python':12} {_spread(idle):>34} {1:9.1f}\n")
    with tempfile.TemporaryDirectory() as folder:
        _weigh(Path(folder))
    return 0


def _time(command: tuple[str, ...], repeats: int) -> list[float]:
    times: list[float] = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append((time.perf_counter() - began) * 1000)
    return times[1:]


def _spread(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} ({min(times):.0f} … {max(times):.0f})"


def _weigh(folder: Path) -> None:
    ready = folder / "address"
    processes = [
        subprocess.Popen((*DICAST, "relay", "--port", "0", "--ready-file", str(ready)), stdout=-3, stderr=-3)
    ]
    try:
        _until(ready.exists)
        relay = ("--relay", ready.read_text().strip())
        config = folder / "follower.toml"
        config.write_text("roles = []\n[embedders.minilm]\nenabled = false\n")
        follower = ("--state-dir", str(folder / "follower"), "--config", str(config))
        nodes = [("--state-dir", str(folder / f"validator-{number}")) for number in range(3)]
        for words in (*nodes, follower):
            processes.append(
                subprocess.Popen((*DICAST, "up", "--no-dashboard", *words, *relay), stdout=-3, stderr=-3)
            )
        _until(lambda: _peers(follower) == len(nodes))
        ask = (*DICAST, "ask", "--quorum", "3", "--temperature", "0", *follower, QUESTION)
        subprocess.run(ask, capture_output=True, check=True)
        idle = _megabytes(subprocess.Popen((sys.executable, "-c", "input()"), stdin=-1))
        sizes = [_megabytes(process) for process in processes]
        print(f"{'process':12} {'resident MB':>12} {'× python':>9}  target")
        for name, size in (("relay", sizes[0]), ("validator", max(sizes[1:4])), ("follower", sizes[4])):
            target = f"≤ {MEMORY_MB_MAX[name]}" if name in MEMORY_MB_MAX else ""
            print(f"{name:12} {size:12.0f} {size / idle:9.1f}  {target}")
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _peers(state: tuple[str, ...]) -> int:
    done = subprocess.run((*DICAST, "peers", "--json", *state), capture_output=True, check=False, text=True)
    return done.stdout.count('"node_id"')


def _megabytes(process: subprocess.Popen[bytes]) -> float:
    time.sleep(0.5)
    size = psutil.Process(process.pid).memory_info().rss / 1e6
    if process.stdin is not None:
        process.communicate(b"\n")
    return size


def _until(holds: object) -> None:
    end = time.monotonic() + START_S
    assert callable(holds)
    while not holds():
        if time.monotonic() > end:
            sys.exit("the processes did not find each other")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
