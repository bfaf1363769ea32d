"""Coverage-guided fuzzing of what relays, peers and servers send: `python fuzz/transports.py -runs=100000`.

Options are libFuzzer's. A crash is any exception: what comes from elsewhere raises nothing.
"""

from __future__ import annotations

import asyncio
import json
import time

import atheris
from harness.loop import fuzz

with atheris.instrument_imports(include=["dicast"]):
    from dicast.base.crypto import KeyPair
    from dicast.base.errors import LocalProtocolError
    from dicast.base.events import encode_event, sign_event
    from dicast.base.limits import PACKET_BYTES_MAX
    from dicast.daemon.stun import parse_answer
    from dicast.protocol.messages import Kind
    from dicast.transports.newcomers import Recent, head_of
    from dicast.transports.nostr_frames import Relayed, event_frame, parse_frame, parse_published, wanted_ids
    from dicast.transports.nostr_link import RelayLink
    from dicast.transports.nostr_lists import LIST_KIND, LISTS, RELAYS_TOLD_MAX, RelayLists
    from dicast.transports.nostr_terms import parse_terms
    from dicast.transports.websocket_hearsay import Hearsay

KEY = KeyPair.from_seed(b"fuzz")
TOPIC = "ab" * 32
WIRE = encode_event(sign_event(KEY, 1_790_000_000, Kind.COMMIT, [("t", TOPIC)], "{}"))
LOOP = asyncio.new_event_loop()
FRAMES_A_LINK = 50  # then a new one: a link keeps a little of what it heard


class Ends:
    """A relay's link that lives for some frames."""

    def __init__(self) -> None:
        self.left = FRAMES_A_LINK
        self.link = RelayLink("ws://127.0.0.1:9", KEY, self.take)
        self.link._topic = TOPIC
        self.link._begin()

    def take(self, wire: bytes, is_fetched: bool = False) -> None:
        assert len(wire) <= PACKET_BYTES_MAX
        assert isinstance(is_fetched, bool)

    def end(self) -> None:
        self.link._end()


ENDS: list[Ends] = []


async def ends() -> Ends:
    if not ENDS or ENDS[0].left == 0:
        for old in ENDS:
            old.end()
        ENDS[:] = [Ends()]
    ENDS[0].left -= 1
    return ENDS[0]


def read_relay(data: bytes) -> None:
    """A frame of a relay, and what the link does with it; what is relayed is a packet in canonical form."""
    frame = parse_frame(data)
    if frame is None:
        return
    if isinstance(frame, Relayed):
        assert parse_published(frame.wire) is not None

    async def take() -> None:
        one = await ends()
        one.link._take(frame)
        one.link._next_frame()

    LOOP.run_until_complete(take())


def read_terms(data: bytes) -> None:
    """A relay's document leaves room for a packet."""
    terms = parse_terms(data)
    assert terms.takes(4096, int(time.time()), int(time.time()))


def read_peer(data: bytes) -> None:
    """A frame of a mesh: hops, then a packet. MQTT, NATS and Zenoh hand over the packet alone."""
    head = head_of(data[1:])
    recent = Recent()
    recent.add(data[1:])
    assert len(recent.again()) <= 1
    published = parse_published(data)
    if published is not None:
        assert len(wanted_ids(published)) <= 64
    assert head is None or isinstance(head.kind, int)


def read_list(data: bytes) -> None:
    """A relay list, and what becomes of the relays in it."""
    hearsay = Hearsay(with_loopback=True)
    lists = RelayLists(KEY, ["wss://relay.example.org"], lambda url: bool(hearsay.add(url)))
    lists.note(KEY.node_id)
    lists.question()
    lists.answer(Relayed(LISTS, data, LIST_KIND, 0))
    relays = [["r", part] for part in data.decode("utf-8", "ignore").replace("\0", "").split("\n")][:20]
    try:
        genuine = encode_event(sign_event(KEY, 1, LIST_KIND, relays, ""))
    except LocalProtocolError:
        return
    lists.answer(Relayed(LISTS, genuine, LIST_KIND, 0))
    assert len(hearsay) <= 2 * RELAYS_TOLD_MAX


def read_stun(data: bytes) -> None:
    """An answer of a STUN server."""
    found = parse_answer(data)
    assert found is None or 0 <= found[1][1] <= 65_535


READERS = (read_relay, read_terms, read_peer, read_stun, read_list)


def seeds() -> list[bytes]:
    """One well-formed thing for each reader."""
    event = json.loads(WIRE)
    frames = [["EVENT", "live", event], ["EOSE", "live"], ["OK", "ab" * 32, False, "rate-limited: no"]]
    frames += [["CLOSED", "live", "error: no"], ["NOTICE", "slow"], ["AUTH", "challenge"], ["EOSE", "older"]]
    document = {"limitation": {"max_message_length": 9000, "max_subscriptions": 2, "auth_required": True}}
    answer = b"\x01\x01\x00\x0c\x21\x12\xa4\x42" + bytes(12) + b"\x00\x20\x00\x08\x00\x01" + bytes(6)
    relay = [b"\0" + json.dumps(frame).encode() for frame in frames] + [b"\0" + event_frame(WIRE)]
    return [
        *relay,
        b"\1" + json.dumps(document).encode(),
        b"\2\x08" + WIRE,
        b"\3" + answer,
        b"\4wss://a.example\nws://127.0.0.1:1",
    ]


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    READERS[data[0] % len(READERS) if data else 0](data[1:])


if __name__ == "__main__":
    fuzz(one_input, seeds())
