"""The checkers of attached questions hold on an honest round, and each is shown one in which it does not."""

from __future__ import annotations

import msgspec
import pytest

from dicast.base.types import EventId
from dicast.protocol.messages import Kind, Message
from dicast.simulator import question_checkers
from dicast.simulator.ledger import Violation
from dicast.simulator.sweep import check_world
from dicast.simulator.watchers import check_blobs

LONG = "Which tree is it? " + "It stands there. " * 4_000


def fails(checker, world, match):
    with pytest.raises(Violation, match=match) as caught:
        checker(world.ledger, world.faults)
    assert caught.value.checker == checker.__name__


@pytest.fixture
def world(one_round):
    return one_round(prompt=LONG, encrypted=True)


def test_an_honest_round_keeps_every_property(world):
    check_world(world)
    kinds = (Kind.COMMIT, Kind.REVEAL, Kind.SIGNATURE)
    assert [len(world.ledger.of_kind(kind)) for kind in kinds] == [5] * 3
    assert (len(world.ledger.shared), len(world.ledger.fetched)) == (1, 5)
    assert all(not host.blobs for host in world.hosts)


def test_an_engine_that_is_given_something_else(world):
    work = world.ledger.ran[0]
    job = msgspec.structs.replace(work.job, messages=(Message("user", "Which bird is it?"),))
    world.ledger.ran.append(msgspec.structs.replace(work, job=job))
    fails(question_checkers.only_what_was_asked_runs, world, "runs another question")


def test_somebody_fetches_who_has_no_seat(world):
    world.ledger.fetched.append(msgspec.structs.replace(world.ledger.fetched[0], host=0))
    fails(question_checkers.only_members_fetch, world, "n0 gets")


def test_a_question_that_is_shared_in_the_open(world):
    shared = world.ledger.shared[0]
    world.ledger.shared.append(msgspec.structs.replace(shared, data=b'{"messages":[]}'))
    fails(question_checkers.attached_stay_sealed, world, "shares it in the open")


def test_a_blob_that_nobody_lets_go(world):
    world.hosts[2].blobs[EventId("ab" * 32)] = ("cd" * 32, b"x")
    with pytest.raises(Violation, match="still keeps abababab"):
        check_blobs(world)
