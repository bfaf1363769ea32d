"""How long a verdict takes: distances and support, and the whole judge, beside a plain loop over pairs.

Run `python benchmarks/judge.py`; one core is enough. Processor times: medians of several runs with the spread
from the fastest to the slowest; "× loop" is how many times faster than the plain loop of the same run.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from dicast.base.codec import encode
from dicast.consensus.bits import packed_words
from dicast.consensus.case import Case, CaseCommit, CaseRequest, CaseReveal, parse_case
from dicast.consensus.constants import GATES
from dicast.consensus.frame import JudgedFrame
from dicast.consensus.judge import judge
from dicast.consensus.selection import commit_digest
from dicast.consensus.support import Crowd, Layer, tally

SIZES = (10, 30, 100, 300, 1000, 2000, 4000)
BITS = 768
RADIUS = 200
HEADLINE = 1000
LOOP_MAX = 1000
"""The plain loop is measured up to here and grows with the square: larger sizes are extrapolated."""
WORD_GATES = tuple(gate for gate in GATES if gate != "json")
REQUEST_ID, SALT = "ab" * 32, "cd" * 32
PROMPT = "Which city is the capital of the country, and since when?"
OPENINGS = (
    "As far as is known",
    "According to the records",
    "In short",
    "Most sources say that",
    "To be precise",
)
ENDINGS = ("of that land", "of the country", "over there", "as of now", "to this day")


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    generator = random.Random(20_261_120)
    print(
        f"{os.cpu_count()} cores, one used; {BITS} bits; medians of {repeats} runs (fastest … slowest), ms\n"
    )
    columns = ("n", "distances+support", "plain loop", "× loop", "judge", "all gates")
    print("".join(name.rjust(width) for name, width in zip(columns, (5, 27, 12, 8, 27, 27), strict=True)))
    headline: tuple[float, float, float] = (0, 0, 0)
    per_pair = 0.0
    for size in SIZES:
        case = case_of(size, generator, ())
        gated = case_of(size, generator, WORD_GATES)
        count = repeats if size <= HEADLINE else max(3, repeats // 5)
        fast = measure(lambda case=case: support_of(case), count)
        if size <= LOOP_MAX:
            loop = statistics.median(measure(lambda case=case: plain_support(case), 3))
            per_pair = loop / size**2
        else:
            loop = per_pair * size**2
        whole = measure(lambda case=case: judge(case), count)
        all_gates = measure(lambda gated=gated: judge(gated), count)
        mark = "" if size <= LOOP_MAX else "~"
        speedup = loop / statistics.median(fast)
        print(
            f"{size:>5}{spread(fast):>27}{mark + format(loop, '.1f'):>12}{speedup:>7.1f}×"
            f"{spread(whole):>27}{spread(all_gates):>27}"
        )
        if size == HEADLINE:
            headline = (statistics.median(fast), statistics.median(whole), statistics.median(all_gates))
    report(headline)
    return 0


def report(headline: tuple[float, float, float]) -> None:
    """Compare the headline figures with their targets."""
    names = ("distances and support", "whole judge, no gates", "whole judge, all gates")
    print(f"\nn = {HEADLINE}, answers of about 80 characters:")
    for name, found, target in zip(names, headline, (12, 20, 60), strict=True):
        print(f"  {name:<24}{found:>7.1f} ms, target ≤ {target} ms{'' if found <= target else '   MISSED'}")


def case_of(size: int, generator: random.Random, gates: tuple[str, ...]) -> Case:
    """A round in which four in five agree: wordings differ, bits are scattered around two centres."""
    centers = [generator.randbytes(BITS // 8) for _ in range(2)]
    commits: list[CaseCommit] = []
    reveals: list[CaseReveal] = []
    for index in range(size):
        key, salt = f"{index + 1:064x}", generator.randbytes(32).hex()
        center = centers[generator.random() < 0.2]
        answer = wording(index, generator)
        commits.append(CaseCommit(key, commit_digest(REQUEST_ID, key, salt, answer, "m")))  # type: ignore[arg-type]
        reveals.append(CaseReveal(key, answer, "m", salt, {"bench": scattered(center, generator).hex()}))
    frame = JudgedFrame(size // 2 + 1, 6_600, {"bench": RADIUS}, gates)
    request = CaseRequest(REQUEST_ID, frame, PROMPT)
    return parse_case(encode(Case(1, request, SALT, tuple(commits), tuple(reveals))))


def wording(index: int, generator: random.Random) -> str:
    """About 80 characters; every answer is a text of its own, numbers and names differ in one of ten."""
    city = "Lyon" if generator.random() < 0.1 else "Paris"
    year = 1790 + generator.randrange(10) if generator.random() < 0.1 else 1789
    opening, ending = generator.choice(OPENINGS), generator.choice(ENDINGS)
    filler = "".join(chr(97 + index // 26**place % 26) for place in range(3))
    return f"{opening}, {city} has been the {filler} capital {ending} since the year {year}."


def scattered(center: bytes, generator: random.Random) -> bytes:
    """A centre with about one bit in eight flipped."""
    number = int.from_bytes(center, "big")
    for _ in range(BITS // 8):
        number ^= 1 << generator.randrange(BITS)
    return number.to_bytes(BITS // 8, "big")


def support_of(case: Case) -> list[int]:
    """From hex to the support of every answer."""
    count = len(case.reveals)
    words = packed_words([reveal.embeddings["bench"] for reveal in case.reveals])
    everybody = np.ones(count, np.bool_)
    crowd = Crowd(np.ones(count, np.int64), np.arange(count), everybody, (Layer(words, RADIUS),), ())
    return tally(crowd).support.tolist()


def plain_support(case: Case) -> list[int]:
    """The baseline: each pair once, as big integers."""
    numbers = [int(reveal.embeddings["bench"], 16) for reveal in case.reveals]
    support = [1] * len(numbers)
    for one, number in enumerate(numbers):
        for other in range(one):
            if (number ^ numbers[other]).bit_count() <= RADIUS:
                support[one] += 1
                support[other] += 1
    return support


def measure(work: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds of each run after one to warm up."""
    work()
    return [timed(work) for _ in range(repeats)]


def timed(work: Callable[[], object]) -> float:
    """Milliseconds of one run."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def spread(times: list[float]) -> str:
    """Median, fastest and slowest."""
    return f"{statistics.median(times):.1f} ({min(times):.1f} … {max(times):.1f})"


if __name__ == "__main__":
    sys.exit(main())
