"""One guard before every route: hosts, origins, keys, scopes and rates."""

from __future__ import annotations

import io
import json
import re
import stat
from contextlib import suppress
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from starlette.routing import Route, WebSocketRoute

from dicast.base.errors import ConfigurationError, Rejection
from dicast.client import AsyncClient
from dicast.daemon.config_schema import AskSettings
from dicast.daemon.logs import Log
from dicast.gateway.app import RULES, make_app, make_routes
from dicast.gateway.asking import Asker
from dicast.gateway.errors import GatewayError
from dicast.gateway.guard import PUBLIC_MAX, Access, Rates, Rules
from dicast.gateway.keys import KEYS_MAX, KeyFile, KeyRecord, Limits, Scope
from dicast.gateway.metrics import Metrics
from dicast.gateway.parts import Parts
from dicast.gateway.server import Address, check_address, host_names
from dicast.protocol.certificate import verify

BODY = {"model": "memory", "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture
def access(tmp_path) -> Access:
    return Access(KeyFile(tmp_path), host_names(Address()), needs_key=False)


@pytest.fixture
def parts(tmp_path) -> Parts:
    client, metrics = AsyncClient(tmp_path), Metrics()
    asker = Asker(client, AskSettings(), metrics)
    return Parts(client, asker, metrics, Log("error", stream=io.StringIO()))


def methods_of(route: Any) -> set[str]:
    return {"WS"} if isinstance(route, WebSocketRoute) else route.methods - {"HEAD"}


def test_every_route_has_a_scope_or_is_one_of_few_public_ones(parts, access) -> None:
    routes = make_routes(parts, access)
    assert all(isinstance(route, Route | WebSocketRoute) for route in routes)
    rules = {f"{method} {route.path}" for route in routes for method in methods_of(route)}
    assert [rule for rule in sorted(rules) if not RULES.allows(rule)] == []
    assert rules == {*RULES.scopes, *RULES.public}
    assert len(RULES.public) <= PUBLIC_MAX
    assert not set(RULES.scopes) & RULES.public


@pytest.mark.anyio
async def test_a_route_without_a_rule_is_closed(parts, access) -> None:
    app = make_app(parts, access, Rules({}, frozenset()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        for route in make_routes(parts, access):
            (method,) = methods_of(route)
            if method == "WS":
                continue
            answer = await client.request(method, route.path.partition("{")[0])
            assert answer.json()["error"]["code"] in {"route_closed", "not_found"}, route.path


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
def test_other_names_are_refused(place, host: str) -> None:
    answer = httpx.get(f"{place.url}/v1/models", headers={"host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "host_refused")
    assert httpx.get(place.url, headers={"host": host}).status_code == 421


def test_whoever_probes_a_container_does_so_by_its_address(place) -> None:
    answer = httpx.get(f"{place.url}/healthz", headers={"host": "10.1.2.3:8080"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert httpx.post(f"{place.url}/healthz", headers={"host": "10.1.2.3"}).status_code == 421


def test_web_pages_are_refused_and_nothing_is_shared_with_them(place) -> None:
    answer = httpx.get(f"{place.url}/v1/models", headers={"origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_refused")
    answer = httpx.options(f"{place.url}/v1/chat/completions", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403
    simple = httpx.post(f"{place.url}/v1/chat/completions", content=json.dumps(BODY))
    assert (simple.status_code, simple.json()["error"]["code"]) == (415, "not_json")
    assert not [name for name in simple.headers if name.startswith("access-control")]


def test_addresses_and_methods_that_are_none(place) -> None:
    assert httpx.get(f"{place.url}/v1/nothing").json()["error"]["code"] == "not_found"
    assert httpx.get(f"{place.url}/v1/chat/completions").json()["error"]["code"] == "method_not_allowed"
    answer = httpx.get(f"{place.url}/v1/messages").json()
    assert (answer["type"], answer["error"]["code"]) == ("error", "method_not_allowed")
    assert httpx.get(f"{place.url}/api/certificates/..").status_code == 404
    for wrong in ("ff" * 32, "ab", "%2e%2e", "A" * 64):
        answer = httpx.get(f"{place.url}/api/certificates/{wrong}")
        assert answer.json()["error"]["code"] == "certificate_missing"
    assert httpx.get(f"{place.url}/healthz").json() == {"status": "ok"}
    assert httpx.head(f"{place.url}/healthz").status_code == 200


def test_everybody_needs_a_key_where_others_can_reach(public_place) -> None:
    url = public_place.url
    for path in ("/v1/models", "/metrics", "/nothing"):
        answer = httpx.get(url + path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_invalid")
    assert httpx.get(f"{url}/v1/models", headers={"x-api-key": "sk-something"}).status_code == 401
    assert httpx.get(f"{url}/healthz").status_code == 200
    key = public_place.key()
    for headers in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        assert httpx.get(f"{url}/v1/models", headers=headers).status_code == 200
        assert httpx.post(f"{url}/v1/messages", json=BODY, headers=headers).status_code == 400
    assert httpx.get(f"{url}/v1/models", headers={"x-api-key": key, "host": "dicast.test"}).status_code == 200


def test_a_key_does_what_its_scopes_say(public_place) -> None:
    looks = {"x-api-key": public_place.key(Scope.READ)}
    asks = {"x-api-key": public_place.key(Scope.INFER)}
    url = public_place.url
    assert httpx.get(f"{url}/metrics", headers=looks).status_code == 200
    assert httpx.get(f"{url}/v1/models", headers=asks).status_code == 200
    refused = httpx.post(f"{url}/v1/chat/completions", json=BODY, headers=looks)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    refused = httpx.get(f"{url}/metrics", headers=asks)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    assert httpx.post(f"{url}/v1/chat/completions", json=BODY, headers=asks).status_code == 200
    for key, scopes in ((looks, ["read"]), (asks, ["infer"])):
        assert httpx.get(f"{url}/api/session", headers=key).json()["scopes"] == scopes


@pytest.mark.parametrize("stream", [False, True])
def test_a_key_that_only_asks_gets_the_certificates_of_its_own_rounds(public_place, stream: bool) -> None:
    asks, other = ({"x-api-key": public_place.key(Scope.INFER)} for _ in range(2))
    url = public_place.url
    body = {"prompt": "hello", "temperature": 0}
    told = httpx.post(f"{url}/api/ask", json={**body, "stream": stream}, headers=asks, timeout=60).text
    (path,) = set(re.findall(r"/api/certificates/[0-9a-f]{64}", told))
    ahead, summary = (httpx.get(url + one, headers=asks) for one in (path, f"{path}/summary"))
    assert verify(ahead.content, None).request_id == summary.json()["request_id"]
    looks = {"x-api-key": public_place.key(Scope.READ)}
    assert httpx.get(url + path, headers=looks).content == ahead.content
    for one in (path, f"{path}/summary", path[:-64] + "0" * 64):
        refused = httpx.get(url + one, headers=other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
    for one in ("/api/certificates", "/api/rounds"):
        assert httpx.get(url + one, headers=asks).status_code == 403


def test_rates_are_counted_in_one_place_for_all_dialects(public_place) -> None:
    headers = {"x-api-key": public_place.key(rate=3)}
    url = public_place.url
    statuses = [
        httpx.get(f"{url}/v1/models", headers=headers).status_code,
        httpx.post(f"{url}/v1/chat/completions", json={}, headers=headers).status_code,
        httpx.post(f"{url}/v1/messages", json={}, headers=headers).status_code,
        httpx.post(f"{url}/v1/messages", json={}, headers=headers).status_code,
    ]
    assert statuses == [200, 400, 400, 429]
    answer = httpx.get(f"{url}/v1/models", headers=headers)
    assert (answer.json()["error"]["code"], answer.headers["x-should-retry"]) == ("rate_limited", "true")
    assert 0 < int(answer.headers["retry-after"]) <= 20


def test_who_asks_too_often_is_told_when_to_ask_again() -> None:
    now = [0.0]
    rates = Rates(lambda: now[0])
    record = KeyRecord(id="a", name="a", digest="0" * 64, scopes=(), rate_per_minute=3)
    for _ in range(3):
        rates.take(record)
    with pytest.raises(GatewayError) as caught:
        rates.take(record)
    assert caught.value.headers == {"x-should-retry": "true", "retry-after": "20"}
    now[0] += 20
    rates.take(record)


def test_a_revoked_key_is_refused_at_once_even_mid_stream(public_place) -> None:
    key = public_place.key(name="leaked")
    cancelled = public_place.next_cancelled()
    hold = [{"role": "user", "content": "hold"}]
    with openai.OpenAI(base_url=f"{public_place.url}/v1", api_key=key) as client:
        stream = client.chat.completions.create(model="memory", messages=hold, stream=True)
        public_place.keys.revoke("leaked")
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert caught.value.code == "key_invalid"
        cancelled()
        with pytest.raises(openai.AuthenticationError):
            client.models.list()


def test_a_key_on_loopback_is_checked_when_it_is_one_of_ours(place) -> None:
    assert httpx.get(f"{place.url}/v1/models", headers={"x-api-key": "anything"}).status_code == 200
    answer = httpx.get(f"{place.url}/v1/models", headers={"x-api-key": "dicast-nothing"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_invalid")


def test_a_key_named_like_anothers_id_is_not_revoked_with_it(tmp_path) -> None:
    keys = KeyFile(tmp_path)
    first = keys.create("laptop", (), Limits(), 0).record
    second = keys.create(first.id, (), Limits(), 0).record
    assert [one.id for one in keys.revoke(first.id)] == [first.id]
    assert [one.id for one in keys.revoke(first.id)] == [second.id]


def test_keys_are_stored_as_hashes_that_only_the_owner_reads(tmp_path) -> None:
    keys = KeyFile(tmp_path)
    key = keys.create("laptop", (), Limits(), 7).secret
    (path,) = tmp_path.glob("gateway-keys.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key not in path.read_text()
    assert key.removeprefix("dicast-") not in path.read_text()
    found = KeyFile(tmp_path).find(key)
    assert found is not None
    assert (found.name, found.scopes, found.created_unix_s) == ("laptop", (Scope.INFER,), 7)
    assert keys.find(key + "x") is None
    assert [one.id for one in keys.revoke("laptop")] == [found.id]
    assert keys.find(key) is None
    with pytest.raises(ConfigurationError, match="key_missing"):
        keys.revoke("laptop")
    for name in ("", "x" * 65, "a\nb"):
        with pytest.raises(Rejection, match="key_name"):
            keys.create(name, (), Limits(), 0)
    path.write_text("[{}]")
    with pytest.raises(ConfigurationError, match="keys_unreadable"):
        keys.find(key)


def test_ten_thousand_keys(tmp_path) -> None:
    keys = KeyFile(tmp_path)
    key = keys.create("first", (), Limits(), 0).secret
    (first,) = keys.records()
    others = [replace(first, id=f"{n:08x}", digest=f"{n:064x}") for n in range(KEYS_MAX - 1)]
    keys._write((first, *others))
    assert KeyFile(tmp_path).find(key) == first
    assert len(keys.records()) == KEYS_MAX
    with pytest.raises(Rejection, match="key_limit"):
        keys.create("one more", (), Limits(), 0)


def test_whoever_shows_a_key_stays_out_while_the_keys_cannot_be_read(public_place) -> None:
    headers = {"x-api-key": public_place.key(name="unlucky")}
    path = public_place.state_dir / "gateway-keys.json"
    kept = path.read_bytes()
    path.write_bytes(b"{")
    answer = httpx.get(f"{public_place.url}/v1/models", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    path.write_bytes(kept)
    assert httpx.get(f"{public_place.url}/v1/models", headers=headers).status_code == 200


@given(st.lists(st.integers(0, 100_000), max_size=60), st.integers(1, 100))
def test_no_minute_holds_more_than_twice_the_rate(gaps: list[int], rate: int) -> None:
    """A full bucket and what flows in meanwhile; never more than the rate itself in the long run."""
    now = [0.0]
    rates = Rates(lambda: now[0])
    record = KeyRecord(id="a", name="a", digest="0" * 64, scopes=(), rate_per_minute=rate)
    taken: list[float] = []
    for gap in gaps:
        now[0] += gap / 1000
        with suppress(GatewayError):
            rates.take(record)
            taken.append(now[0])
    for start in taken:
        assert len([at for at in taken if start <= at < start + 60]) <= 2 * rate
    assert len(taken) <= rate + now[0] * rate / 60 + 1


@pytest.mark.parametrize(
    ("address", "code"),
    [
        (Address("0.0.0.0"), "gateway_public"),
        (Address("192.0.2.1"), "gateway_public"),
        (Address("::"), "gateway_public"),
        (Address("0.0.0.0", is_public=True), "gateway_keyless"),
        (Address(is_public=True), "gateway_keyless"),
        (Address("localhost"), "gateway_host"),
    ],
)
def test_other_machines_are_served_only_when_asked_for_and_with_a_key(tmp_path, address, code: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_address(address, KeyFile(tmp_path))
    assert caught.value.code == code
    assert caught.value.next_step


def test_a_key_opens_the_door(tmp_path) -> None:
    keys = KeyFile(tmp_path)
    keys.create("laptop", (), Limits(), 0)
    check_address(Address("0.0.0.0", is_public=True), keys)
    check_address(Address("::1"), keys)
