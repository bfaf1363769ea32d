"""The doctor's question about NAT, asked of a STUN server by other people."""

from __future__ import annotations

import pytest

from dicast.cli.doctor_checks import State
from dicast.cli.doctor_networks import nat_check
from dicast.daemon import stun
from dicast.daemon.config_schema import Settings

pytestmark = pytest.mark.anyio


async def test_coturn_says_where_packets_come_from(make_coturn) -> None:
    servers = [make_coturn(), make_coturn()]
    for server in servers:
        server.wait()
    urls = [server.stun_url for server in servers]
    seen = await stun.look([*urls, "stun:127.0.0.1:9"])
    assert seen.nat is stun.Nat.NONE
    assert seen.local is not None
    assert seen.mapped == dict.fromkeys(urls, ("127.0.0.1", seen.local[1]))
    found = await nat_check(Settings(transports={"webrtc": {"stun": urls}}))
    assert (found.state, found.fix) == (State.OK, "")
    assert "seen as 127.0.0.1:" in found.detail
