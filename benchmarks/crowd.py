"""A crowd of node processes on loopback, on two networks at once: how soon all know all, then a round each.

Run `python benchmarks/crowd.py [--nodes N] [--adapters nostr,websocket] [--askers N] [--json]`. Every node is
a process of its own with the real driver, node and transports, the memory engine and the memory embedder;
they are forked from one process that has loaded everything, so that starting measures the network and not the
import of modules. `nostr` is the relay that `dicast relay` runs, `websocket` a hub of the mesh in a process
of its own. `processor_s` is what all nodes used until all knew all, `load` the machine's, others included.
Memory is the proportional share (PSS) of all node processes at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.consensus.constants import EMBEDDER
from dicast.daemon import api
from dicast.daemon.config_schema import Settings
from dicast.daemon.driver import Driver, Parts
from dicast.daemon.logs import Log
from dicast.daemon.service import Service
from dicast.embedders.memory import MemoryEmbedder
from dicast.engines.memory import MemoryEngine
from dicast.ports import Transport
from dicast.protocol.envelope import topic_of
from dicast.protocol.messages import Role
from dicast.protocol.node import Node
from dicast.protocol.outputs import PeerSeen
from dicast.protocol.settings import Identity, NodeSettings
from dicast.stores.memory import MemoryStore
from dicast.transports.nostr import NostrTransport
from dicast.transports.websocket import MeshSettings, WebSocketTransport

QUESTION = api.Ask(prompt="What is the capital of France?", quorum=3, timeout_s=60)
SENTENCE = "The capital city of France is called Paris."
DISCOVERY_TARGET_S = 10.0
DISCOVERY_WAIT_S = 120.0
NETWORK = "crowd"
END = "end"


class Child:
    """A forked process and the pipes to it: lines of JSON both ways."""

    def __init__(self, run: object, *arguments: object) -> None:
        down_read, down_write = os.pipe()
        up_read, up_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(down_write)
            os.close(up_read)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            code = 1
            try:
                asyncio.run(run(os.fdopen(down_read), os.fdopen(up_write, "w"), *arguments))  # type: ignore[operator]
                code = 0
            finally:
                os._exit(code)
        os.close(down_read)
        os.close(up_write)
        self._down = os.fdopen(down_write, "w")
        self.up = os.fdopen(up_read)

    def tell(self, value: object) -> None:
        self._down.write(json.dumps(value) + "\n")
        self._down.flush()

    def hear(self) -> dict[str, object]:
        line = self.up.readline()
        if not line:
            raise SystemExit(f"process {self.pid} ended early")
        return json.loads(line)

    def end(self) -> None:
        """Ask it to end; its siblings hold copies of its pipes, so that closing them would say nothing."""
        with suppress(OSError):
            self.tell(END)
        self._down.close()
        os.waitpid(self.pid, 0)
        self.up.close()


async def run_hub(_down: io.TextIOBase, up: io.TextIOBase) -> None:
    """A hub of the mesh, until its input ends."""
    hub = WebSocketTransport(MeshSettings(("127.0.0.1", 0), is_hub=True, links_max=1024))
    await hub.start(topic_of("hub"), lambda _: None)
    while not hub.address:  # noqa: ASYNC110 (it is a moment, and no event says so)
        await asyncio.sleep(0.01)
    _say(up, {"address": hub.address})
    await asyncio.get_running_loop().run_in_executor(None, _down.readline)
    await hub.stop()


async def run_node(down: io.TextIOBase, up: io.TextIOBase, number: int, others: int) -> None:
    """A node: starts when told where, says when it knows everybody, asks when told, ends with its input."""
    loop = asyncio.get_running_loop()
    places = json.loads(await loop.run_in_executor(None, down.readline))
    identity = Identity(KeyPair.from_seed(b"crowd %d" % number), sha256(b"crowd secret %d" % number))
    offers = NodeSettings(
        network=NETWORK,
        roles=(Role.WORKER, Role.VALIDATOR),
        embedders=(EMBEDDER,),
        slots=16,
        software="crowd",
    )
    transports: list[Transport] = []
    if "nostr" in places:
        transports.append(NostrTransport([places["nostr"]], identity.key))
    if "websocket" in places:
        transports.append(WebSocketTransport(MeshSettings(peers=(places["websocket"],))))
    parts = Parts(
        MemoryStore(), transports, [MemoryEngine(lambda _: SENTENCE)], {EMBEDDER: MemoryEmbedder(EMBEDDER)}
    )
    driver = Driver(Node(identity, offers), parts, Log("error", stream=io.StringIO()))
    service = Service(driver, Settings(network=NETWORK), offers)

    is_complete = False

    def seen(report: object) -> None:
        nonlocal is_complete
        if not is_complete and isinstance(report, PeerSeen) and len(driver.node.peers()) >= others:
            is_complete = True  # a peer that announces itself anew is seen again
            _say(up, {"complete": time.time()})

    driver.reports.listen_now(seen)
    running = asyncio.create_task(driver.run())
    await driver.started.wait()
    _say(up, {"up": time.time()})
    while json.loads(await loop.run_in_executor(None, down.readline) or f'"{END}"') != END:
        _say(up, await _asked(service))
    driver.stop()
    await running


async def _asked(service: Service) -> dict[str, object]:
    began = time.time()
    try:
        answer = await service.answer(QUESTION, lambda _: None)
    except Exception as error:  # the parent counts it
        return {"outcome": repr(error)[:200], "seconds": time.time() - began}
    return {"outcome": answer.outcome, "seconds": time.time() - began, "signed": answer.signed_seats}


def _say(up: io.TextIOBase, value: object) -> None:
    up.write(json.dumps(value) + "\n")
    up.flush()


async def _load_everything() -> None:
    """Dial a relay that is not there: what transports import only then is loaded before the forks."""
    transport = NostrTransport(["ws://127.0.0.1:1"], KeyPair.from_seed(b"nobody"))
    await transport.start(topic_of("nowhere"), lambda _: None)
    while transport.health().state != "down":  # noqa: ASYNC110 (as above)
        await asyncio.sleep(0.01)
    await transport.stop()


def relay(stack: list[subprocess.Popen[str]]) -> str:
    """The embedded relay in a process of its own; its address."""
    program = "from dicast.cli.relay import relay_command; relay_command(port=0)"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    stack.append(process)
    assert process.stdout is not None
    return process.stdout.readline().strip().removeprefix("listening on ")


def measure(nodes: int, adapters: Sequence[str], askers: int) -> dict[str, object]:
    """Start everything, wait until everybody knows everybody, ask, and end everything."""
    asyncio.run(_load_everything())
    children = [Child(run_node, number, nodes - 1) for number in range(nodes)]
    hub = Child(run_hub) if "websocket" in adapters else None
    programs: list[subprocess.Popen[str]] = []
    try:
        places = {"nostr": relay(programs)} if "nostr" in adapters else {}
        if hub is not None:
            places["websocket"] = str(hub.hear()["address"])
        began = time.time()
        for child in children:
            child.tell(places)
        ups = [float(str(child.hear()["up"])) for child in children]
        complete = [float(str(child.hear()["complete"])) for child in children]
        found = _row(nodes, adapters, began, ups, complete)
        used = {"processor_s": _processor_s(children), "load": round(os.getloadavg()[0], 1)}
        return {**found, **used, **_rounds(children, askers), "memory_mb": _memory_mb(children)}
    finally:
        for child in children:
            child.end()
        if hub is not None:
            hub.end()
        for program in programs:
            program.terminate()
            program.communicate()


def _row(
    nodes: int, adapters: Sequence[str], began: float, ups: list[float], complete: list[float]
) -> dict[str, object]:
    last_up = max(ups)
    after = [max(0.0, at - last_up) for at in complete]
    return {
        "nodes": nodes,
        "adapters": list(adapters),
        "all_up_s": round(last_up - began, 2),
        "discovery_median_s": round(statistics.median(after), 2),
        "discovery_s": round(max(after), 2),
    }


def _rounds(children: list[Child], askers: int) -> dict[str, object]:
    """A question by every node, `askers` at a time."""
    began, answers = time.time(), list[dict[str, object]]()
    for start in range(0, len(children), askers):
        group = children[start : start + askers]
        for child in group:
            child.tell("ask")
        answers += [child.hear() for child in group]
    seconds = [float(str(answer["seconds"])) for answer in answers]
    failed = sorted({str(answer["outcome"]) for answer in answers} - {"accepted"})
    return {
        "accepted": sum(answer["outcome"] == "accepted" for answer in answers),
        "other_outcomes": failed,
        "round_median_s": round(statistics.median(seconds), 2),
        "round_max_s": round(max(seconds), 2),
        "rounds_s": round(time.time() - began, 1),
    }


def _processor_s(children: list[Child]) -> float:
    """What the nodes have used until all knew all: on a busy machine it says more than the clock."""
    ticks = 0
    for child in children:
        fields = Path(f"/proc/{child.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return round(ticks / os.sysconf("SC_CLK_TCK"), 1)


def _memory_mb(children: list[Child]) -> int:
    total = 0
    for child in children:
        text = Path(f"/proc/{child.pid}/smaps_rollup").read_text(encoding="ascii")
        total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
    return total // 1024


def main(words: Sequence[str]) -> int:
    """Print the table, or one line of JSON; 1 when a target was missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--adapters", default="nostr,websocket")
    parser.add_argument("--askers", type=int, default=4)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(words)
    found = measure(chosen.nodes, chosen.adapters.split(","), chosen.askers)
    if chosen.json:
        print(json.dumps(found))
    else:
        print("| what | measured | target |\n|---|---|---|")
        targets = {"discovery_s": f"≤ {DISCOVERY_TARGET_S:.0f}", "accepted": str(chosen.nodes)}
        for name, value in found.items():
            print(f"| {name} | {value} | {targets.get(name, '')} |")
    return int(float(str(found["discovery_s"])) > DISCOVERY_TARGET_S or found["accepted"] != chosen.nodes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
