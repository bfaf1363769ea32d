"""What the demonstration shows: a table that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TextIO

from dicast.base.nip19 import encode_npub
from dicast.cli.output import printable
from dicast.cli.progress import (
    NOT_TRUTH,
    REJECTED,
    agreed_in_words,
    rates_in_words,
    reason_in_words,
    rejected_words,
)
from dicast.client_channel import Event
from dicast.consensus.verdict import Verdict
from dicast.daemon import api
from dicast.daemon.demo_network import DemoNode
from dicast.protocol.outputs import MemberProgress, RoundOpened, RoundProgress

MEMBER_WORDS = {"accepted": "running"}
AGREES = {"core": "agrees", "accepted": "agrees, not with enough"}


class View(Protocol):
    """Hears what happens, in order."""

    def begin(self, prompt: str) -> None:
        """The demonstration starts."""
        ...

    def nodes(self, nodes: list[DemoNode], relay: str) -> None:
        """The processes were started."""
        ...

    def ready(self, node: DemoNode) -> None:
        """The follower has heard this node."""
        ...

    def plan(self, plan: object) -> None:
        """What asking means."""
        ...

    def event(self, event: Event) -> None:
        """A step of the round."""
        ...

    def answer(self, answer: api.Answer, round_s: float, whole_s: float) -> None:
        """The round is over."""
        ...

    def certificate(self, path: Path) -> None:
        """Where the certificate lies."""
        ...

    def close(self) -> None:
        """Nothing more will come; harmless when repeated."""
        ...


class Board:
    """What is known of every node: the content of both views."""

    def __init__(self) -> None:
        self.nodes: list[DemoNode] = []
        self.steps: dict[str, str] = {}
        self.texts: dict[str, str] = {}

    def put(self, node: DemoNode, step: str) -> None:
        """Where a node stands; a killed one stays killed."""
        if self.steps.get(node.node_id) != "killed":
            self.steps[node.node_id] = step

    def find(self, node_id: str) -> DemoNode | None:
        """The node of a key."""
        return next((node for node in self.nodes if node.node_id == node_id), None)

    def hear(self, event: Event) -> DemoNode | None:
        """Note a member's step; the node it is about."""
        if isinstance(event, RoundOpened):
            for node in self.nodes:
                self.put(node, "asked")
        if not isinstance(event, MemberProgress):
            return None
        node = self.find(event.member)
        if node is not None and event.step != "signed":
            self.put(node, MEMBER_WORDS.get(event.step, event.step))
            if node.killed:
                self.put(node, "killed")
        return node

    def finish(self, answer: api.Answer) -> None:
        """The statuses of the verdict and the texts of the certificate."""
        for node in self.nodes:
            status = answer.verdict.statuses.get(node.node_id)  # type: ignore[call-overload]
            if status is not None:
                killed = "killed: " if node.killed else ""
                self.steps[node.node_id] = killed + AGREES.get(status.value, status.value)
        self.texts = {author: one.answer for author, one in answer.reveals.items()}


def name_of(node: DemoNode) -> str:
    """The node's name, and what is special about it."""
    return f"{node.name} (lies)" if node.lies else node.name


def frame_line(plan: object) -> str:
    """Seats, need and how often the frame errs."""
    assert isinstance(plan, api.PlanResult)
    return (
        f"{plan.seats} seats, {plan.quorum} must commit, {plan.need} must agree. "
        f"Chance that a lie is accepted: {rates_in_words(plan)}."
    )


def outcome_lines(board: Board, answer: api.Answer) -> list[str]:
    """The answer, what agreed, and what did not and why."""
    verdict = answer.verdict
    if answer.answer is not None:
        lines = [f"Answer: {printable(answer.answer)}", ""]
        lines.append(agreed_in_words(verdict))
    else:
        lines = [f"undetermined: {reason_in_words(verdict)}"]
    for node in board.nodes:
        status = verdict.statuses.get(node.node_id)  # type: ignore[call-overload]
        if status is not None and status.value in REJECTED:
            lines.append(f"rejected: {name_of(node)} {_why(node, verdict, board)} [{status.value}]")
    return [*lines, NOT_TRUTH] if answer.is_accepted else lines


def _why(node: DemoNode, verdict: Verdict, board: Board) -> str:
    status = verdict.statuses[node.node_id].value
    if node.killed and status == "unrevealed":
        return "was killed after it had committed, before it revealed"
    text = board.texts.get(node.node_id, "")
    words = rejected_words(verdict, status)
    return f"{words}: {printable(text)!r}" if text else words


