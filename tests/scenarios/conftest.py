"""Conversations written down: a network of real nodes that tells what it does, and files to compare with."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicast.protocol.inputs import Cancelled
from dicast.protocol.messages import Kind
from dicast.protocol.outputs import (
    CertificateReady,
    MemberProgress,
    PacketRefused,
    Penalised,
    RoundDecided,
    RoundEnded,
    RoundOpened,
    RoundProgress,
    WorkProgress,
)

HERE = Path(__file__).resolve().parent


def loaded(path: Path) -> Any:
    """A module of another folder of tests."""
    spec = importlib.util.spec_from_file_location("protocol_network", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


base = loaded(HERE.parent / "protocol/conftest.py")
question = base.question
prove = base.prove
publish = base.publish


class Transcript(base.Network):
    """A network that writes down who sends what, naming what it follows, and who says what."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.names: dict[str, str] = {}
        self.packets: dict[str, str] = {}
        self.started_ms = 0

    def begin(self, workers: int) -> tuple[Any, list[Any]]:
        """An asker without roles, and workers, who know each other."""
        hosts = [self.add(roles=()), *(self.add() for _ in range(workers))]
        for number, host in enumerate(hosts):
            self.names[host.identity.node_id] = f"w{number}" if number else "asker"
        self.run_for(1_000)
        self.started_ms, self.lines = self.now_ms, []
        return hosts[0], hosts[1:]

    def note(self, text: str) -> None:
        """Something that happens to the network from outside."""
        self._line("", text)

    def give(self, host: Any, happened: Any) -> None:
        if isinstance(happened, base.Asked | Cancelled) and host.alive:
            what = f"asks, {happened.question.admission}" if isinstance(happened, base.Asked) else "cancels"
            self._line(self._name(host), what)
        super().give(host, happened)

    def perform(self, host: Any, batch: Any) -> None:
        for send in batch.sends:
            self._line(self._name(host), self._sent(send.wire))
        for report in batch.reports:
            text = self._told(report)
            if text:
                self._line(self._name(host), text)
        super().perform(host, batch)

    def _line(self, who: str, text: str) -> None:
        seconds = (self.now_ms - self.started_ms) / 1000
        self.lines.append(f"{seconds:7.3f}  {who:6} {text}")

    def _name(self, host: Any) -> str:
        return self.names.get(host.identity.node_id, "")

    def _sent(self, wire: bytes) -> str:
        event = json.loads(wire)
        known = self.packets.get(event["id"])
        if known is not None:
            return f"repeats {known}"
        kind = f"{Kind(event['kind']).name} of {self.names.get(event['pubkey'], '?')}"
        count = sum(name.startswith(kind) for name in self.packets.values()) + 1
        name = self.packets[event["id"]] = kind if count == 1 else f"{kind} ({count})"
        after = [self.packets[tag[1]] for tag in event["tags"] if tag[0] == "e"]
        details = self._detail(Kind(event["kind"]), json.loads(event["content"]))
        return f"sends {name}{''.join(f', after {one}' for one in after)}{details}"

    def _detail(self, kind: Kind, body: dict[str, Any]) -> str:
        match kind:
            case Kind.REQUEST:
                chain = f", previous {self.packets[body['previous']]}" if body["attempt"] > 1 else ""
                return f": attempt {body['attempt']}{chain}"
            case Kind.QUORUM:
                return self._listing(body["commits"])
            case Kind.CLOSE:
                return self._listing(body["reveals"])
            case Kind.WANT:
                return self._listing(body["ids"])
            case Kind.STATUS:
                return f": {' '.join(body[name] for name in ('state', 'reason') if name in body)}"
            case Kind.PANEL:
                return ": " + self._mapping(body["members"])
            case _:
                return ""

    def _listing(self, ids: list[str]) -> str:
        return ": " + (", ".join(sorted(self.packets[one] for one in ids)) or "nothing")

    def _mapping(self, values: dict[str, Any]) -> str:
        named = {self.names[key]: value for key, value in values.items()}
        return ", ".join(f"{name} {named[name]}" for name in sorted(named))

    def _told(self, report: Any) -> str:
        match report:
            case RoundOpened():
                return f"says: round opened, quorum {report.quorum}, need {report.need}"
            case RoundProgress():
                return f"says: {report.step}, {report.seats} seats"
            case MemberProgress():
                return f"says: {self.names[report.member]} {report.step} {report.detail}".rstrip()
            case WorkProgress():
                return f"says: {report.step} {report.detail}".rstrip()
            case RoundDecided(verdict=verdict):
                answer = f" {verdict.answer!r}" if verdict.answer is not None else ""
                statuses = self._mapping(dict(verdict.statuses))
                return f"says: {verdict.outcome.value}, {verdict.reason.value}{answer} ({statuses})"
            case CertificateReady():
                return f"says: certificate, {report.signed_seats} seats signed"
            case RoundEnded():
                return f"says: ended, {report.code}"
            case Penalised():
                return f"says: {self.names[report.node_id]} is banned for {report.reason}"
            case PacketRefused(reason=reason, author=author) if reason != "duplicate":
                return f"refuses a packet of {self.names.get(author or '', 'somebody')}: {reason}"
            case _:
                return ""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write the conversations again, to be reviewed")


@pytest.fixture
def network() -> Transcript:
    return Transcript()


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Callable[[str, str, Transcript], None]:
    """Compare a conversation with its file, or write the file when told to."""

    def same(name: str, about: str, network: Transcript) -> None:
        path = HERE / f"{name}.txt"
        text = "\n".join([f"# {about}", *network.lines]) + "\n"
        if request.config.getoption("--rewrite", default=False):
            path.write_text(text)
        assert path.read_text() == text

    return same
