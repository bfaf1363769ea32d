"""One guard before every route: what no rule allows is denied. Host, origin, key, scope, rate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dicast.base.errors import DicastError
from dicast.gateway.bodies import HELD, Held
from dicast.gateway.drain import Drain
from dicast.gateway.errors import Dialect, GatewayError
from dicast.gateway.keys import KEY_PREFIX, KeyFile, KeyRecord
from dicast.gateway.keys import Scope as KeyScope
from dicast.gateway.metrics import Metrics
from dicast.gateway.replies import error_response
from dicast.gateway.spending import SPENDER

PUBLIC_MAX = 5
"""Routes that need nothing at all: each is a hole, so there are few."""
HEALTH = "GET /healthz"
OWN_SITES = frozenset({"same-origin", "none"})
"""What browsers say of our own pages, and of what a person typed."""
CALLERS_MAX = 20_000
"""Rates remembered: twice as many as there can be keys."""


class Rules:
    """What each `METHOD /path` needs; a route that stands in neither is closed to everybody.

    `also` names scopes that let in as well, to routes that tell such a key only of what is its own.
    """

    def __init__(
        self,
        scopes: Mapping[str, KeyScope],
        public: frozenset[str],
        also: Mapping[str, tuple[KeyScope, ...]] = MappingProxyType({}),
    ) -> None:
        assert len(public) <= PUBLIC_MAX, "too many public routes"
        self.scopes = scopes
        self.public = public
        self.also = also

    def allows(self, rule: str) -> bool:
        """Whether anybody at all may use it."""
        return rule in self.scopes or rule in self.public


class Caller:
    """Who asks: a key, or nobody in particular on this machine."""

    def __init__(self, record: KeyRecord | None, keys: KeyFile, key: str = "") -> None:
        self.record = record
        self._keys = keys
        self._key = key

    def is_allowed(self, scope: KeyScope) -> bool:
        """Whether the key may do this; without a key, asking and looking are free on this machine."""
        if self.record is None:
            return scope is not KeyScope.ADMIN
        return scope in self.record.scopes

    def check(self) -> None:
        """Raise GatewayError when the key was revoked in the meantime."""
        if self.record is not None and _found(self._keys, self._key) is None:
            raise GatewayError("key_invalid", "This key was revoked.")


class Rates:
    """Requests a minute by key, for all dialects: a bucket that fills steadily and holds a minute's worth."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, record: KeyRecord) -> None:
        """Count one request; raises GatewayError when the bucket is empty."""
        now = self._clock()
        left, at = self._buckets.pop(record.id, (float(record.rate_per_minute), now))
        left = min(float(record.rate_per_minute), left + (now - at) * record.rate_per_minute / 60)
        while len(self._buckets) >= CALLERS_MAX:
            del self._buckets[next(iter(self._buckets))]
        self._buckets[record.id] = (left - 1 if left >= 1 else left, now)
        if left < 1:
            error = GatewayError("rate_limited", f"This key may ask {record.rate_per_minute} times a minute.")
            error.retry_after_s = math.ceil((1 - left) * 60 / record.rate_per_minute)
            raise error


class Guard:
    """The middleware. `hosts` are the names by which clients may call the gateway, without ports."""

    def __init__(
        self, app: ASGIApp, *, routes: list[BaseRoute], rules: Rules, access: Access, metrics: Metrics
    ) -> None:
        self._app = app
        self._routes = routes
        self._rules = rules
        self._access = access
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer with the reason why not."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        rule, path = self._rule(scope)
        counting = _counting(send, path, self._metrics)
        try:
            scope["dicast_route"] = path
            caller = scope["dicast_caller"] = self._admit(Headers(scope=scope), rule)
        except GatewayError as error:
            self._metrics.count_error(error.code)
            await _refuse(error, scope, receive, counting)
            return
        SPENDER.set(caller.record)
        with self._access.drain.counted(), self._access.held.request() as held:
            scope[HELD] = held
            await self._app(scope, receive, counting)

    def _rule(self, scope: Scope) -> tuple[str, str]:
        """The rule of the route that a request would reach, e.g. `GET /v1/models`; and its path."""
        asked = "WS" if scope["type"] == "websocket" else scope["method"]
        method = "GET" if asked == "HEAD" else asked
        partial = ""
        for route in self._routes:
            match, _ = route.matches(scope)
            path = route.path if isinstance(route, Route | WebSocketRoute) else "?"
            if match is Match.FULL:
                return f"{method} {path}", path
            if match is Match.PARTIAL:
                partial = path
        return (f"! {partial}", partial) if partial else ("", "unknown")

    def _methods(self, path: str) -> str:
        """What an address takes, for the `Allow` header."""
        rules = (rule.split(" ", 1) for rule in (*self._rules.scopes, *self._rules.public))
        return ", ".join(sorted(method for method, place in rules if place == path))

    def _admit(self, headers: Headers, rule: str) -> Caller:
        if rule == HEALTH and rule in self._rules.public:
            return self._access.nobody()  # a container is probed by whatever address it has
        self._access.check_host(headers)
        if self._access.drain.draining:
            raise GatewayError("draining", "The gateway is about to stop. Ask another one, or again later.")
        if rule in self._rules.public:
            return self._access.nobody()
        _check_site(headers)
        caller = self._access.caller(headers)
        if not rule:
            raise GatewayError("not_found", "There is nothing at this address.")
        if rule.startswith("!"):
            error = GatewayError("method_not_allowed", f"{rule[2:]} takes another method.")
            error.allow = self._methods(rule[2:])
            raise error
        needed = self._rules.scopes.get(rule)
        if needed is None:
            raise GatewayError("route_closed", "This route is open to nobody.")
        if not any(map(caller.is_allowed, (needed, *self._rules.also.get(rule, ())))):
            raise scope_missing(needed)
        if caller.record is not None:
            self._access.rates.take(caller.record)
        return caller


