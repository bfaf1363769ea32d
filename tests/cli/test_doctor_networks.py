"""The doctor's checks of networks: a packet through each transport, ports, NAT, a round over what works."""

from __future__ import annotations

import asyncio
import email.utils
import socket
import time
from collections.abc import Iterator

import pytest
from websockets.asyncio.server import serve
from websockets.datastructures import Headers
from websockets.http11 import Response

from dicast.cli.doctor_checks import State, loopback_check, relay_checks
from dicast.cli.doctor_networks import (
    _listening,
    nat_check,
    port_checks,
    rehearsal,
    transport_checks,
    two_ends,
)
from dicast.daemon.config_schema import Settings
from dicast.transports.relay import run_relay

pytestmark = pytest.mark.anyio


@pytest.fixture
async def relay():
    stop, address = asyncio.Event(), asyncio.get_running_loop().create_future()
    task = asyncio.create_task(run_relay("127.0.0.1", 0, stop=stop, ready=address.set_result))
    yield await address
    stop.set()
    await task


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield int(holder.getsockname()[1])


async def test_a_packet_and_a_round_go_over_every_network_that_works(relay: str) -> None:
    tables = {"nostr": {}, "zenoh": {}, "mesh": {"plugin": "websocket", "listen": "127.0.0.1:7780"}}
    settings = Settings(relays=(relay,), transports={**tables, "gone": {"enabled": False}})
    checks = await transport_checks(settings, is_running=False)
    assert [(check.name, check.state) for check in checks] == [(name, State.OK) for name in tables]
    assert all("a packet goes through in" in check.detail for check in checks)
    found = await loopback_check(settings, rehearsal(settings, list(tables)))
    assert found.state is State.OK, found.detail
    assert "over mesh, nostr, zenoh" in found.detail


async def test_ends_that_only_find_each_other_in_a_table_are_introduced() -> None:
    settings = Settings(transports={"nostr": {}, "dht": {"plugin": "bittorrent", "listen": "127.0.0.1:7780"}})
    [check] = await transport_checks(settings, is_running=False)
    assert (check.state, "a packet goes through in" in check.detail) == (State.OK, True), check.detail
    assert rehearsal(settings, ["dht"]) is None


async def test_what_does_not_work_is_said_with_its_fix_and_a_round_stays_on_this_machine(monkeypatch) -> None:
    monkeypatch.setattr("dicast.cli.doctor_networks.UP_S", 0.5)
    tables = {"nostr": {}, "mqtt": {"broker": "mqtt://127.0.0.1:9"}, "own": {"plugin": "pigeons"}}
    settings = Settings(relays=("ws://127.0.0.1:9",), transports={**tables, "bad": {"plugin": "mqtt"}})
    nostr, mqtt, own, bad = await transport_checks(settings, is_running=False)
    assert [one.state for one in (nostr, mqtt, own, bad)] == [
        State.FAILED,
        State.FAILED,
        State.OK,
        State.FAILED,
    ]
    assert "relay" in nostr.fix
    assert "broker" in mqtt.fix
    assert "second machine" in own.detail
    assert "[transports.bad]" in bad.fix
    found = await loopback_check(settings, rehearsal(settings, []))
    assert (found.state, "this machine only" in found.detail) == (State.OK, True)


def test_ports_are_free_or_taken(taken_port: int) -> None:
    taken, free = f"tcp/127.0.0.1:{taken_port}", "tcp/127.0.0.1:0"
    settings = Settings(
        transports={"zenoh": {"listen": [taken, free]}, "off": {"listen": taken, "enabled": False}}
    )
    [check] = port_checks(settings, is_running=False)
    assert (check.state, "in use" in check.detail, "[transports.zenoh]" in check.fix) == (
        State.FAILED,
        True,
        True,
    )
    [check] = port_checks(settings, is_running=True)
    assert check.state is State.OK
    [check] = port_checks(
        Settings(transports={"mesh": {"listen": "[::1]:0"}, "m": {"listen": "127.0.0.1:9"}}), False
    )
    assert check.state is State.OK


