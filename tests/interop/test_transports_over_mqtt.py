"""The suite that every transport passes, over mosquitto by TCP, WebSocket and TLS."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import ModuleType

import pytest

from dicast.ports import Transport
from dicast.transports.mqtt import MqttTransport
from dicast.transports.mqtt_client import Broker

pytestmark = pytest.mark.anyio


def load_suite() -> ModuleType:
    place = Path(__file__).resolve().parents[1] / "conformance/test_transports.py"
    spec = importlib.util.spec_from_file_location("conformance_suite", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


suite = load_suite()
globals().update(
    {
        name: each
        for name, each in vars(suite).items()
        if (name.startswith("test_") and "relay" not in name) or name == "topic"
    }
)


@pytest.fixture(params=["tcp", "websocket", "tls"])
async def make_transport(request: pytest.FixtureRequest, broker) -> AsyncIterator[Callable[[], Transport]]:
    made: list[Transport] = []

    def make() -> Transport:
        ca_file = broker.ca_file if request.param == "tls" else None
        password = broker.password_file.read_text().strip()
        made.append(MqttTransport(Broker(broker.url(request.param), "node", password, ca_file)))
        return made[-1]

    yield make
    for transport in made:
        await transport.stop()
