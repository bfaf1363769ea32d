"""What goes wrong in one world, drawn from its seed: some faults are off, the rest have wild rates."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from dicast.simulator.dice import Dice
from dicast.simulator.network import QUIET, Rates

MINUTE_MS = 60_000
SKEW_MS_MAX = 25_000
"""Two clocks differ by less than a request's freshness, so that nobody is left out by a clock."""
LOSS_PM_MAX = 200
"""One packet in five: worse than any link that people keep using."""
QUIET_START_MS = 2_000
"""Most worlds let announcements pass undisturbed: peers that never met make no rounds."""


class Stage(IntEnum):
    """Where in a batch a host dies."""

    BEFORE_WRITES = 0
    BEFORE_SENDS = 1
    AMID_SENDS = 2
    BEFORE_RUNS = 3
    AFTER = 4


class Crash(msgspec.Struct, frozen=True):
    """From `at_ms` on, the host dies within its next batch but `batches`, and is back after `down_ms`."""

    at_ms: int
    host: int
    batches: int
    stage: Stage
    down_ms: int


class Jump(msgspec.Struct, frozen=True):
    """A host's Unix clock moves at once."""

    at_ms: int
    host: int
    by_ms: int


class Partition(msgspec.Struct, frozen=True):
    """Hosts on different sides do not hear each other."""

    start_ms: int
    end_ms: int
    sides: tuple[int, ...]


class Works(msgspec.Struct, frozen=True):
    """How engines and embedders behave: delays in ms, failures in thousandths."""

    inference_ms_min: int = 20
    inference_ms_max: int = 400
    inference_fails_pm: int = 0
    inference_hangs_pm: int = 0
    embedding_ms_max: int = 20
    embedding_fails_pm: int = 0
    other_opinion_pm: int = 0
    fetch_ms_max: int = 200
    fetch_fails_pm: int = 0
    fetch_lies_pm: int = 0
    fetch_hangs_pm: int = 0


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """One world's troubles. They end at `heal_ms`; what comes after must work."""

    quiet_start_ms: int
    heal_ms: int
    end_ms: int
    rates: Rates = QUIET
    works: Works = Works()
    echo: bool = False
    forging_relay: bool = False
    relay_replays: bool = False
    """Whether a machine that comes back hears again what was said lately, as from a relay that stores."""
    skews_ms: tuple[int, ...] = ()
    crashes: tuple[Crash, ...] = ()
    jumps: tuple[Jump, ...] = ()
    partitions: tuple[Partition, ...] = ()


def no_faults(nodes: int, minutes: int) -> Faults:
    """A world in which nothing goes wrong: for benchmarks and baselines."""
    end_ms = minutes * MINUTE_MS
    return Faults(quiet_start_ms=0, heal_ms=end_ms // 2, end_ms=end_ms, skews_ms=(0,) * nodes)


def draw_faults(seed: int, nodes: int, minutes: int) -> Faults:
    """The troubles of world `seed`."""
    dice = Dice(seed, "faults")
    end_ms = minutes * MINUTE_MS
    heal_ms = end_ms // 2
    return Faults(
        quiet_start_ms=QUIET_START_MS if dice.chance(850) else 0,
        heal_ms=heal_ms,
        end_ms=end_ms,
        rates=_draw_rates(dice),
        works=_draw_works(seed, dice),
        echo=dice.chance(500),
        forging_relay=dice.chance(250),
        relay_replays=Dice(seed, "relay").chance(400),
        skews_ms=_draw_skews(dice, nodes),
        crashes=_draw_crashes(dice, nodes, heal_ms),
        jumps=_draw_jumps(dice, nodes, heal_ms),
        partitions=_draw_partitions(dice, nodes, heal_ms),
    )


def _wild(dice: Dice, most: int) -> int:
    """0 in half of the worlds, else anything up to `most`, small values as often as large ones."""
    if dice.chance(500):
        return 0
    return max(1, most >> dice.below(5)) if dice.chance(500) else dice.between(1, most)


def _draw_rates(dice: Dice) -> Rates:
    delay_ms_min = dice.between(1, 60)
    return Rates(
        loss_pm=_wild(dice, LOSS_PM_MAX),
        duplicate_pm=_wild(dice, 200),
        flip_pm=_wild(dice, 30),
        straggle_pm=_wild(dice, 100),
        delay_ms_min=delay_ms_min,
        delay_ms_max=delay_ms_min + dice.between(0, 40) + _wild(dice, 900),
        straggle_ms_max=dice.between(100, 8_000),
    )


def _draw_works(seed: int, dice: Dice) -> Works:
    return Works(
        inference_ms_max=400 + _wild(dice, 6_000),
        inference_fails_pm=_wild(dice, 150),
        inference_hangs_pm=_wild(dice, 80),
        embedding_ms_max=20 + _wild(dice, 800),
        embedding_fails_pm=_wild(dice, 80),
        other_opinion_pm=_wild(dice, 250),
        **_draw_fetching(Dice(seed, "fetching")),
    )


def _draw_fetching(dice: Dice) -> dict[str, int]:
    return {
        "fetch_ms_max": 200 + _wild(dice, 4_000),
        "fetch_fails_pm": _wild(dice, 150),
        "fetch_lies_pm": _wild(dice, 150),
        "fetch_hangs_pm": _wild(dice, 80),
    }


def _draw_skews(dice: Dice, nodes: int) -> tuple[int, ...]:
    most = _wild(dice, SKEW_MS_MAX)
    return tuple(dice.between(-most, most) for _ in range(nodes))


def _draw_crashes(dice: Dice, nodes: int, heal_ms: int) -> tuple[Crash, ...]:
    crashes = [
        Crash(
            at_ms=dice.between(0, heal_ms - 1),
            host=dice.below(nodes),
            batches=dice.below(40) if dice.chance(500) else dice.below(6),
            stage=Stage(dice.below(len(Stage))),
            down_ms=dice.between(1, 300) if dice.chance(500) else dice.between(1, 9_000),
        )
        for _ in range(_wild(dice, 40))
    ]
    return tuple(sorted(crashes, key=lambda crash: crash.at_ms))


def _draw_jumps(dice: Dice, nodes: int, heal_ms: int) -> tuple[Jump, ...]:
    return tuple(
        Jump(
            dice.between(0, heal_ms - 1),
            dice.below(nodes),
            dice.between(-30_000, 30_000) if dice.chance(700) else dice.between(-7_200_000, 7_200_000),
        )
        for _ in range(_wild(dice, 8))
    )


def _draw_partitions(dice: Dice, nodes: int, heal_ms: int) -> tuple[Partition, ...]:
    partitions: list[Partition] = []
    for _ in range(_wild(dice, 3)):
        start_ms, share_pm = dice.between(0, heal_ms - 1), dice.between(100, 900)
        sides = tuple(int(dice.chance(share_pm)) for _ in range(nodes))
        partitions.append(Partition(start_ms, min(heal_ms, start_ms + dice.between(200, 12_000)), sides))
    return tuple(partitions)
