"""Coverage-guided fuzzing of what brokers, servers and peers of each network send: `python fuzz/adapters.py`.

Nostr is in `transports.py`, WebRTC in `webrtc.py`, BitTorrent in `content.py`, libp2p in `gossip.py`. Zenoh
reads its frames in a package of its own and hands over packets by an inlet. Options are libFuzzer's, such as
`-runs=100000`. A crash is any exception: what comes from elsewhere raises nothing.
"""

from __future__ import annotations

import asyncio
import socket

import atheris
from harness.loop import fuzz
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHeaderValue
from websockets.http11 import Request

with atheris.instrument_imports(include=["dicast"]):
    from dicast.base.crypto import KeyPair
    from dicast.base.events import encode_event, sign_event
    from dicast.base.limits import PACKET_BYTES_MAX
    from dicast.daemon import inbox
    from dicast.daemon.logs import Log
    from dicast.daemon.multiplexer import Multiplexer
    from dicast.protocol.messages import Kind
    from dicast.transports import gun_frames, nats_frames, websocket_opening
    from dicast.transports.gun import GunLink, GunSettings, GunTransport
    from dicast.transports.inlet import Inlet
    from dicast.transports.memory import MemoryHub
    from dicast.transports.mqtt import MqttTransport
    from dicast.transports.mqtt_client import HEADER_BYTES_MAX, BoundedClient, Broker
    from dicast.transports.websocket import MeshSettings, WebSocketTransport
    from dicast.transports.websocket_link import Link

KEY = KeyPair.from_seed(b"fuzz")
TOPIC = "ab" * 32
SOUL = gun_frames.soul_of(TOPIC)
WIRE = encode_event(sign_event(KEY, 1_790_000_000, Kind.COMMIT, [("t", TOPIC)], "{}"))
CARD = encode_event(sign_event(KEY, 1_790_000_000, Kind.ANNOUNCEMENT, [("t", TOPIC)], "{}"))
LOOP = asyncio.new_event_loop()


def take(wire: bytes) -> None:
    """What every adapter hands to the node."""
    assert len(wire) <= PACKET_BYTES_MAX


class Ends:
    """One end of each network, as it is once it runs; nothing is connected."""

    def __init__(self) -> None:
        self.gun = GunTransport(GunSettings("fuzz"))
        self.gun._state, self.gun._soul, self.gun._on_packet = "running", SOUL, take
        self.mesh = WebSocketTransport(MeshSettings())
        self.mesh._state, self.mesh._topic, self.mesh._on_packet = "running", TOPIC, take
        self.mqtt = MqttTransport(Broker("mqtt://127.0.0.1"))
        self.mqtt._on_packet = take
        self.many = Multiplexer(
            [MemoryHub().transport() for _ in range(3)], lambda wire, _: take(wire), Log("error")
        )
        self.receivers = [self.many._receiver(lane) for lane in self.many.lanes]
        self.inbox = inbox.Inbox()


async def made() -> Ends:
    return Ends()


ENDS = LOOP.run_until_complete(made())


async def read_mqtt(data: bytes) -> None:
    """Bytes of a broker: what the library makes of them stays within what one message may hold."""
    client = BoundedClient(Broker("mqtt://127.0.0.1"))
    broker, ours = socket.socketpair()
    with broker, ours:
        ours.setblocking(False)
        broker.setblocking(False)
        broker.send(data)
        client._client._sock = ours
        try:
            while client._client.loop_read() == 0 and ours.fileno() >= 0 and client._client._sock:
                if not ours.recv(1, socket.MSG_PEEK):
                    break
        except Exception:  # ends the connection: aiomqtt hands it to the transport as an error of its own
            return
        finally:
            client.abort()
            while not client._queue.empty():
                message = client._queue.get_nowait()
                assert len(message.payload) <= PACKET_BYTES_MAX + HEADER_BYTES_MAX
                ENDS.mqtt._take(message.payload)


async def read_nats(data: bytes) -> None:
    """Bytes of a server, whole and in pieces: the same comes out, and little is held."""
    whole, pieces = nats_frames.NatsReader(), nats_frames.NatsReader()
    at_once, in_pieces = list[object](), list[object]()
    is_bad = [False, False]
    try:
        at_once += whole.feed(data)
    except ValueError:
        is_bad[0] = True
    try:
        for start in range(0, len(data), 7):
            for frame in pieces.feed(data[start : start + 7]):
                in_pieces.append(frame)
    except ValueError:
        is_bad[1] = True
    assert is_bad[0] == is_bad[1]
    assert is_bad[0] or at_once == in_pieces
    assert pieces.held_bytes <= PACKET_BYTES_MAX + nats_frames.LINE_BYTES_MAX
    try:
        nats_frames.read_greeting(data)
    except ValueError:
        return


