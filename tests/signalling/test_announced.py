"""Where other signallers are told that a signaller's mesh is, whatever its own address looks like."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("announce", "host"),
    [
        ("wss://signal.example.org", "signal.example.org"),
        ("wss://signal.example.org:8443/path", "signal.example.org"),
        ("ws://[2001:db8::1]", "[2001:db8::1]"),
        ("ws://[2001:db8::1]:7780", "[2001:db8::1]"),
        ("", "127.0.0.1"),
    ],
)
async def test_the_mesh_is_at_the_announced_host(make_signaller, announce: str, host: str) -> None:
    signaller = await make_signaller(announce=announce)
    assert signaller._card().mesh == f"tcp/{host}:{signaller.pool.port}"
