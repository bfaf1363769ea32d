"""`dicast publish` and `dicast subscribe`: JSON documents to and from whoever is at the signallers."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter, validators

from dicast.base.errors import Rejection
from dicast.cli.common import DEFAULTS, Common, OrStandardInput, Repeated
from dicast.cli.exit_codes import Exit
from dicast.cli.output import note, print_result
from dicast.cli.signalling import read_key
from dicast.daemon.key_files import load_or_create
from dicast.queries.document import Document, document_topic, make_document
from dicast.queries.json_text import OBJECT_BYTES_MAX, JsonValue, QueryError, read_object
from dicast.queries.language import parse_query
from dicast.signalling.client import Signallers
from dicast.signalling.client import publish as publish_all
from dicast.signalling.client import subscribe as follow

INPUT_BYTES_MAX = 16 * 1024 * 1024
"""A thousand documents of the largest size at once."""
WANTED = (
    """Name a JSON object, such as dicast publish '{"type": "news"}', """
    "or give one, or one a line, on standard input: dicast publish < FILE."
)
REACHING = Group("Which signallers", sort_key=2)


@Parameter(name="*", group=REACHING)
@dataclass(frozen=True)
class Reaching:
    """The signallers to turn to."""

    signaller: Annotated[tuple[str, ...], Repeated] = ("ws://127.0.0.1:7780",)
    "The address of a signaller; may be given several times: the next is tried when one does not answer."
    key_file: Path | None = None
    "A file whose first line is the signallers' key."
    network: str | None = None
    "The network whose documents are meant."
    plain: Annotated[bool, Parameter(negative="")] = False
    "On a private network, too: documents are not encrypted, and whoever is at the signallers reads them."

    def found(self) -> Signallers:
        """The addresses and the key."""
        return Signallers(self.signaller, read_key(self.key_file))


HERE = Reaching()
"""The signaller on this machine."""


def publish(
    document: OrStandardInput = "-", /, *, reaching: Reaching = HERE, common: Common = DEFAULTS
) -> int:
    """Publish a JSON object, signed by this node's key, to whoever asked for such; prints its id.

    Parameters
    ----------
    document
        A JSON object of at most 16 KiB; - or nothing reads one, or one a line, from standard input.
    """
    texts = [document.encode()] if document != "-" else _texts(sys.stdin.buffer.read(INPUT_BYTES_MAX))
    _check(read_object, texts, WANTED)
    topic = document_topic(_network(reaching, common))
    key = load_or_create(common.paths(), common.password()).key
    made = [make_document(key, topic, text, int(time.time() * 1000)) for text in texts]
    asyncio.run(publish_all(reaching.found(), made))
    ids = [one.id for one in made]
    print_result({"ids": ids}, "\n".join(ids), common.json)
    return Exit.DONE


def subscribe(
    query: OrStandardInput,
    /,
    *,
    count: Annotated[int | None, Parameter(validator=validators.Number(gte=1))] = None,
    backlog: Annotated[bool, Parameter(negative="")] = False,
    reaching: Reaching = HERE,
    common: Common = DEFAULTS,
) -> int:
    """Print JSON objects that match a query as they are published, one a line, until Ctrl-C.

    Parameters
    ----------
    query
        What to match, such as '{"type": "news", "score": {"$gte": 5}}'; - reads it from standard input.
    count
        Stop after so many.
    backlog
        Begin with what went by in the last ten minutes.
    """
    text = sys.stdin.buffer.read(INPUT_BYTES_MAX) if query == "-" else query.encode()
    _check(parse_query, [text], "docs/signal.md has the language.")
    network = _network(reaching, common)
    asyncio.run(_follow(reaching.found(), text, network, (count, backlog, common.json)))
    return Exit.DONE


def _network(reaching: Reaching, common: Common) -> str:
    """The name of the network whose documents are meant; a private one's only where that was said."""
    settings = common.load(network=reaching.network).settings
    if settings.passphrase_file and not reaching.plain:
        raise Rejection(
            "network_private",
            f"The network {settings.network!r} is private, and documents are not encrypted.",
            "Name an open network and a configuration without passphrase_file, or say --plain.",
        )
    return settings.network


def _check(read: Callable[[bytes], object], texts: Sequence[bytes], help_: str) -> None:
    """What was typed here is this caller's mistake, not a peer's."""
    try:
        for text in texts:
            read(text)
    except QueryError as error:
        raise Rejection(error.code, error.message, help_) from error


async def _follow(
    signallers: Signallers, query: bytes, network: str, options: tuple[int | None, bool, bool]
) -> None:
    left, backlog, as_json = options
    documents = follow(signallers, query, network, backlog, lambda: note("subscribed"))
    async with aclosing(documents) as found:
        while left is None or left > 0:
            _print(await anext(found), as_json)
            left = None if left is None else left - 1


def _print(document: Document, as_json: bool) -> None:
    """The object alone on its line, or with `--json` who published it and when, too."""
    text = json.dumps(_numbers(document.value), ensure_ascii=False, separators=(",", ":"))
    stamp = {"id": document.id, "author": document.author, "created_at": document.created_at}
    print_result({**stamp, "document": _numbers(document.value)}, text, as_json)


def _numbers(value: JsonValue) -> JsonValue:
    """Whole numbers as people write them: every number is a double, and 7 should not become 7.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, list):
        return [_numbers(one) for one in value]
    if isinstance(value, dict):
        return {name: _numbers(one) for name, one in value.items()}
    return value


def _texts(data: bytes) -> list[bytes]:
    """One object, or one a line."""
    try:
        read_object(data, OBJECT_BYTES_MAX)
    except QueryError:
        lines = [line for line in data.splitlines() if line.strip()]
        return lines or [data]
    return [data]
