"""A transport that breaks its contract is left out of what the node is told; the others are not."""

from __future__ import annotations

import io
from collections.abc import Sequence

from dicast.daemon.discovery import Discovery
from dicast.daemon.logs import Log
from dicast.protocol.inputs import Input, LinksSeen
from dicast.protocol.places import Place
from dicast.transports.memory import MemoryHub, MemoryTransport


class Broken(MemoryTransport):
    """Raises when it is asked whom it is connected to."""

    name = "broken"

    def peers(self) -> Sequence[str]:
        raise RuntimeError("no idea")


class Linked(MemoryTransport):
    """Is connected to somebody."""

    name = "linked"

    def peers(self) -> Sequence[str]:
        return ["somebody"]


def test_a_transport_that_raises_is_told_of_once_and_harms_itself_alone() -> None:
    told, said, hub = list[Input](), io.StringIO(), MemoryHub()
    discovery = Discovery(
        (Broken(hub, "a"), Linked(hub, "b")), (), (), told.append, Log("warning", stream=said)
    )
    discovery.look()
    discovery.look()
    assert [one.links for one in told if isinstance(one, LinksSeen)] == [(Place("linked", "somebody"),)]
    assert said.getvalue().count("no idea") == 1
