"""Transports from their tables of settings: loaded only where configured, refused with the next step."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.daemon import plugins
from dicast.transports.mqtt import MqttTransport
from dicast.transports.websocket import WebSocketTransport
from dicast.transports.zenoh import ZenohTransport

HEAVY = ("zenoh", "aiomqtt", "paho", "websockets.asyncio.server", "dicast.transports")


def build(name: str, **table: object):
    surroundings = plugins.Surroundings("", Path(), (), KeyPair.from_seed(b"builtin"))
    return plugins.build(plugins.TRANSPORTS, name, table, surroundings)


def test_each_has_the_name_of_its_table(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a password\n")
    built = [
        build("zenoh"),
        build("zenoh", listen=["tcp/[::1]:7447"], connect=["tcp/192.0.2.1:7447"], interface="lo"),
        build("zenoh", listen=["tcp/0.0.0.0:7447"], interface="eth0", public=True),
        build("mqtt", broker="mqtts://broker.example.org", user="me", password_file=str(secret)),
        build("office", plugin="mqtt", broker="ws://127.0.0.1:9001/mqtt"),
        build("websocket", peers=["ws://192.0.2.1:7780"], announce="wss://node.example.org"),
        build("websocket", listen="0.0.0.0:7780", public=True, hub=True),
    ]
    kinds = [ZenohTransport] * 3 + [MqttTransport] * 2 + [WebSocketTransport] * 2
    assert [type(one) for one in built] == kinds
    assert [one.name for one in built] == [*["zenoh"] * 3, "mqtt", "office", *["websocket"] * 2]


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("zenoh", {"listen": ["tcp/0.0.0.0:7447"]}, "public = true"),
        ("zenoh", {"listen": ["tcp/[::]:7447"]}, "public = true"),
        ("zenoh", {"interface": "auto"}, "public = true"),
        ("zenoh", {"listens": []}, "transports.zenoh"),
        ("mqtt", {}, "broker"),
        ("mqtt", {"broker": "http://broker.example.org"}, "mqtts://broker.example.org"),
        ("mqtt", {"broker": "mqtt://me:secret@broker.example.org"}, "mqtts://broker.example.org"),
        ("mqtt", {"broker": "mqtt://127.0.0.1", "ca_file": "/nowhere.pem"}, "/nowhere.pem"),
        ("mqtt", {"broker": "mqtt://127.0.0.1", "password_file": "/nowhere"}, "/nowhere"),
        ("websocket", {}, "127.0.0.1:7780"),
        ("websocket", {"peers": ["http://192.0.2.1"]}, "ws://192.0.2.1:7780"),
        ("websocket", {"peers": [f"ws://192.0.2.{host}" for host in range(17)]}, "17 addresses"),
        ("websocket", {"listen": "0.0.0.0:7780"}, "public = true"),
        ("websocket", {"listen": "example.org:7780"}, "127.0.0.1:7780"),
        ("websocket", {"listen": "127.0.0.1"}, "127.0.0.1:7780"),
        ("zenoh", {"connect": ["192.0.2.1:7447"]}, "tcp/192.0.2.1:7447"),
        ("zenoh", {"connect": ["tcp/192.0.2.1:x"]}, "tcp/192.0.2.1:7447"),
        ("zenoh", {"listen": ["nowhere"], "public": True}, "tcp/127.0.0.1:0"),
    ],
)
def test_what_does_not_fit_is_named_with_the_next_step(
    name: str, table: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(name, **table)
    assert said in str(caught.value)


WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from dicast.base.errors import ConfigurationError
from dicast.daemon import builtin_transports, plugins
surroundings = plugins.Surroundings(sys.argv[2], None, (), None)
try:
    table = {"broker": "mqtt://127.0.0.1"} if sys.argv[2] == "mqtt" else {}
    getattr(builtin_transports, sys.argv[2])(table, surroundings)
except ConfigurationError as error:
    print(error.code, error.next_step)
"""


@pytest.mark.parametrize(("name", "package"), [("zenoh", "zenoh"), ("mqtt", "aiomqtt")])
def test_a_missing_extra_is_named(name: str, package: str) -> None:
    command = [sys.executable, "-c", WITHOUT, package, name]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == f"transport_missing Run: pip install 'dicast[{name}]'\n"


def test_nothing_is_loaded_that_is_not_configured() -> None:
    code = (
        "import sys, dicast.daemon.compose, dicast.daemon.builtin_transports;"
        f"print([name for name in sys.modules if name.startswith({HEAVY!r})])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
