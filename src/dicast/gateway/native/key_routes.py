"""`/api/keys` and `/api/usage`: who may ask, and what was spent."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from dicast.gateway.bodies import read_body
from dicast.gateway.guard import Access
from dicast.gateway.keys import NAME_CHARS_MAX, RATE_DEFAULT, RATE_MAX, SPEND_MAX, KeyRecord, Limits, Scope
from dicast.gateway.native.node_records import KeyList, NewKey, UsageDay, UsageList
from dicast.gateway.native.nodes import key_view
from dicast.gateway.native.queries import UsageQuery, read_query
from dicast.gateway.parts import Parts, caller_of
from dicast.gateway.replies import json_response
from dicast.gateway.spending import NOBODY, Spent

CREATED = 201
Spending = Annotated[int, msgspec.Meta(ge=1, le=SPEND_MAX)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX, pattern=r"^[ -~]+$")]


class KeyWanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key to make; limits that are null do not exist."""

    name: Name
    scopes: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1, max_length=3)] = (Scope.INFER,)
    requests_per_minute: Annotated[int, msgspec.Meta(ge=1, le=RATE_MAX)] = RATE_DEFAULT
    tokens_per_day: Spending | None = None
    rounds_per_day: Spending | None = None


class KeyRoutes:
    """Keys, for those who look after the gateway."""

    def __init__(self, parts: Parts, access: Access) -> None:
        self._parts = parts
        self._keys = access.keys
        self._ledger = parts.asker.ledger

    async def every(self, request: Request) -> Response:
        """Every key, without the keys themselves."""
        del request
        return json_response(self._listed(self._keys.records()))

    async def create(self, request: Request) -> Response:
        """A new key; this is the only time it can be seen."""
        body = await read_body(request, KeyWanted, self._parts.budgets.body_s)
        limits = Limits(body.requests_per_minute, body.tokens_per_day, body.rounds_per_day)
        made = self._keys.create(body.name, body.scopes, limits, int(time.time()))
        new = NewKey(made.secret, key_view(made.record))
        return json_response(new, {"cache-control": "no-store"}, CREATED)

    async def revoke(self, request: Request) -> Response:
        """Forget a key at once, for open streams too."""
        gone = self._keys.revoke(request.path_params["key_id"])
        return json_response(self._listed(gone))

    async def usage(self, request: Request) -> Response:
        """What was spent; who is no admin sees what it spent itself."""
        query = read_query(request.query_params, UsageQuery)
        return json_response(
            UsageList(tuple(map(usage_day, self._ledger.spent(query.days, own_key(request)))))
        )

    def _listed(self, records: Sequence[KeyRecord]) -> KeyList:
        spent = self._ledger.today_of_all()
        return KeyList(tuple(key_view(one, spent.get(one.id, (0, 0))) for one in records))


def own_key(request: Request) -> str:
    """Whose usage may be seen; empty means everybody's."""
    caller = caller_of(request)
    if caller.is_allowed(Scope.ADMIN):
        return ""
    return NOBODY if caller.record is None else caller.record.id


def usage_day(spent: Spent) -> UsageDay:
    """A line of the ledger."""
    return UsageDay(day=spent.day, key=spent.key, name=spent.name, rounds=spent.rounds, tokens=spent.tokens)
