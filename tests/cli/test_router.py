"""What `dicast router` refuses; how it serves is in `tests/interop`."""

from __future__ import annotations

from pathlib import Path

import pytest

from dicast.base.errors import ConfigurationError
from dicast.cli.router import Endpoints, Proof, router


@pytest.mark.parametrize("endpoint", ["tcp/0.0.0.0:7447", "ws/192.0.2.1:7447", "tls/example.org:7447"])
def test_it_leaves_this_machine_only_when_told_to(endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="router_public") as caught:
        router(endpoints=Endpoints((endpoint,)))
    assert "--public" in caught.value.next_step


@pytest.mark.parametrize(
    "endpoint", ["udp/127.0.0.1:1", "tcp/127.0.0.1", "127.0.0.1:7447", "tcp/[::1:1", "tcp/127.0.0.1:0"]
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    for endpoints in (Endpoints((endpoint,)), Endpoints(connect=(endpoint,))):
        with pytest.raises(ConfigurationError, match="router_endpoint"):
            router(endpoints=endpoints)


def test_tls_needs_a_certificate_and_its_key(tmp_path: Path) -> None:
    tls = Endpoints(("tls/localhost:7447",))
    here = tmp_path / "certificate.pem"
    here.touch()
    for proof, said in (
        (Proof(), "--certificate"),
        (Proof(tmp_path / "gone.pem"), "gone.pem"),
        (Proof(here), "--key"),
    ):
        with pytest.raises(ConfigurationError, match="router_certificate") as caught:
            router(endpoints=tls, proof=proof)
        assert said in caught.value.message
