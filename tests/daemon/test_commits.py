"""Group commit: what was said had been written before, wherever the store fails or the machine dies."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.errors import AdapterError
from dicast.daemon.commits import Commits
from dicast.protocol.outputs import Batch, Delete, Put, Send, Write
from dicast.stores.memory import MemoryStore


class FailingStore:
    """A store whose nth write fails, before it is durable or just after it."""

    def __init__(self, fails_at: int, is_durable: bool) -> None:
        self._kept = MemoryStore()
        self.load = self._kept.load
        self.get = self._kept.get
        self.close = self._kept.close
        self.durable: list[Write] = []
        self.groups = 0
        self._fails_at = fails_at
        self._is_durable = is_durable

    def apply(self, writes: Sequence[Write]) -> None:
        """Keep all writes of a group, or none."""
        self.groups += 1
        fails = self.groups == self._fails_at
        if not fails or self._is_durable:
            self._kept.apply(writes)
            self.durable.extend(writes)
        if fails:
            raise AdapterError("store_failed", "The machine died.")


KEYS = st.sampled_from(["a", "b", "c"])
WRITES = st.one_of(
    st.builds(Put, st.just("round"), KEYS, st.binary(max_size=2)), st.builds(Delete, st.just("round"), KEYS)
)
GROUPS = st.lists(st.lists(st.tuples(st.lists(WRITES, max_size=2), st.booleans()), max_size=5), max_size=6)


@given(GROUPS, st.integers(0, 6), st.booleans())
def test_what_is_sent_was_written_with_all_before_it(
    shapes: list[list[tuple[list[Write], bool]]], fails_at: int, is_durable: bool
) -> None:
    number = 0
    groups: list[list[Batch]] = []
    for shape in shapes:
        groups.append([])
        for writes, speaks in shape:
            sends = (Send(b"%d" % number),) if speaks else ()
            groups[-1].append(Batch(writes=tuple(writes), sends=sends))
            number += 1
    batches = [batch for group in groups for batch in group]
    store = FailingStore(fails_at, is_durable)
    acted: list[Batch] = []

    def act(batch: Batch) -> None:
        acted.append(batch)
        before = [write for one in batches[: len(acted)] for write in one.writes]
        assert store.durable[: len(before)] == before

    async def drive() -> None:
        commits = Commits(store, act)
        for group in groups:
            await commits.perform(group)

    writing = [index for index, group in enumerate(groups) if any(batch.writes for batch in group)]
    if 0 < fails_at <= len(writing):
        with pytest.raises(AdapterError, match="store_failed"):
            asyncio.run(drive())
        failed = writing[fails_at - 1]
        first = next(index for index, batch in enumerate(groups[failed]) if batch.writes)
        done = [batch for group in groups[:failed] for batch in group] + groups[failed][:first]
    else:
        asyncio.run(drive())
        done = batches
    assert acted == done
    kept = [write for batch in done for write in batch.writes]
    assert store.durable[: len(kept)] == kept
    again = MemoryStore()
    again.apply(store.durable)
    assert list(store.load("round")) == list(again.load("round"))


@pytest.mark.anyio
async def test_inputs_that_wait_together_are_written_at_once(network) -> None:
    from dicast.daemon import api

    node = await network.add("node")
    written: list[int] = []
    apply = node.store.apply

    def counted(writes: Sequence[Write]) -> None:
        written.append(len(writes))
        apply(writes)

    node.store.apply = counted
    questions = [api.Ask(prompt=f"What is {number}?", quorum=1) for number in range(4)]
    answers = await asyncio.gather(*(node.service.answer(call, lambda _: None) for call in questions))
    assert [answer.outcome for answer in answers] == ["accepted"] * 4
    assert len(written) < sum(written)
