"""The suite that every transport passes, over mosquitto by TCP, WebSocket and TLS."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from dicast.ports import Transport
from dicast.transports.mqtt import MqttTransport
from dicast.transports.mqtt_client import Broker
from loading import suite_of_transports

pytestmark = pytest.mark.anyio


globals().update(suite_of_transports())


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
