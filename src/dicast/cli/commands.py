"""The commands, as data: name, where it is, its line in the help. Reading this imports nothing else."""

from __future__ import annotations

import shutil
import textwrap
from typing import NamedTuple


class Command(NamedTuple):
    """One command: `place` is module and function below `dicast.cli`."""

    name: str
    place: str
    line: str


GROUPS: dict[str, tuple[Command, ...]] = {
    "Ask": (
        Command("ask", "ask:ask", "Ask the network one question; the answer goes to standard output."),
        Command("batch", "batch:batch", "Ask every line of a file, over many nodes at a time."),
        Command("verify", "verify:verify", "Check a certificate offline."),
        Command("judge", "judging:judge", "Compute the verdict of a case file."),
    ),
    "Run a node": (
        Command("up", "up:up", "Run a node here until it is stopped."),
        Command(
            "gateway",
            "gateway:gateway",
            "Serve OpenAI's and Anthropic's interfaces over the node running here.",
        ),
        Command("keys", "keys:app", "The gateway's API keys: create, list, revoke."),
        Command("invite", "inviting:invite", "Print a ticket to this network, and its QR code."),
        Command("join", "inviting:join", "Keep a ticket, so that `dicast up` here meets its network."),
        Command("relay", "relaying:relay", "Run a Nostr relay for your own nodes."),
        Command("router", "router:router", "Run a Zenoh router where your own nodes meet."),
        Command("identity", "identity:app", "The node's key: new, show, import, export, password."),
        Command("models", "models:app", "The models on this machine: list, get, rm."),
        Command("blob", "blob:app", "Files by their SHA-256: add, get, ls, rm, pin, gc."),
        Command("config", "config:app", "The settings in force, and where they come from: show, path."),
        Command("reset", "reset:reset", "Delete stored rounds and certificates; never the key."),
    ),
    "Share documents": (
        Command("publish", "publishing:publish", "Publish a JSON object to whoever asked for such."),
        Command("subscribe", "publishing:subscribe", "Print JSON objects that match a query as they come."),
        Command("signal", "signalling:signal", "Run a signaller for pages and programs, with a page."),
    ),
    "Look": (
        Command("status", "look:status", "What the node running here does."),
        Command("peers", "look:peers", "The nodes it knows."),
        Command("transports", "look:transports", "The networks it is on, and how well each does."),
        Command("rounds", "look:rounds", "The rounds it takes part in, and its certificates."),
        Command("doctor", "doctor:doctor", "What works on this machine, what does not, and how to mend it."),
    ),
    "Try": (
        Command("demo", "demo:demo", "Seven local nodes answer one question; one lies, one is killed."),
        Command("simulate", "simulating:simulate", "Run a simulated network from a seed."),
    ),
}
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}

SUMMARY = (
    "One answer from many machines that do not trust each other, with a certificate that anybody can check."
)
EPILOGUE = (
    "Exit codes: 0 accepted or done, 1 failed, 2 usage or configuration, 3 undetermined, 4 no network, "
    "5 invalid, 130 interrupted."
)


def help_text() -> str:
    """What `dicast --help` prints."""
    width = min(100, shutil.get_terminal_size().columns)
    lines = ["Usage: dicast COMMAND [OPTIONS]", "", *textwrap.wrap(SUMMARY, width)]
    for title, commands in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {command.name:<10} {command.line}" for command in commands)]
    lines += [
        "",
        "Every command takes --json, --state-dir DIR, --config FILE and --help. Version: `dicast --version`.",
    ]
    return "\n".join([*lines, "", *textwrap.wrap(EPILOGUE, width)]) + "\n"
