"""The page on simulation names what there is."""

from __future__ import annotations

from pathlib import Path

from dicast.simulator.checkers import CHECKERS
from dicast.simulator.round_checkers import ROUND_CHECKERS
from dicast.simulator.scenario import ADVERSARIES
from dicast.simulator.watchers import RebuiltIsTheSame, RefusalsChangeNothing, check_blobs, check_memory

PAGE = (Path(__file__).parents[2] / "spec/30-simulation.md").read_text()
WATCHERS = (RebuiltIsTheSame, RefusalsChangeNothing, check_blobs, check_memory)


def test_the_page_names_every_adversary_and_every_checker():
    checkers = {checker.__name__ for checker in (*CHECKERS, *ROUND_CHECKERS, *WATCHERS)}
    assert sorted(name for name in {*ADVERSARIES, *checkers} if f"`{name}`" not in PAGE) == []
