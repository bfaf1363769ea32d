"""Memory that forgets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.base.expiring import ExpiringMap, SeenIds

steps = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcdef")), max_size=60)


@given(steps)
def test_an_id_is_remembered_one_window_and_forgotten_after_two(moves: list[tuple[int, str]]) -> None:
    seen = SeenIds(50, 100)
    last: dict[str, int] = {}
    now = 0
    for step, name in moves:
        now += step
        age = now - last[name] if name in last else 1_000
        is_new = seen.add(name, now)
        assert is_new or age < 100
        assert not is_new or age >= 50
        last[name] = now if is_new else last[name]


@given(st.lists(st.integers(0, 10_000)), st.integers(1, 20))
def test_seen_ids_are_bounded(numbers: list[int], limit: int) -> None:
    seen = SeenIds(1_000_000, limit)
    for number in numbers:
        seen.add(str(number), 0)
        assert seen.has(str(number), 0)
        assert len(seen) <= 2 * limit


def test_a_long_silence_forgets_both_generations() -> None:
    seen = SeenIds(10, 9)
    assert seen.add("a", 5)
    assert not seen.add("a", 9)
    assert (seen.has("a", 25), len(seen)) == (False, 0)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 99))), st.integers(1, 4), st.integers(0, 99)
)
def test_a_map_keeps_the_latest_and_gives_up_what_is_due(
    puts: list[tuple[str, int]], limit: int, now: int
) -> None:
    kept: ExpiringMap[str, int] = ExpiringMap(limit)
    model: dict[str, int] = {}
    for key, expires in puts:
        model.pop(key, None)
        oldest = model.pop(next(iter(model))) if len(model) == limit else None
        model[key] = expires
        assert kept.put(key, expires, expires) == oldest
    assert dict(kept.items()) == model
    assert kept.deadline_ms == min(model.values(), default=None)
    assert {key: kept.get(key, now) for key in model} == {
        key: expires if now < expires else None for key, expires in model.items()
    }
    assert kept.expire(now) == [(key, expires) for key, expires in model.items() if expires <= now]
    assert len(kept) == sum(expires > now for expires in model.values())


def test_a_map_takes_out_and_puts_anew() -> None:
    kept: ExpiringMap[str, int] = ExpiringMap(2)
    kept.put("a", 1, 10)
    kept.put("b", 2, 10)
    kept.put("a", 3, 20)
    assert kept.put("c", 4, 10) == 2
    assert (kept.pop("a"), kept.pop("a"), list(kept.items())) == (3, None, [("c", 4)])
