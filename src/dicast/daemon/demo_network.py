"""The demonstration's processes: a relay and seven nodes on loopback, none of which outlives it."""

from __future__ import annotations

import asyncio
import atexit
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import msgspec

from dicast.base.errors import AdapterError
from dicast.base.types import NodeId
from dicast.daemon.key_files import create_identity, load_identity
from dicast.daemon.paths import Paths

NODES = 7
LIAR = NODES - 1
"""The last node lies: its place among the others decides nothing."""
START_S = 30.0
"""Seven Pythons on two slow cores start in ten seconds; three times that means that something is wrong."""
POLL_S = 0.05
LOG_LINES_SHOWN = 5
FOLDER_PREFIX = "dicast-demo-"
OWNER = "owner"
"""Names the process whose folder it is."""
CONFIG = "[engines.openai]\nenabled = false\n"
LIAR_CONFIG = CONFIG + '\n[engines.tiny]\nplugin = "lying"\n'


def remove_stale_folders() -> None:
    """What a demonstration left behind that was itself killed without a chance to clean up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*"):
        with suppress(OSError, ValueError):
            owner = int((folder / OWNER).read_text("ascii"))
            try:
                os.kill(owner, 0)
            except ProcessLookupError:
                shutil.rmtree(folder, ignore_errors=True)


class DemoNode(msgspec.Struct):
    """One node's process."""

    name: str
    node_id: NodeId
    paths: Paths
    process: subprocess.Popen[bytes]
    lies: bool
    killed: bool = False


class DemoNetwork:
    """Starts the processes and, whatever happens, ends them and removes their folder."""

    def __init__(self) -> None:
        self.network = f"demo-{secrets.token_hex(4)}"
        self.relay = ""
        self.nodes: list[DemoNode] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        remove_stale_folders()
        self._folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
        (self._folder / OWNER).write_text(f"{os.getpid()}\n")
        atexit.register(self.stop)

    @property
    def follower_paths(self) -> Paths:
        """Where the asking follower keeps its files."""
        return Paths(self._folder / "follower")

    @property
    def pids(self) -> list[int]:
        """All processes that were started."""
        return [process.pid for process in self._processes]

    async def start_relay(self) -> None:
        """A relay on a free port of the loopback interface."""
        ready = self._folder / "relay-address"
        process = self._spawn("relay", "relay", "--port", "0", "--ready-file", str(ready))
        async with asyncio.timeout(START_S):
            while not ready.exists():
                self._check_alive("relay", process)
                await asyncio.sleep(POLL_S)
        self.relay = ready.read_text("ascii").strip()

    def start_nodes(self) -> None:
        """Seven nodes; each has a folder, a key and a configuration of its own."""
        for number in range(NODES):
            name = f"node {number + 1}"
            paths = Paths(self._folder / f"n{number + 1}")
            create_identity(paths, None)
            lies = number == LIAR
            config = paths.state_dir / "config.toml"
            config.write_text(LIAR_CONFIG if lies else CONFIG)
            words = (
                "up",
                "--no-lan",
                "--no-dashboard",
                "--state-dir",
                str(paths.state_dir),
                "--config",
                str(config),
            )
            process = self._spawn(f"n{number + 1}", *words, "--relay", self.relay, "--network", self.network)
            node_id = load_identity(paths, None).node_id
            self.nodes.append(DemoNode(name, node_id, paths, process, lies))

    def check_alive(self) -> None:
        """Raise AdapterError when a node that was not killed has ended."""
        for node in self.nodes:
            if not node.killed:
                self._check_alive(node.paths.state_dir.name, node.process)

    def kill(self, node: DemoNode) -> None:
        """End one node by its process id, at once and without a chance to say anything."""
        node.killed = True
        os.kill(node.process.pid, signal.SIGKILL)

    def node_of(self, node_id: str) -> DemoNode | None:
        """The node with this key."""
        return next((node for node in self.nodes if node.node_id == node_id), None)

    def stop(self) -> None:
        """End every process and remove the folder; harmless when repeated."""
        atexit.unregister(self.stop)
        for process in self._processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        for process in self._processes:
            process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _spawn(self, name: str, *words: str) -> subprocess.Popen[bytes]:
        """A `dicast` process in a group of its own, so that the terminal's Ctrl-C reaches only us."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DICAST_")}
        command = [sys.executable, "-m", "dicast.cli.leash", str(os.getpid()), *words]
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def _check_alive(self, name: str, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            return
        lines = (self._folder / f"{name}.log").read_text("utf-8", "replace").splitlines()
        tail = " | ".join(lines[-LOG_LINES_SHOWN:])
        raise AdapterError(
            "demo_process_ended",
            f"The process {name} ended by itself: {tail}",
            "`dicast doctor` may say why.",
        )
