"""Every store answers alike; what is asked here is all that a node relies on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.base.errors import LocalProtocolError
from dicast.ports import Store
from dicast.protocol.outputs import Delete, Put, Write
from dicast.stores.memory import MemoryStore
from dicast.stores.sqlite import SqliteStore

MakeStore = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    opened: list[Store] = []

    def make() -> Store:
        path = tmp_path / f"store-{len(opened)}.db"
        opened.append(MemoryStore() if request.param == "memory" else SqliteStore(path))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def test_a_fresh_store_is_empty(make_store: MakeStore) -> None:
    store = make_store()
    assert (list(store.load("round")), store.get("round", "a")) == ([], None)


def test_a_batch_is_applied_in_order(make_store: MakeStore) -> None:
    store = make_store()
    store.apply(
        [Put("round", "a", b"1"), Put("round", "a", b"2"), Put("round", "b", b"3"), Delete("round", "b")]
    )
    assert list(store.load("round")) == [("a", b"2")]


def test_tables_are_apart(make_store: MakeStore) -> None:
    store = make_store()
    store.apply([Put("round", "a", b"1"), Put("peer", "a", b"2"), Delete("peer", "zzz")])
    assert (list(store.load("round")), list(store.load("peer"))) == ([("a", b"1")], [("a", b"2")])


def test_deleting_what_is_not_there_is_harmless(make_store: MakeStore) -> None:
    store = make_store()
    store.apply([Delete("round", "a")])
    store.apply([])
    assert list(store.load("round")) == []


def test_keys_come_in_code_point_order(make_store: MakeStore) -> None:
    store = make_store()
    keys = ["b", "a", "B", "é", "", "a\x00b", "aa", "\U0001f600", "\uffff"]
    store.apply([Put("t", key, key.encode()) for key in keys])
    assert list(store.load("t")) == [(key, key.encode()) for key in sorted(keys)]


def test_any_bytes_are_kept(make_store: MakeStore) -> None:
    store = make_store()
    values = {"empty": b"", "zeros": bytes(4096), "all": bytes(range(256)), "large": b"x" * 1_000_000}
    store.apply([Put("t", key, value) for key, value in values.items()])
    assert {key: store.get("t", key) for key in values} == values


def test_a_long_table_is_read_whole(make_store: MakeStore) -> None:
    store = make_store()
    rows = [(f"{number:05}", b"%d" % number) for number in range(1000)]
    store.apply([Put("t", key, value) for key, value in rows])
    assert list(store.load("t")) == rows


def test_a_table_may_change_while_it_is_read(make_store: MakeStore) -> None:
    store = make_store()
    store.apply([Put("t", f"{number:05}", b"") for number in range(500)])
    for key, _ in store.load("t"):
        store.apply([Delete("t", key)])
    assert list(store.load("t")) == []


def test_closing_twice_is_harmless_and_using_it_then_is_our_mistake(make_store: MakeStore) -> None:
    store = make_store()
    store.close()
    store.close()
    for call in (
        lambda: store.apply([Put("t", "a", b"")]),
        lambda: store.get("t", "a"),
        lambda: list(store.load("t")),
    ):
        with pytest.raises(LocalProtocolError) as caught:
            call()
        assert caught.value.code == "store_closed"


_KEYS = st.sampled_from(["a", "b", "c"])
_TABLES = st.sampled_from(["round", "peer"])
_WRITES = st.lists(
    st.lists(
        st.builds(Put, _TABLES, _KEYS, st.binary(max_size=8)) | st.builds(Delete, _TABLES, _KEYS), max_size=6
    ),
    max_size=8,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_WRITES)
def test_any_batches_leave_what_a_dictionary_holds(make_store: MakeStore, batches: list[list[Write]]) -> None:
    store = make_store()
    expected: dict[tuple[str, str], bytes] = {}
    for batch in batches:
        store.apply(batch)
        for write in batch:
            if isinstance(write, Put):
                expected[write.table, write.key] = write.value
            else:
                expected.pop((write.table, write.key), None)
    held = {(table, key): value for table in ("round", "peer") for key, value in store.load(table)}
    assert held == expected
