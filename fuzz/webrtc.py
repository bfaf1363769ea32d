"""Coverage-guided fuzzing of what WebRTC peers and meeting points send: `python fuzz/webrtc.py -runs=100000`.

Options are libFuzzer's. A crash is any exception: what comes from elsewhere raises nothing.
"""

from __future__ import annotations

import asyncio

import atheris
from harness.loop import fuzz

with atheris.instrument_imports(include=["dicast"]):
    from dicast.base.limits import PACKET_BYTES_MAX
    from dicast.transports import trystero_frames as frames
    from dicast.transports.signalling import Party, Signaller
    from dicast.transports.signalling_nostr import NostrSignaller
    from dicast.transports.signalling_tracker import TrackerSignaller
    from dicast.transports.trystero import Room, Signal, is_id, parse_signal
    from dicast.transports.webrtc_connection import IceSettings, PeerConnection
    from dicast.transports.webrtc_link import PeerLink

ROOM = Room("ab" * 32)
LOOP = asyncio.new_event_loop()
ACTIONS = (
    frames.PACKET,
    frames.PEERS,
    frames.PING,
    frames.PONG,
    frames.READY,
    frames.LEAVE,
    frames.HANDSHAKE,
)


def hear(_: Signaller, signal: Signal) -> None:
    assert is_id(signal.peer_id)
    ROOM.open(signal.offer or signal.answer or signal.candidate)


def take_packet(_: PeerLink, hops: int, wire: bytes) -> bool:
    assert 0 <= hops <= 8
    assert len(wire) <= PACKET_BYTES_MAX
    return False


async def made() -> tuple[PeerLink, NostrSignaller, TrackerSignaller]:
    connection = PeerConnection(IceSettings())
    link = PeerLink("node" + "x" * 16, connection, ROOM.token, take_packet)
    return link, NostrSignaller("ws://127.0.0.1:9"), TrackerSignaller("ws://127.0.0.1:9")


LINK, RELAY, TRACKER = LOOP.run_until_complete(made())
PARTY = Party("node" + "y" * 16, ROOM, hear)


def read_frame(data: bytes) -> None:
    """A frame as it comes, and one whose room is right."""
    LINK.take(data)
    LINK.take(b"\x01\x00\x40" + ROOM.token + data)


def read_signals(data: bytes) -> None:
    """What relays, brokers and trackers bring."""
    parse_signal(data)
    RELAY._take(PARTY, data)
    TRACKER._take(PARTY, data)


READERS = (read_frame, read_signals)


def seeds() -> list[bytes]:
    """One well-formed thing of each kind."""
    messages = [frames.Message(action, b'["a"]', b'{"hops":1}') for action in ACTIONS]
    parts = [part for one in messages for part in frames.frames(ROOM.token, one, 1)]
    offer = b'{"action":"announce","peer_id":"a","offer_id":"b","offer":{"type":"offer","sdp":"1$A"}}'
    signals = [b'{"peerId":"a","offer":"1,2$AAAA","offerId":"b"}', offer]
    return (
        [b"\0" + part for part in parts]
        + [b"\0" + part[67:] for part in parts]
        + [b"\1" + one for one in signals]
    )


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    READERS[data[0] % len(READERS) if data else 0](data[1:])


if __name__ == "__main__":
    fuzz(one_input, seeds())
