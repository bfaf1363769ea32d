"""Fixtures of servers by other people: free to use, started, ended."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from servers import Coturn, Mosquitto, program, wait_for_port


@pytest.fixture
def make_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mosquitto]]:
    """Started brokers; `more` goes into the configuration."""
    made: list[Mosquitto] = []

    def make(more: str = "") -> Mosquitto:
        made.append(Mosquitto(tmp_path_factory.mktemp("broker"), more))
        made[-1].start()
        return made[-1]

    yield make
    for broker in made:
        broker.kill()


@pytest.fixture
def run_program() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Programs by other people that listen on a port of loopback."""
    running: list[subprocess.Popen[bytes]] = []

    def run(port: int, name: str, *arguments: str, folder: Path | None = None) -> subprocess.Popen[bytes]:
        quiet = subprocess.DEVNULL
        running.append(subprocess.Popen([program(name), *arguments], cwd=folder, stdout=quiet, stderr=quiet))
        wait_for_port(port)
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.wait()


@pytest.fixture
def make_coturn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Coturn]]:
    """Started TURN servers."""
    made: list[Coturn] = []

    def make(*arguments: Any) -> Coturn:
        made.append(Coturn(tmp_path_factory.mktemp("coturn"), *arguments))
        return made[-1]

    yield make
    for server in made:
        server.kill()


@pytest.fixture
def coturn(make_coturn: Callable[..., Coturn]) -> Coturn:
    """A TURN server on loopback that listens."""
    made = make_coturn()
    made.wait()
    return made


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """One broker for all tests that leave it in peace."""
    made = Mosquitto(tmp_path_factory.mktemp("broker"))
    made.start()
    yield made
    made.kill()
