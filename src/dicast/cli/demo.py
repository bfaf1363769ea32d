"""`dicast demo`: seven nodes answer one question; one lies, one is killed, and the answer still holds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from dicast.base.errors import AdapterError
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.demo_view import LineView, LiveView, View
from dicast.cli.exit_codes import Exit
from dicast.cli.output import fields_of, print_result
from dicast.client_channel import Event
from dicast.daemon import api
from dicast.daemon.asking import check_options
from dicast.daemon.compose import Composed
from dicast.daemon.config_schema import AskSettings, Settings
from dicast.daemon.demo_network import NODES, START_S, DemoNetwork
from dicast.daemon.files import check_writable, write_file
from dicast.daemon.logs import Log
from dicast.daemon.running import running_node
from dicast.daemon.tellings import Told
from dicast.engines.tiny_network import read_card
from dicast.protocol.outputs import MemberProgress

DEFAULT_FILE = Path(".demo") / "certificate.json"
LOOK_S = 0.05


def demo(*, prompt: str = "", certificate: Path = DEFAULT_FILE, common: Common = DEFAULTS) -> int:
    """Seven local nodes, a relay and one who asks, all on this machine; nothing is left running afterwards.

    One node lies about a name. One is killed after it has committed and before it reveals. Exit 0 accepted,
    3 undetermined.

    Parameters
    ----------
    prompt
        Your own question instead of the default one.
    certificate
        Where to put the certificate.
    """
    card = read_card()
    question = _question(prompt or card.prompt, card.temperature_milli / 1000)
    check_options(question, AskSettings())
    check_writable(certificate, "certificate", make_folder=True)
    is_terminal = sys.stdout.isatty() and not common.json
    view: View = LiveView() if is_terminal else LineView(sys.stderr if common.json else sys.stdout)
    try:
        answer = asyncio.run(_Demo(question, view).run())
    except asyncio.CancelledError:  # SIGTERM or SIGHUP
        raise KeyboardInterrupt from None
    finally:
        view.close()
    write_file(certificate, answer.certificate)
    view.certificate(certificate)
    verified = _verify(certificate, common)
    if common.json:
        print_result({**fields_of(answer), "certificate": str(certificate)}, "", as_json=True)
    if verified != Exit.DONE:
        return verified
    return Exit.DONE if answer.is_accepted else Exit.UNDETERMINED


def _question(prompt: str, temperature: float) -> api.Ask:
    """7 seats, quorum 6, 4 must agree; 100 bits and the gates come from the preset."""
    return api.Ask(
        prompt=prompt,
        temperature=temperature,
        preset="default",
        seats=NODES,
        quorum=NODES - 1,
        sec_percentage=0.57,
        timeout_s=20.0,
        reveal_s=3.0,
    )


class _Demo:
    """One run: starts the network, asks, kills one node at the right moment, and cleans up."""

    def __init__(self, question: api.Ask, view: View) -> None:
        self._question = question
        self._view = view
        self._network = DemoNetwork()
        self._began = time.monotonic()

    async def run(self) -> api.Answer:
        """The answer. Whatever happens, no process is left when this returns."""
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            return await self._run()
        finally:
            self._network.stop()

    async def _run(self) -> api.Answer:
        network, view = self._network, self._view
        view.begin(self._question.prompt)
        await network.start_relay()
        network.start_nodes()
        view.nodes(network.nodes, network.relay)
        settings = Settings(
            network=network.network, relays=(network.relay,), roles=(), engines={}, embedders={}
        )
        paths = network.follower_paths
        async with running_node(settings, paths, None, Log("error"), listen=False) as composed:
            composed.driver.reports.listen_now(self._watch)
            await self._all_there(composed)
            view.plan(await composed.service.answer(_plan_of(self._question), _ignore))
            asked = time.monotonic()
            answer = await composed.service.answer(self._question, view.event)
            assert isinstance(answer, api.Answer)
            view.answer(answer, round_s=time.monotonic() - asked, whole_s=time.monotonic() - self._began)
            return answer

    async def _all_there(self, composed: Composed) -> None:
        """Wait until the follower has heard every node offer its model."""
        end = time.monotonic() + START_S
        seen: set[str] = set()
        while len(seen) < NODES:
            self._network.check_alive()
            for peer in composed.service.peers():
                node = self._network.node_of(peer.node_id)
                if node is not None and peer.models and peer.node_id not in seen:
                    seen.add(peer.node_id)
                    self._view.ready(node)
            if time.monotonic() > end:
                raise AdapterError(
                    "demo_slow",
                    f"Only {len(seen)} of {NODES} nodes were there after {START_S:.0f} s.",
                    "Try again.",
                )
            await asyncio.sleep(LOOK_S)

    def _watch(self, report: Told) -> None:
        """Called inside the batch that heard a commit: the quorum cannot be sealed before this returns.

        The first honest node that commits is killed. The others have not committed yet, so the quorum
        that would let it reveal does not exist.
        """
        if not isinstance(report, MemberProgress) or report.step != "committed":
            return
        node = self._network.node_of(report.member)
        if node is None or node.lies or any(one.killed for one in self._network.nodes):
            return
        self._network.kill(node)


def _plan_of(question: api.Ask) -> api.Plan:
    return msgspec.convert(msgspec.structs.asdict(question), api.Plan)


def _verify(certificate: Path, common: Common) -> int:
    """`dicast verify`, in a process of its own, as anybody would run it."""
    words = [sys.executable, "-m", "dicast.cli.leash", str(os.getpid()), "verify", str(certificate)]
    stream = sys.stderr if common.json else sys.stdout
    stream.write(f"\n$ dicast verify {certificate}\n")
    stream.flush()
    return subprocess.run(words, stdout=stream, check=False).returncode


def _ignore(_: Event) -> None:
    """A plan has no events."""
