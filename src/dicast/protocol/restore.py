"""From the store back to rounds: what was kept is heard again, in the order of the protocol."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from dicast.base.errors import RemoteProtocolError
from dicast.base.nip44 import SealError
from dicast.base.types import Now
from dicast.protocol.attached import attached_key, told_by
from dicast.protocol.context import Context, Tables
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import (
    Body,
    Close,
    Commit,
    Kind,
    Panel,
    Quorum,
    Request,
    Reveal,
    SealedReveal,
    Signature,
)
from dicast.protocol.records import ROUND_DECODER, RoundRecord, Table
from dicast.protocol.round import Round
from dicast.protocol.round_key import key_for, opened

_ORDER = (Kind.PANEL, Kind.COMMIT, Kind.QUORUM, Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE)


def restored_counts(tables: Tables, table: Table) -> dict[str, int]:
    """A table of request id -> Unix seconds."""
    return {key: int(value) for key, value in sorted(tables.get(table, {}).items())}


def restored_rounds(context: Context, tables: Tables, now: Now) -> Iterator[tuple[Round, RoundRecord]]:
    """Every stored round whose request can be read, by id, with its packets heard again."""
    wires: dict[str, list[bytes]] = {}
    for key, wire in sorted(tables.get(Table.PACKET, {}).items()):
        wires.setdefault(key.partition("/")[0], []).append(wire)
    for request_id, value in sorted(tables.get(Table.ROUND, {}).items()):
        try:
            record = ROUND_DECODER.decode(value)
        except msgspec.DecodeError:
            continue
        round_ = _rebuilt(context, record, wires.get(request_id, []), now)
        if round_ is not None and not round_.is_known and record.question is not None:
            blob = tables.get(Table.ATTACHED, {}).get(request_id, b"")
            round_ = _with_question(context, round_, blob)
        if round_ is not None:
            yield round_, record


def _rebuilt(context: Context, record: RoundRecord, wires: list[bytes], now: Now) -> Round | None:
    packets = [pair for pair in (_read(context, wire) for wire in wires) if pair is not None]
    opening = next(((packet, body) for packet, body in packets if isinstance(body, Request)), None)
    if opening is None:
        return None
    packet, sealed = opening
    panel = next((body for _, body in packets if isinstance(body, Panel)), None)
    key = key_for(context.identity, packet.author, sealed, record.salt, panel)
    try:
        request = opened(sealed, key)
    except SealError:
        return None
    elapsed_ms = max(0, now.unix_ms - record.opened_unix_ms)
    round_ = Round(packet, request, now.monotonic_ms - elapsed_ms, record.opened_unix_ms, key)
    by_kind = sorted(packets, key=lambda pair: _ORDER.index(pair[0].kind) if pair[0].kind in _ORDER else -1)
    for kept, body in by_kind:
        _hear(round_, kept, body)
        round_.stored.append(kept.id)
    return round_


def _with_question(context: Context, round_: Round, blob: bytes) -> Round | None:
    """A round of ours with its attached question; None where the store lost it."""
    try:
        round_.learn(told_by(round_.request, blob, attached_key(round_.key, context.settings.secret)))
    except RemoteProtocolError:
        return None
    return round_


def _read(context: Context, wire: bytes) -> tuple[Packet, Body] | None:
    try:
        packet = context.reader.parse(wire)
        return packet, context.reader.body(packet)
    except RemoteProtocolError:
        return None


def _hear(round_: Round, packet: Packet, body: Body) -> None:
    match body:
        case Panel():
            round_.hear_panel(packet, body)
        case Commit():
            round_.hear_commit(packet, body, lambda _: True)
        case Quorum():
            round_.hear_quorum(packet, body)
        case Reveal() | SealedReveal():
            round_.hear_reveal(packet, body)
        case Close():
            round_.hear_close(packet, body)
        case Signature():
            round_.hear_signature(packet, body)
        case _:
            pass
