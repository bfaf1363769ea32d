"""What a node leaves in a hash table over many machines: its key, where it is, what it runs; signed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from dicast.base.codec import CodecError, decode_as, encode
from dicast.base.crypto import KeyPair, verify
from dicast.base.errors import RemoteProtocolError
from dicast.base.hashing import tagged
from dicast.base.limits import CLOCK_AHEAD_MS, UNIX_SECONDS_MAX
from dicast.base.types import NodeId, Now
from dicast.protocol.messages import Addresses, Hex64, Version

RECORD_BYTES_MAX = 1000
"""What a mutable item of the mainline DHT holds (BEP 44); every other table holds more."""
RECORD_LIFE_S = 7_200
"""Tables drop what is not renewed for two hours; a node that is gone is not looked for longer."""
RECORD_MODELS_MAX = 16
"""Marks of models: 19 bytes each, so they never take more than a third of the room."""
MARK_CHARS = 16
"""64 bits of a hash: a mark is a hint, and the announcement says the name."""

Mark = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=UNIX_SECONDS_MAX)]


class NodeRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """Where a node may be found until `expires_at` (Unix seconds). Hearsay until its signature is checked."""

    v: Version
    pubkey: Hex64
    created_at: Seconds
    expires_at: Seconds
    sig: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}\Z")]
    addresses: Addresses = {}
    models: Annotated[tuple[Mark, ...], msgspec.Meta(max_length=RECORD_MODELS_MAX)] = ()


def finder_key(topic: str, model: str = "") -> str:
    """Where records of a network lie, or of its nodes with one model: a hash that gives away neither."""
    return tagged("dicast/finder/1", bytes.fromhex(topic), model.encode("utf-8", "replace")).hex()


def finder_keys(topic: str, models: Sequence[str]) -> tuple[str, ...]:
    """Every key a node is provided under: its network, then each model that its record marks."""
    return finder_key(topic), *(finder_key(topic, model) for model in _few(models))


def model_mark(topic: str, model: str) -> str:
    """What a record says of a model."""
    return finder_key(topic, model)[:MARK_CHARS]


def make_record(
    key: KeyPair, topic: str, addresses: Mapping[str, Sequence[str]], models: Sequence[str], now: Now
) -> bytes:
    """The signed bytes, at most `RECORD_BYTES_MAX`: what does not fit is left out, last addresses first."""
    created_at = now.unix_ms // 1000
    told = {name: tuple(some) for name, some in sorted(addresses.items()) if some}
    marks = tuple(model_mark(topic, model) for model in _few(models))
    while True:
        record = NodeRecord(
            v=1,
            pubkey=key.node_id,
            created_at=created_at,
            expires_at=created_at + RECORD_LIFE_S,
            sig="0" * 128,
            addresses=told,
            models=marks,
        )
        if len(encode(record)) <= RECORD_BYTES_MAX:
            return encode(msgspec.structs.replace(record, sig=key.sign(_digest(record, topic))))
        told, marks = _less(told, marks)


def parse_record(data: bytes) -> NodeRecord:
    """Shape only; the signature is checked when the record is wanted. Raises `RemoteProtocolError`."""
    if len(data) > RECORD_BYTES_MAX:
        raise RemoteProtocolError("size", f"A record has at most {RECORD_BYTES_MAX} bytes.")
    try:
        record = decode_as(data, NodeRecord)
    except CodecError as error:
        raise RemoteProtocolError("shape", error.message) from error
    if not record.created_at < record.expires_at <= record.created_at + RECORD_LIFE_S:
        raise RemoteProtocolError("shape", "A record lives for at most two hours.")
    return record


def is_record_signed(record: NodeRecord, topic: str) -> bool:
    """Did its key sign it, for this network?"""
    return verify(record.pubkey, _digest(record, topic), record.sig)


def is_record_live(record: NodeRecord, now: Now) -> bool:
    """Neither expired nor from the future."""
    return record.created_at * 1000 <= now.unix_ms + CLOCK_AHEAD_MS and record.expires_at * 1000 > now.unix_ms


def node_of(record: NodeRecord) -> NodeId:
    """Whose record it is."""
    return NodeId(record.pubkey)


def _digest(record: NodeRecord, topic: str) -> bytes:
    """The topic is signed and not said: a record holds in one network, and does not name it."""
    unsigned = msgspec.structs.replace(record, sig="")
    return tagged("dicast/node-record/1", bytes.fromhex(topic), encode(unsigned))


def _few(models: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(dict.fromkeys(models)))[:RECORD_MODELS_MAX]


def _less(
    told: dict[str, tuple[str, ...]], marks: tuple[str, ...]
) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """One thing fewer: the last address of the transport with the most, then whole transports, then marks."""
    if not told:
        return told, marks[:-1]
    longest = max(sorted(told), key=lambda name: len(told[name]))
    shorter = {**told, longest: told[longest][:-1]}
    return {name: some for name, some in shorter.items() if some}, marks
