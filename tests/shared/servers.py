"""Servers by other people on free ports of loopback, with a password and TLS; stopped by pid."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from free_ports import free_port
from waiting import WAIT_SECONDS_MAX

USER, PASSWORD = "node", "a password"
CONFIGURATION = """
persistence false
allow_anonymous false
password_file {folder}/users
listener {tcp} 127.0.0.1
{more}
listener {web} 127.0.0.1
protocol websockets
{more}
listener {tls} 127.0.0.1
certfile {folder}/certificate.pem
keyfile {folder}/key.pem
{more}
"""


class Ports(NamedTuple):
    """Where one broker listens."""

    tcp: int
    web: int
    tls: int


class Mosquitto:
    """A broker on three ports that stay the same when it is killed and started again."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.ports = Ports(free_port(), free_port(), free_port())
        self.password_file = folder / "password"
        self.ca_file = folder / "certificate.pem"
        self.process: subprocess.Popen[bytes] | None = None
        self.password_file.write_text(PASSWORD + "\n")
        text = CONFIGURATION.format(folder=folder, more=more, **self.ports._asdict())
        (folder / "mosquitto.conf").write_text(text)
        make_users(folder)
        make_certificate(folder)

    def url(self, kind: str) -> str:
        port = {"tcp": self.ports.tcp, "websocket": self.ports.web, "tls": self.ports.tls}[kind]
        return f"{ {'tcp': 'mqtt', 'websocket': 'ws', 'tls': 'mqtts'}[kind] }://127.0.0.1:{port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [program("mosquitto"), "-c", str(self.folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for port in self.ports:
            wait_for_port(port)

    def kill(self) -> None:
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


class Coturn:
    """A TURN server on an address of this machine, with one user; `prefix` runs it in a namespace."""

    def __init__(self, folder: Path, address: str = "127.0.0.1", prefix: tuple[str, ...] = ()) -> None:
        port = 3478 if prefix else free_port()
        self.user, self.password = USER, PASSWORD
        self.url = f"turn:{address}:{port}"
        self.stun_url = f"stun:{address}:{port}"
        options = ["-n", "--lt-cred-mech", "--no-tls", "--no-dtls", "--no-cli", "--fingerprint"]
        options += [f"--listening-ip={address}", f"--relay-ip={address}", f"--listening-port={port}"]
        options += [f"--user={USER}:{PASSWORD}", "--realm=test", "--min-port=50000", "--max-port=59999"]
        options += ["--allow-loopback-peers", f"--log-file={folder}/turn.log", f"--pidfile={folder}/turn.pid"]
        self.process = subprocess.Popen(
            [*prefix, program("turnserver"), *options, f"--userdb={folder}/turn.sqlite"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._listening = (address, port)

    def wait(self) -> None:
        wait_for_port(self._listening[1], self._listening[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def program(name: str) -> str:
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.fail(f"{name} is not installed: make interop")
    return found


def make_users(folder: Path) -> None:
    users = folder / "users"
    users.write_text(f"{USER}:{PASSWORD}\n")
    users.chmod(0o600)
    subprocess.run([program("mosquitto_passwd"), "-U", str(users)], check=True)
    users.chmod(0o644)  # started as root, the broker becomes another user


def make_certificate(folder: Path) -> None:
    command = [program("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")]
    subprocess.run(command, check=True, capture_output=True)
    for path in (folder, folder / "key.pem", *folder.parents):
        if path.owner() == Path.home().owner() and path.is_relative_to(folder.parents[2]):
            path.chmod(0o755 if path.is_dir() else 0o644)


def wait_for_port(port: int, address: str = "127.0.0.1") -> None:
    end = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        with socket.socket() as probe:
            if probe.connect_ex((address, port)) == 0:
                return
        assert time.monotonic() < end, "the broker does not listen"
