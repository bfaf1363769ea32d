"""A WebRTC node for a namespace: says as JSON when it is linked and how, says `hello`, and what it heard.

python webrtc_node.py RELAY ROOM STUN TURN USER PASSWORD
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
import time

from dicast.base.crypto import KeyPair
from dicast.base.events import encode_event, sign_event
from dicast.transports.signalling_nostr import NostrSignaller
from dicast.transports.webrtc import WebRtcSettings, WebRtcTransport
from dicast.transports.webrtc_connection import IceSettings, TurnServer


def say(**words: object) -> None:
    print(json.dumps(words), flush=True)


async def main(relay: str, room: str, stun: str, *turn: str) -> None:
    servers = (TurnServer(*turn),) if turn[0] else ()
    ice = IceSettings(stun=(stun,), turn=servers, is_public=True)
    node = WebRtcTransport(WebRtcSettings(ice), [NostrSignaller(relay)])
    said = encode_event(
        sign_event(
            KeyPair.from_seed(secrets.token_bytes(32)), int(time.time()), 24110, [("t", room)], "hello"
        )
    )
    say(ready=True)
    await asyncio.to_thread(sys.stdin.readline)
    running = asyncio.create_task(run(node, room, said))
    await asyncio.to_thread(sys.stdin.readline)  # or until whoever started it is gone
    running.cancel()
    await node.stop()


async def run(node: WebRtcTransport, room: str, said: bytes) -> None:
    began = time.monotonic()
    await node.start(room, lambda wire: say(heard=b"hello" in wire))
    while not node.peers():  # health has no event to wait for
        looked = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, looked.set)
        await looked.wait()
    say(linked=node.health().detail.split("(")[1].split()[1].rstrip(")"), seconds=time.monotonic() - began)
    node.publish(said)


asyncio.run(main(*sys.argv[1:]))