class Access:
    """Who may come in: the host names, the keys, and whether a key is needed at all."""

    def __init__(self, keys: KeyFile, hosts: frozenset[str], *, needs_key: bool) -> None:
        self._keys = keys
        self._hosts = hosts
        self.keys = keys
        self.needs_key = needs_key
        self.rates = Rates()
        self.drain = Drain()
        self.held = Held()

    def check_host(self, headers: Headers) -> None:
        """Refuse names that are not the gateway's (a page that rebinds its own), and web pages."""
        host = _host_name(headers.get("host", ""))
        if host not in self._hosts:
            raise GatewayError(
                "host_refused", f"The gateway is not called {host[:64]!r}; --allow-host adds a name."
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != headers.get("host", "").lower():
            raise GatewayError("origin_refused", "Web pages of others may not ask the gateway.")

    def nobody(self) -> Caller:
        """Whoever uses a public route."""
        return Caller(None, self._keys)

    def caller(self, headers: Headers) -> Caller:
        """Who asks. Raises GatewayError for a wrong key, and without a key where one is needed."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        key = headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
        key = key or _key_of_socket(headers)
        if not key.startswith(KEY_PREFIX):
            if self.needs_key:
                raise GatewayError("key_invalid", "A key is needed: `dicast keys create NAME` makes one.")
            return self.nobody()
        record = _found(self._keys, key)
        if record is None:
            raise GatewayError("key_invalid", "This key is unknown or was revoked.")
        return Caller(record, self._keys, key)


def scope_missing(needed: KeyScope) -> GatewayError:
    """The refusal of a key that may do something else."""
    told = f"This needs a key with the scope {needed}: `dicast keys create NAME --scope {needed}` makes one."
    return GatewayError("scope_missing", told)


def _found(keys: KeyFile, key: str) -> KeyRecord | None:
    """The record of a key. Where the keys cannot be read, nobody who shows one comes in."""
    try:
        return keys.find(key)
    except DicastError as error:
        raise GatewayError("internal_error", "The gateway cannot read its keys.") from error


def dialect_of(scope: Scope) -> Dialect:
    """In whose shape to answer, errors too; both have models, and Anthropic's clients name their version."""
    path = scope["path"]
    if path.startswith("/v1/messages"):
        return Dialect.ANTHROPIC
    if path.startswith("/v1/models") and "anthropic-version" in Headers(scope=scope):
        return Dialect.ANTHROPIC
    return Dialect.OPENAI if path.startswith("/v1/") else Dialect.NATIVE


def _host_name(header: str) -> str:
    """`[::1]:8080` -> ::1; `Name:80` -> name."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.rpartition(":")[0].lower() if ":" in header else header.lower()


def _check_site(headers: Headers) -> None:
    """Refuse what a browser sends for a page of somebody else, even where it names no origin."""
    if headers.get("sec-fetch-site", "none") not in OWN_SITES:
        raise GatewayError("origin_refused", "Web pages of others may not ask the gateway.")


def _key_of_socket(headers: Headers) -> str:
    """Browsers cannot give a WebSocket headers: the key is its second subprotocol."""
    if headers.get("upgrade", "").lower() != "websocket":
        return ""
    named = (one.strip() for one in headers.get("sec-websocket-protocol", "").split(","))
    return next((one for one in named if one.startswith(KEY_PREFIX)), "")


async def _refuse(error: GatewayError, scope: Scope, receive: Receive, send: Send) -> None:
    """Say no: to a WebSocket before it opens, as an answer where the server can."""
    if scope["type"] == "websocket":
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        response = Response(
            msgspec.json.encode(error.body(Dialect.NATIVE)),
            error.kind.status,
            error.headers,
            "application/json",
        )
        await response(scope, receive, send)
        return
    await error_response(error, dialect_of(scope))(scope, receive, send)


def _counting(send: Send, route: str, metrics: Metrics) -> Send:
    async def counted(message: Message) -> None:
        if message["type"] in {"http.response.start", "websocket.http.response.start"}:
            metrics.count_request(route, message["status"])
        await send(message)

    return counted