@pytest.mark.parametrize(
    ("listen", "found"),
    [
        (["/ip4/127.0.0.1/tcp/4001", "/ip6/::1/tcp/4002/ws"], [("127.0.0.1", 4001), ("::1", 4002)]),
        (["tcp/[::1]:7447", "ws/[::]:0"], [("::1", 7447)]),
        ("[::1]:7780", [("::1", 7780)]),
        (["/ip4/127.0.0.1", "/dns4/a.example/tcp/1", "nonsense"], []),
    ],
)
def test_ports_are_found_in_each_way_to_write_them(listen: object, found: list[tuple[str, int]]) -> None:
    assert list(_listening({"listen": listen})) == found


async def test_without_a_stun_server_the_nat_is_not_guessed() -> None:
    check = await nat_check(Settings())
    assert (check.state, "stun = " in check.detail) == (State.OK, True)


async def test_servers_that_are_silent_are_a_warning(monkeypatch) -> None:
    monkeypatch.setattr("dicast.daemon.stun.TRY_S", 0.01)
    check = await nat_check(Settings(transports={"webrtc": {"stun": ["stun:127.0.0.1:9"]}}))
    assert (check.state, "turn = " in check.fix) == (State.WARNING, True)


def test_ends_that_dial_need_no_port_and_no_meeting_place_is_invented() -> None:
    hub = {"peers": ["wss://hub.example.org"], "listen": "0.0.0.0:7780", "public": True}
    assert two_ends("websocket", hub) == ({"peers": ["wss://hub.example.org"], "public": True},) * 2
    router = {"connect": ["tls/hub.example.org:7448"], "interface": "auto"}
    assert two_ends("zenoh", router) == ({**router, "listen": (), "interface": ""},) * 2
    assert two_ends("custom", {}) is None


async def test_the_clock_is_compared_by_the_date_beside_a_relays_document() -> None:
    """Most relays say the time when their document is asked for, and not when a connection opens."""
    ahead = email.utils.formatdate(time.time() + 600, usegmt=True)

    def document(_connection, request) -> Response | None:
        if "Upgrade" in request.headers:
            return None
        return Response(200, "OK", Headers({"Date": ahead, "Content-Length": "2"}), b"{}")

    def forget_the_time(_connection, request, response) -> Response:
        if "Upgrade" in request.headers:
            del response.headers["Date"]
        return response

    async def answer(connection) -> None:
        async for _ in connection:
            await connection.send('["EOSE","doctor"]')

    async with serve(
        answer, "127.0.0.1", 0, process_request=document, process_response=forget_the_time
    ) as server:
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        relay, clock = await relay_checks(Settings(relays=(url,)))
    assert (relay.state, clock.state) == (State.OK, State.FAILED)
    assert "behind the relays" in clock.detail
    assert "NTP" in clock.fix


async def test_a_gun_relay_of_ones_own_needs_no_other_machine_to_be_tried() -> None:
    settings = Settings(transports={"gun": {"listen": "127.0.0.1:8765"}})
    (check,) = await transport_checks(settings, is_running=False)
    assert (check.state, "a packet goes through in" in check.detail) == (State.OK, True), check


async def test_without_a_relay_a_node_is_alone_only_where_there_is_no_other_network() -> None:
    alone, met = await relay_checks(Settings()), await relay_checks(Settings(), ("zenoh", "lan"))
    assert [(one.state, "alone" in one.detail) for one in (*alone, *met)] == [
        (State.WARNING, True),
        (State.OK, False),
    ]
    assert "zenoh, lan" in met[0].detail


async def test_the_password_in_a_relays_address_is_never_shown() -> None:
    (found, *_) = await relay_checks(Settings(relays=("ws://me:secret-word@127.0.0.1:9",)))
    assert (found.state, found.detail.partition(": ")[0]) == (State.FAILED, "ws://127.0.0.1:9")
    (check,) = await transport_checks(
        Settings(relays=("ws://me:secret-word@127.0.0.1:9",), transports={"nostr": {}}), is_running=False
    )
    assert "secret-word" not in check.detail
