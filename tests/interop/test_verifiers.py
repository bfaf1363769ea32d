"""The verifiers in Python and in the browser say the same of certificates that were changed, signed again."""

from __future__ import annotations

import copy
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.events import event_digest
from dicast.protocol.certificate import CertificateError, verify

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "spec/vectors"
CHANGES = 800
SEEDS = ("requester", "member 0", "member 1", "member 2")
KEYS = {key.node_id: key for key in map(KeyPair.from_seed, map(str.encode, SEEDS))}
VALUES: list[Any] = [
    *(None, True, 0, 1, 2, -1, 257, 2**53 - 1, 2**53, 1.5, 60_000, 10_000, "", "a", "é", "\u0000", "x" * 300),
    *([], {}, [None], ["a", "a"], "ab" * 32, "AB" * 32, {"__proto__": 1}, {"constructor": {}}, "/a", "json"),
]


def read(name: str) -> dict[str, Any]:
    return json.loads((VECTORS / name).read_text())


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every path in a JSON value but the whole."""
    members = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for name, member in members:
        yield (*at, name)
        yield from places(member, (*at, name))


def changed(value: Any, chance: random.Random) -> Any:
    """One member set, taken away or added."""
    value = copy.deepcopy(value)
    path = chance.choice(list(places(value)))
    holder = value
    for name in path[:-1]:
        holder = holder[name]
    match chance.randrange(4):
        case 0:
            del holder[path[-1]]
        case 1 if isinstance(holder, dict):
            holder[chance.choice(["zz", "__proto__", "streamer", "models", "previous"])] = chance.choice(
                VALUES
            )
        case 1:
            holder.append(copy.deepcopy(holder[0]))
        case _:
            holder[path[-1]] = chance.choice(VALUES)
    return value


def signed_again(event: dict[str, Any], keep: bool) -> dict[str, Any]:
    """With the id and (unless it is kept) the signature of what it says now, where that is an event."""
    try:
        digest = event_digest(
            event["pubkey"], event["created_at"], event["kind"], event["tags"], event["content"]
        )
        signature = event["sig"] if keep else KEYS[event["pubkey"]].sign(digest)
        return {**event, "id": digest.hex(), "sig": signature}
    except (KeyError, TypeError, ValueError, RemoteProtocolError):
        return event


def change(sheet: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A certificate changed as a whole, in an event, or in what an event says."""
    sheet = copy.deepcopy(sheet)
    kind = chance.randrange(4)
    if kind == 0:
        return changed({**sheet, "events": sheet["events"]}, chance)
    number = chance.randrange(len(sheet["events"]))
    event = sheet["events"][number]
    if kind == 1:
        event = changed(event, chance)
    else:
        body = changed(json.loads(event["content"]), chance)
        event = {
            **event,
            "content": json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":")),
        }
    sheet["events"][number] = signed_again(event, keep=kind == 3)
    return sheet


def of_python(certificate: str) -> str:
    try:
        verify(certificate.encode(), None)
    except CertificateError as error:
        return error.fault.value
    return "holds"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The browser's verifier as one file that Node runs."""
    bundle = tmp_path_factory.mktemp("verifier") / "verify.mjs"
    command = [ROOT / "web/node_modules/.bin/rolldown", "e2e/verify_lines.ts", "--platform", "node"]
    subprocess.run([*command, "--file", bundle, "--format", "esm"], cwd=ROOT / "web", check=True)
    return bundle


def test_both_say_the_same(browser: Path, tmp_path: Path) -> None:
    sheets = [json.loads(read("packets.json")["certificate"]["text"])]
    sheets.append(json.loads(read("sealed.json")["encrypted"]["certificate"]))
    sheets.append(json.loads(read("sealed.json")["drawn"]["certificate"]))
    sheets.append(json.loads(read("attached.json")["plain"]["certificate"]))
    chance = random.Random(20)
    other = {**sheets[-1], "attached": "{}"}
    made = [*sheets, other, *(change(chance.choice(sheets), chance) for _ in range(CHANGES))]
    written = [
        json.dumps(one, sort_keys=True, ensure_ascii=False, separators=(",", ":")) + "\n" for one in made
    ]
    lines = tmp_path / "certificates"
    lines.write_text("".join(f"{json.dumps(one)}\n" for one in written))
    told = subprocess.run(["node", browser, ROOT, lines], capture_output=True, text=True, check=True).stdout
    here = [of_python(one) for one in written]
    assert [*zip(here, told.splitlines(), strict=True)] == [(one, one) for one in here]
    assert here[:4] == ["holds"] * 4
    assert {
        "shape",
        "packet_missing",
        "packet_misplaced",
        "signature_broken",
        "attachment_wrong",
        "holds",
    } <= set(here)
