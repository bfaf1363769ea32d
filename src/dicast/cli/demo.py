"""`dicast demo`: seven nodes answer one question; one lies, one is killed, and the answer still holds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from dicast.base.errors import AdapterError
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.dashboard import Dashboard, dashboard_problem
from dicast.cli.demo_view import LineView, LiveView, View
from dicast.cli.exit_codes import Exit
from dicast.cli.output import fields_of, note, print_result
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


def demo(
    *,
    prompt: str = "",
    certificate: Path = DEFAULT_FILE,
    web: Annotated[bool, Parameter(negative="")] = False,
    common: Common = DEFAULTS,
) -> int:
    """Seven local nodes, a relay and one who asks, all on this machine; nothing is left running afterwards.

    One node lies about a name. One is killed after it has committed and before it reveals. Exit 0 accepted,
    3 undetermined.

    Parameters
    ----------
    prompt
        Your own question instead of the default one.
    certificate
        Where to put the certificate.
    web
        Open the map of the demo network in a browser, and go on until Ctrl-C.
    """
    card = read_card()
    question = _question(prompt or card.prompt, card.temperature_milli / 1000)
    check_options(question, AskSettings())
    check_writable(certificate, "certificate", make_folder=True)
    is_terminal = sys.stdout.isatty() and not common.json
    view: View = LiveView() if is_terminal else LineView(sys.stderr if common.json else sys.stdout)
    ending = _Ending(certificate, common, view)
    try:
        asyncio.run(_Demo(question, view, ending.tell, web=web).run())
    except asyncio.CancelledError:  # SIGTERM or SIGHUP
        raise KeyboardInterrupt from None
    except KeyboardInterrupt:
        if ending.code is None:
            raise
    finally:
        view.close()
    return Exit.FAILED if ending.code is None else ending.code


class _Ending:
    """What is told when there is an answer: the certificate's file, and that it holds."""

    def __init__(self, certificate: Path, common: Common, view: View) -> None:
        self.code: int | None = None
        self._certificate = certificate
        self._common = common
        self._view = view

    def tell(self, answer: api.Answer) -> None:
        """Write the certificate, verify it, and remember how the demonstration ends."""
        self._view.close()
        write_file(self._certificate, answer.certificate)
        self._view.certificate(self._certificate)
        self.code = _verify(self._certificate, self._common)
        if self._common.json:
            told = {**fields_of(answer), "certificate": str(self._certificate)}
            print_result(told, "", as_json=True)
        if self.code == Exit.DONE and not answer.is_accepted:
            self.code = Exit.UNDETERMINED


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

    def __init__(
        self, question: api.Ask, view: View, tell: Callable[[api.Answer], None], *, web: bool = False
    ) -> None:
        self._question = question
        self._view = view
        self._tell = tell
        self._web = web
        self._network = DemoNetwork()
        self._began = time.monotonic()

    async def run(self) -> None:
        """Ask, and tell the answer. Whatever happens, no process is left when this returns."""
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        try:
            await self._run()
        finally:
            self._network.stop()

    async def _run(self) -> None:
        network, view = self._network, self._view
        view.begin(self._question.prompt)
        await network.start_relay()
        network.start_nodes()
        view.nodes(network.nodes, network.relay)
        settings = Settings(
            network=network.network, relays=(network.relay,), roles=(), engines={}, embedders={}
        )
        paths = network.follower_paths
        async with (
            running_node(settings, paths, None, Log("error"), listen=self._web) as composed,
            self._pages() as pages,
        ):
            composed.driver.reports.listen_now(self._watch)
            await self._all_there(composed)
            view.plan(await composed.service.answer(_plan_of(self._question), _ignore))
            asked = time.monotonic()
            answer = await composed.service.answer(self._question, view.event)
            assert isinstance(answer, api.Answer)
            view.answer(answer, round_s=time.monotonic() - asked, whole_s=time.monotonic() - self._began)
            await asyncio.to_thread(self._tell, answer)
            if pages:
                note(f"The network goes on at {pages} until Ctrl-C.")
                await asyncio.Event().wait()

    @asynccontextmanager
    async def _pages(self) -> AsyncGenerator[str]:
        """The address of the map, opened in a browser; empty without --web."""
        if not self._web:
            yield ""
            return
        problem = dashboard_problem()
        if problem:
            raise AdapterError("dashboard_failed", f"There is no dashboard: {problem}.", "Leave --web out.")
        pages = Dashboard(self._network.follower_paths.state_dir, 0, preset="story")
        try:
            url = f"{await pages.start()}/#/map"
            note(f"The map: {url}")
            if sys.stdout.isatty():
                await asyncio.to_thread(webbrowser.open, url)
            yield url
        finally:
            await pages.stop()

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