async def read_gun(data: bytes) -> None:
    """A frame of a peer, and what the transport says to it."""
    link = GunLink("ws://127.0.0.1:9", TOPIC, ENDS.gun._take)
    ENDS.gun._take(link, data)
    assert len(link.queue) <= 512


async def read_mesh(data: bytes) -> None:
    """A frame of a link; garbage is said to be garbage."""
    link = Link("ws://127.0.0.1:9", TOPIC, ENDS.mesh._take)
    known = ENDS.mesh._take(link, data)
    assert isinstance(known, bool)
    later = Link("ws://127.0.0.1:10", TOPIC, ENDS.mesh._take)
    ENDS.mesh._welcome(later)
    assert len(later.queue) <= 512


async def read_opening(data: bytes) -> None:
    """The request of somebody who dials."""
    path, _, value = data.decode("latin-1").partition("\n")
    request = Request(path, Headers())
    try:
        request.headers["Dicast-Address"] = value
    except InvalidHeaderValue:  # the library answers for itself
        return
    topic = websocket_opening.topic_of(request)
    assert topic == "" or len(topic) == 64
    shown = websocket_opening.header(request, "Dicast-Address")
    assert len(shown) <= websocket_opening.ADDRESS_CHARS_MAX
    assert shown.isprintable()


async def read_inlet(data: bytes) -> None:
    """Packets from a thread of Zenoh's or libp2p's: cut at a byte of the input, however large."""
    inlet = Inlet(take)
    for part in data.split(b"\xff"):
        inlet.put(part * (1 + len(data) % 97))
    inlet._drain()
    inlet.close()


async def read_many(data: bytes) -> None:
    """The same packets over several networks, in any order; then the line before the node."""
    for part in data.split(b"\xff"):
        if part:
            ENDS.receivers[part[0] % len(ENDS.receivers)](part[1:])
            ENDS.inbox.put(part[1:], f"network {part[0] % 5}")
    for lane in ENDS.many.lanes:
        assert lane.lag() is None or lane.lag().median_ms >= 0
    waiting = len(ENDS.inbox)
    assert waiting <= 5 * inbox.PACKETS_WAITING_MAX
    taken = sum(ENDS.inbox.take() is not None for _ in range(waiting))
    assert taken == waiting
    assert ENDS.inbox.take() is None


READERS = (read_mqtt, read_nats, read_gun, read_mesh, read_opening, read_inlet, read_many)


def seeds() -> list[bytes]:
    """Well-formed things for each reader."""
    body = b"\0\x06dicast" + b"\0" + WIRE
    length = bytes([0x80 | len(body) & 0x7F, len(body) >> 7])
    said = [b"\x20\x03\0\0\0", b"\x30" + length + body, b"\x90\x04\0\1\0\0", b"\xe0\x02\x8b\0", b"\xd0\0"]
    greeting = b'{"max_payload":1048576,"nonce":"abc","tls_required":false}'
    nats = [b"INFO " + greeting + b"\r\nPING\r\n", b"MSG a.b 1 5\r\nhello\r\n+OK\r\n-ERR 'no'\r\n", greeting]
    nats += [b"MSG a 1 %d\r\n%s\r\n" % (len(WIRE), WIRE), b"msg\ta 2 reply 99999999\r\nx"]
    put = gun_frames.Put("m", "writer.1", WIRE.decode(), 1_790_000_000_000)
    gun = [gun_frames.put_frame(SOUL, [put], "x"), gun_frames.hi_frame("a", "b")]
    gun += [gun_frames.nothing_frame("a", "b"), b'{"#":"a","get":{"#":"%s"}}' % SOUL.encode()]
    mesh = [b"\x08" + WIRE, b"\x02" + CARD, b"\0" + WIRE, b"\xff" + CARD]
    opening = [b"/" + TOPIC.encode() + b"\nws://203.0.113.1:7780", b"/x/" + TOPIC.encode() + b"?a\n0123"]
    many = [b"\xff".join([b"\0" + WIRE, b"\1" + WIRE, b"\2" + CARD])]
    groups = (said, nats, gun, mesh, opening, [WIRE + b"\xff" + CARD], many)
    return [bytes([number]) + seed for number, group in enumerate(groups) for seed in group]


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    LOOP.run_until_complete(READERS[data[0] % len(READERS) if data else 0](data[1:]))


if __name__ == "__main__":
    fuzz(one_input, seeds())
