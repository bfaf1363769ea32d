"""Vectors of finding each other: node records and the keys they lie under."""

from __future__ import annotations

from dicast.base.crypto import KeyPair
from dicast.base.types import Json, Now
from dicast.protocol.envelope import topic_of
from dicast.protocol.node_record import finder_key, finder_keys, make_record, model_mark

KEY = KeyPair.from_seed(b"dicast vectors: discovery")
TOPIC = topic_of("main")
NOW = Now(0, 1_790_000_000_123)
MODELS = ("dicast-tiny", "llama3.2:3b")
ADDRESSES = {
    "websocket": ("wss://node.example.org",),
    "zenoh": ("tcp/192.0.2.7:7447", "tcp/[2001:db8::7]:7447"),
}


def generate() -> dict[str, Json]:
    """File name -> content."""
    record = make_record(KEY, TOPIC, ADDRESSES, MODELS, NOW)
    many = {
        f"transport-{number}": tuple(f"tcp/192.0.2.{host}:7447" for host in range(4)) for number in range(16)
    }
    crowded = make_record(KEY, TOPIC, many, [f"model-{number}" for number in range(40)], NOW)
    keys: list[Json] = [
        {"model": model, "key": finder_key(TOPIC, model), "mark": model_mark(TOPIC, model)}
        for model in ("", *MODELS, "Qwen\u00b3 \u4e03")
    ]
    invalid: list[Json] = [
        {"record": text, "code": code}
        for text, code in (
            (record.decode().replace('"v":1', '"v":2'), "shape"),
            (record.decode().replace('"created_at":', '"created_at": '), "shape"),
            (record.decode().replace(f'"pubkey":"{KEY.node_id}",', ""), "shape"),
            (record.decode() + " " * 1000, "size"),
        )
    ]
    return {
        "node_record.json": {
            "topic": TOPIC,
            "keys": keys,
            "provided_under": list(finder_keys(TOPIC, MODELS)),
            "valid": [record.decode(), crowded.decode()],
            "badly_signed": [record.decode().replace("192.0.2.7", "192.0.2.8")],
            "invalid": invalid,
        }
    }
