"""Repeats: what is sent again, and when the next is due, is what a look at every entry would find."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dicast.base.limits import RESEND_MS_FIRST, RESEND_MS_MAX
from dicast.base.types import RequestId
from dicast.protocol.repeats import Repeats

STEPS = ("request", "quorum", "close")
rounds = st.sampled_from([RequestId(name) for name in "abc"])
actions = st.one_of(
    st.tuples(st.just("begin"), rounds, st.sampled_from(STEPS), st.integers(0, 40_000)),
    st.tuples(st.just("stop"), rounds, st.sampled_from(STEPS), st.just(0)),
    st.tuples(st.just("forget"), rounds, st.just(""), st.just(0)),
    st.tuples(st.just("pass"), st.just(RequestId("")), st.just(""), st.integers(0, 9_000)),
)


class Scanned:
    """The same by looking at every entry each time."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], list] = {}

    def put_off(self, key, wire, interval_ms, now_ms, until_ms) -> None:
        self.entries[key] = [wire, now_ms + interval_ms, interval_ms, until_ms]
        if now_ms + interval_ms >= until_ms:
            del self.entries[key]

    def take_due(self, now_ms) -> list[bytes]:
        sent = []
        for key, (wire, due_ms, interval_ms, until_ms) in list(self.entries.items()):
            if now_ms < due_ms:
                continue
            if now_ms < until_ms:
                sent.append(wire)
                self.put_off(key, wire, min(2 * interval_ms, RESEND_MS_MAX), now_ms, until_ms)
            else:
                del self.entries[key]
        return sent


@given(st.lists(actions, max_size=60))
def test_repeats_are_what_a_scan_finds(given_actions) -> None:
    repeats, scanned, now_ms = Repeats(), Scanned(), 0
    for number, (action, name, step, amount) in enumerate(given_actions):
        match action:
            case "begin":
                wire = b"%d" % number
                repeats.begin(name, step, wire, now_ms, now_ms + amount)
                scanned.put_off((name, step), wire, RESEND_MS_FIRST, now_ms, now_ms + amount)
            case "stop":
                repeats.stop(name, step)
                scanned.entries.pop((name, step), None)
            case "forget":
                repeats.forget(name)
                scanned.entries = {key: one for key, one in scanned.entries.items() if key[0] != name}
            case _:
                now_ms += amount
                assert repeats.take_due(now_ms) == scanned.take_due(now_ms)
        due = [one[1] for one in scanned.entries.values()]
        assert (repeats.deadline_ms, len(repeats)) == (min(due, default=None), len(due))