class LineView:
    """One line for each thing that happens."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._board = Board()

    def begin(self, prompt: str) -> None:
        """See `View`."""
        self._say(f"Question: {printable(prompt)}")
        self._say("Starting a relay and 7 nodes on this machine …")

    def nodes(self, nodes: list[DemoNode], relay: str) -> None:
        """See `View`."""
        self._board.nodes = nodes
        self._say(f"relay {relay}")
        for node in nodes:
            self._say(f"{name_of(node)}: process {node.process.pid}, {encode_npub(node.node_id)[:16]}…")

    def ready(self, node: DemoNode) -> None:
        """See `View`."""
        self._say(f"{node.name} is there")

    def plan(self, plan: object) -> None:
        """See `View`."""
        self._say(frame_line(plan))

    def event(self, event: Event) -> None:
        """See `View`."""
        node = self._board.hear(event)
        if node is not None and isinstance(event, MemberProgress) and event.step != "signed":
            self._say(f"{node.name} {MEMBER_WORDS.get(event.step, event.step)}")
            if node.killed and event.step == "committed":
                self._say(
                    f"{node.name} was killed at once (process {node.process.pid}): it will never reveal"
                )
        if isinstance(event, RoundOpened):
            self._say(f"round {event.request_id[:16]} is open")
        if isinstance(event, RoundProgress):
            self._say(f"{event.step}: {event.seats} of 7 seats")

    def answer(self, answer: api.Answer, round_s: float, whole_s: float) -> None:
        """See `View`."""
        self._board.finish(answer)
        for node in self._board.nodes:
            text = self._board.texts.get(node.node_id, "")
            said = f": {printable(text)}" if text else ""
            self._say(f"{name_of(node)} | {self._board.steps.get(node.node_id, 'silent')}{said}")
        self._say("")
        for line in outcome_lines(self._board, answer):
            self._say(line)
        self._say(f"round {round_s:.1f} s, with starting everything {whole_s:.1f} s")

    def certificate(self, path: Path) -> None:
        """See `View`."""
        self._say(f"certificate: {path}")

    def close(self) -> None:
        """See `View`."""

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


STYLES = {
    "starting": "dim",
    "ready": "cyan",
    "asked": "cyan",
    "running": "yellow",
    "committed": "blue",
    "revealed": "magenta",
    "agrees": "bold green",
}


class LiveView:
    """A table of the nodes that moves, then the outcome."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._board = Board()
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=10, transient=False)
        self._head = ""
        self._foot = ""

    def begin(self, prompt: str) -> None:
        """See `View`."""
        self._console.print(f"[bold]Question:[/bold] {_escaped(prompt)}")
        self._foot = "starting a relay and 7 nodes on this machine …"
        self._live.start()
        self._draw()

    def nodes(self, nodes: list[DemoNode], relay: str) -> None:
        """See `View`."""
        self._board.nodes = nodes
        for node in nodes:
            self._board.put(node, "starting")
        self._foot = f"relay {relay}"
        self._draw()

    def ready(self, node: DemoNode) -> None:
        """See `View`."""
        self._board.put(node, "ready")
        self._draw()

    def plan(self, plan: object) -> None:
        """See `View`."""
        self._head = frame_line(plan)
        self._draw()

    def event(self, event: Event) -> None:
        """See `View`."""
        self._board.hear(event)
        if isinstance(event, RoundOpened):
            self._foot = f"round {event.request_id[:16]} is open"
        if isinstance(event, RoundProgress):
            self._foot = f"{event.step}: {event.seats} of 7 seats"
        self._draw()

    def answer(self, answer: api.Answer, round_s: float, whole_s: float) -> None:
        """See `View`."""
        self._board.finish(answer)
        self._foot = f"round {round_s:.1f} s, with starting everything {whole_s:.1f} s"
        self._draw()
        self._live.stop()
        self._console.print()
        for line in outcome_lines(self._board, answer):
            style = (
                "bold green" if line.startswith("Answer:") else "red" if line.startswith("rejected") else ""
            )
            self._console.print(_escaped(line), style=style)

    def certificate(self, path: Path) -> None:
        """See `View`."""
        self._console.print(f"certificate: {_escaped(str(path))}")

    def close(self) -> None:
        """See `View`."""
        self._live.stop()

    def _draw(self) -> None:
        from rich.console import Group
        from rich.table import Table

        table = Table(expand=False)
        for heading in ("node", "process", "state", "answer"):
            table.add_column(heading)
        for node in self._board.nodes:
            step = self._board.steps.get(node.node_id, "starting")
            style = STYLES.get(step, "red")
            text = printable(self._board.texts.get(node.node_id, ""))
            table.add_row(
                name_of(node), str(node.process.pid), f"[{style}]{_escaped(step)}[/{style}]", _escaped(text)
            )
        parts = [line for line in (self._head,) if line]
        self._live.update(Group(*parts, table, self._foot), refresh=True)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(printable(text))
