"""The kind of NAT, asked of STUN servers that answer, lie, babble or are silent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.daemon.stun import COOKIE, Nat, Seen, binding_request, kind_of, look, parse_answer

pytestmark = pytest.mark.anyio
HERE = ("192.0.2.7", 4000)


def answer(request: bytes, address: tuple[str, int], is_xored: bool = True) -> bytes:
    host, port = int.from_bytes(socket.inet_aton(address[0])), address[1]
    kind = 0x0001
    if is_xored:
        kind, host, port = 0x0020, host ^ COOKIE, port ^ (COOKIE >> 16)
    value = b"\0\1" + port.to_bytes(2) + host.to_bytes(4)
    software = (0x8022).to_bytes(2) + (5).to_bytes(2) + b"a box\0\0\0"
    attributes = software + kind.to_bytes(2) + len(value).to_bytes(2) + value
    return b"\x01\x01" + len(attributes).to_bytes(2) + request[4:20] + attributes


Reply = Callable[[bytes, tuple[str, int]], list[bytes]]


class Server(asyncio.DatagramProtocol):
    """A STUN server that says what a test tells it to."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for each in self._reply(data, addr):
            self._transport.sendto(each, addr)


@pytest.fixture
async def serve() -> AsyncIterator[Callable[[Reply], Awaitable[str]]]:
    open_ones: list[asyncio.DatagramTransport] = []

    async def start(reply: Reply) -> str:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Server(reply), local_addr=("127.0.0.1", 0)
        )
        open_ones.append(transport)
        return f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"

    yield start
    for transport in open_ones:
        transport.close()


async def test_without_a_nat_servers_see_the_socket_itself(serve) -> None:
    servers = [await serve(lambda data, addr: [answer(data, addr)]) for _ in range(2)]
    seen = await look(servers)
    assert (seen.nat, set(seen.mapped.values())) == (Nat.NONE, {seen.local})


async def test_one_address_from_all_is_a_cone_and_two_are_symmetric(serve) -> None:
    one = await serve(lambda data, _: [answer(data, HERE)])
    old = await serve(lambda data, _: [answer(data, HERE, is_xored=False)])
    other = await serve(lambda data, _: [answer(data, ("192.0.2.7", 4001))])
    assert (await look([one, old])).nat is Nat.CONE
    assert (await look([one, other])).nat is Nat.SYMMETRIC
    assert (await look([one])).nat is Nat.UNKNOWN


async def test_lost_packets_are_sent_again_and_noise_is_not_believed(serve) -> None:
    asked: list[bytes] = []

    def late(data: bytes, _: tuple[str, int]) -> list[bytes]:
        asked.append(data)
        forged = answer(binding_request(b"x" * 12), ("203.0.113.9", 1))
        return [b"", b"noise", forged, answer(data, HERE)] if len(asked) == 2 else []

    server = await serve(late)
    assert (await look([server])).mapped == {server: HERE}
    assert asked[0] == asked[1]


async def test_silence_and_names_that_do_not_exist(serve, monkeypatch) -> None:
    monkeypatch.setattr("dicast.daemon.stun.TRY_S", 0.01)
    silent = await serve(lambda _data, _addr: [])
    assert (await look([silent])).nat is Nat.BLOCKED
    assert await look(["stun:nobody.invalid:3478", "stun:127.0.0.1:99999", "nonsense"]) == Seen(
        Nat.BLOCKED, None, {}
    )
    assert (await look([])).nat is Nat.UNKNOWN


@given(st.binary(max_size=120))
def test_whatever_comes_is_an_answer_or_nothing(noise: bytes) -> None:
    head = b"\x01\x01" + len(noise).to_bytes(2) + COOKIE.to_bytes(4) + bytes(12)
    for data in (noise, head + noise):
        found = parse_answer(data)
        assert found is None or len(found[0]) == 12


@given(st.integers(0, 2**32 - 1), st.integers(0, 65_535), st.booleans())
def test_an_address_comes_back_as_it_was_sent(host: int, port: int, is_xored: bool) -> None:
    address = (socket.inet_ntoa(host.to_bytes(4)), port)
    request = binding_request(b"0123456789ab")
    assert parse_answer(answer(request, address, is_xored)) == (b"0123456789ab", address)


def test_the_kinds() -> None:
    local, outer, another = ("10.0.0.2", 9), ("192.0.2.1", 9), ("192.0.2.1", 10)
    assert [
        kind_of(local, mapped) for mapped in ([], [local], [outer], [outer, outer], [outer, another])
    ] == [Nat.BLOCKED, Nat.NONE, Nat.UNKNOWN, Nat.CONE, Nat.SYMMETRIC]
