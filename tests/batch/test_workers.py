"""Who is chosen, and why: offers, room, standing, failures, speed."""

from __future__ import annotations

from dicast.batch.workers import SLOTS_USED_MAX, WINDOW_SLOTS_MAX, Need, Workers
from dicast.daemon.api import PeerRecord

ANY = Need(1, (), (), 100)


def peer(name: str, **more: object) -> PeerRecord:
    fields = {"roles": ("worker",), "models": ("m",), "embedders": ("e",), "slots": 2, "load": 0}
    return PeerRecord(node_id=name, software="", **{**fields, **more})  # type: ignore[arg-type]


def among(*peers: PeerRecord) -> Workers:
    workers = Workers()
    workers.see("asker", peers)
    return workers


def chosen(workers: Workers, need: Need = ANY, left_out: frozenset[str] = frozenset()) -> list[str]:
    return [choice.node_id for choice in workers.choose(need, left_out, 0)]


def test_only_those_that_can_answer_are_chosen():
    workers = among(
        peer("asks", roles=()),
        peer("banned", banned="equivocation"),
        peer("other", models=("n",)),
        peer("small", contexts={"m": 64}),
        peer("suits", contexts={"m": 128}),
    )
    need = Need(1, ("m",), ("e",), 100)
    assert [chosen(workers, need) for _ in range(3)] == [["suits"], ["suits"], []]


def test_work_is_spread_and_the_fast_get_more():
    workers = among(peer("a"), peer("b"))
    assert sorted([*chosen(workers), *chosen(workers)]) == ["a", "b"]
    workers.release("a", 100.0)
    workers.release("b", 1_000.0)
    assert [*chosen(workers), *chosen(workers)] == ["a", "a"]


def test_who_withheld_or_failed_comes_last():
    workers = among(peer("a", unrevealed=8), peer("b"), peer("c", agreed=5))
    assert chosen(workers) == ["c"]
    workers.release("c")
    workers.note_failure("c", 0)
    assert [chosen(workers)[0] for _ in range(4)] == ["b", "b", "a", "a"]
    assert chosen(workers) == []
    assert [one.node_id for one in workers.choose(ANY, frozenset(), 10_000)] == ["c"]


def test_larger_frames_get_different_nodes_or_none():
    workers = among(peer("a"), peer("b"), peer("c"))
    assert sorted(chosen(workers, ANY._replace(seats=3))) == ["a", "b", "c"]
    assert chosen(workers, ANY._replace(seats=4)) == []
    assert chosen(workers, left_out=frozenset("ab")) == ["c"]


def test_a_window_grows_with_answers_and_shrinks_to_the_slots_when_busy():
    workers = among(peer("a"))
    for _ in range(2_000):
        assert chosen(workers) == ["a"]
        workers.release("a", 100.0)
    held = [chosen(workers) for _ in range(2 * WINDOW_SLOTS_MAX + 1)]
    assert held == [["a"]] * 2 * WINDOW_SLOTS_MAX + [[]]
    for _ in range(20):
        workers.note_busy("a", 0)
    assert workers._workers["a"].window == 1.0


def test_of_many_slots_some_are_left_to_others():
    workers = among(peer("a", slots=64))
    for _ in range(100):
        assert chosen(workers) == ["a"]
        workers.release("a", 100.0)
    assert [chosen(workers) for _ in range(SLOTS_USED_MAX + 1)] == [["a"]] * SLOTS_USED_MAX + [[]]


def test_the_record_says_why():
    [choice] = among(peer("a", agreed=3)).choose(ANY, frozenset(), 0)
    assert choice.why == {
        "node": "a",
        "room": 2,
        "in_flight": 0,
        "slots": 2,
        "load": 0,
        "mean_ms": None,
        "agreed": 3,
        "unrevealed": 0,
        "failed_in_a_row": 0,
        "models": ["m"],
    }
