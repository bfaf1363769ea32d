"""`/api/status`, peers, nodes, settings, logs, and who asks."""

from __future__ import annotations

import re
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.base.nip19 import encode_npub
from dicast.daemon.api import PeerRecord
from dicast.daemon.own_record import own_record
from dicast.gateway.errors import GatewayError
from dicast.gateway.guard import Access
from dicast.gateway.keys import KeyRecord, Scope
from dicast.gateway.native.live import Live
from dicast.gateway.native.node_records import (
    GatewayView,
    KeyView,
    LogPage,
    NodeList,
    NodeStatus,
    NodeView,
    PeerMap,
    PeerPoint,
    Session,
    SettingList,
    SettingView,
)
from dicast.gateway.native.queries import LogsQuery, read_query
from dicast.gateway.parts import Parts, caller_of
from dicast.gateway.replies import json_response
from dicast.version import VERSION

GATEWAY_FLAGS = {"gateway.ask.preset": "--preset", "gateway.needs_key": "--public"}
_NODE_ID = re.compile(r"[0-9a-f]{64}")


class LookRoutes:
    """The node behind the gateway, those it knows, and the gateway itself."""

    def __init__(self, parts: Parts, access: Access, live: Live) -> None:
        self._parts = parts
        self._access = access
        self._live = live
        self._started = time.monotonic()

    async def status(self, request: Request) -> Response:
        """How node and gateway are doing."""
        del request
        node = await self._parts.client.status()
        return json_response(NodeStatus(npub=encode_npub(node.node_id), node=node, gateway=self._gateway()))

    async def peers(self, request: Request) -> Response:
        """Every live node, small."""
        del request
        return json_response(PeerMap(tuple(map(_point, await self._everybody()))))

    async def nodes(self, request: Request) -> Response:
        """Every live node."""
        del request
        return json_response(NodeList(tuple(map(_node_view, await self._everybody()))))

    async def node(self, request: Request) -> Response:
        """One live node."""
        node_id = request.path_params["node_id"]
        if _NODE_ID.fullmatch(node_id):
            for peer in await self._everybody():
                if peer.node_id == node_id:
                    return json_response(_node_view(peer))
        raise GatewayError("node_missing", "No live node has this key: 64 hex digits.")

    async def settings(self, request: Request) -> Response:
        """What node and gateway are set to."""
        del request
        node = [
            SettingView(**msgspec.structs.asdict(one), is_default=one.value == one.default)
            for one in await self._parts.client.settings()
        ]
        own = msgspec.to_builtins(self._parts.asker.defaults)
        usual = msgspec.to_builtins(type(self._parts.asker.defaults)())
        mine = [_own_setting(f"gateway.ask.{name}", value, usual[name]) for name, value in own.items()]
        mine.append(_own_setting("gateway.needs_key", self._access.needs_key, default=False))
        return json_response(SettingList((*node, *mine)))

    async def logs(self, request: Request) -> Response:
        """The newest lines of the node's log."""
        query = read_query(request.query_params, LogsQuery)
        return json_response(LogPage(await self._parts.client.logs(query.limit, query.level)))

    async def session(self, request: Request) -> Response:
        """Who asks, and what that key may do."""
        caller = caller_of(request)
        record = caller.record
        scopes = tuple(scope for scope in Scope if caller.is_allowed(scope))
        key = None if record is None else key_view(record, self._parts.asker.ledger.today(record.id))
        return json_response(Session(scopes=scopes, needs_key=self._access.needs_key, key=key))

    async def _everybody(self) -> tuple[PeerRecord, ...]:
        status, peers = await self._parts.client.status(), await self._parts.client.peers()
        return (own_record(status), *(peer for peer in peers if peer.node_id != status.node_id))

    def _gateway(self) -> GatewayView:
        return GatewayView(
            version=VERSION,
            uptime_s=int(time.monotonic() - self._started),
            asking=self._parts.asker.asking,
            waiting=self._parts.asker.waiting,
            listeners=self._live.listeners,
            needs_key=self._access.needs_key,
            draining=self._access.drain.draining,
        )


def key_view(record: KeyRecord, spent: tuple[int, int] = (0, 0)) -> KeyView:
    """A key without the key, and the rounds and tokens that it spent today."""
    rounds, tokens = spent
    return KeyView(
        id=record.id,
        name=record.name,
        scopes=record.scopes,
        requests_per_minute=record.rate_per_minute,
        tokens_per_day=record.tokens_per_day,
        rounds_per_day=record.rounds_per_day,
        created_unix_s=record.created_unix_s,
        tokens_today=tokens,
        rounds_today=rounds,
    )


def _own_setting(key: str, value: Any, default: Any) -> SettingView:
    is_default = value == default
    name = key.removeprefix("gateway.")
    return SettingView(
        key=key,
        value=value,
        default=default,
        is_default=is_default,
        source="default" if is_default else "start",
        variable="DICAST_" + name.upper().replace(".", "__") if name.startswith("ask.") else "",
        flag=GATEWAY_FLAGS.get(key, ""),
    )


def _node_view(peer: PeerRecord) -> NodeView:
    return NodeView(npub=encode_npub(peer.node_id), node=peer)


def _point(peer: PeerRecord) -> PeerPoint:
    return PeerPoint(
        id=peer.node_id,
        roles=peer.roles,
        models=len(peer.models),
        load=peer.load,
        slots=peer.slots,
        is_self=peer.is_self,
    )
