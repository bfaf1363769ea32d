"""`dicast keys`: the gateway's API keys."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import App, Group, Parameter

from dicast.cli.common import DEFAULTS, Common, Repeated
from dicast.cli.output import note, print_result, table
from dicast.gateway.keys import RATE_DEFAULT, KeyFile, KeyRecord, Limits, Scope

HEADINGS = ("id", "name", "scopes", "rate", "tokens/day", "rounds/day", "created")

app = App(
    name="keys",
    help="The gateway's API keys, stored as hashes. A running gateway sees changes at once.",
    help_format="plaintext",
)


@Parameter(name="*", group=Group("Limits", sort_key=2))
@dataclass(frozen=True)
class Allowed:
    """How much a key may do."""

    rate: Annotated[int, Parameter(name=("--requests-per-minute", "--rate"))] = RATE_DEFAULT
    "Requests a minute."
    tokens_per_day: int | None = None
    "Tokens it may spend a day (UTC), as the winners count them; left out: without limit."
    rounds_per_day: int | None = None
    "Rounds it may open a day (UTC); left out: without limit."


USUAL = Allowed()
"""What a key may do when nothing else was said."""


@app.command
def create(
    name: str,
    /,
    *,
    scope: Annotated[tuple[Literal["infer", "read", "admin"], ...], Repeated] = (),
    allowed: Allowed = USUAL,
    common: Common = DEFAULTS,
) -> None:
    """Make a key and print it: this is the only time it can be seen.

    Parameters
    ----------
    name
        What to call it.
    scope
        What it may do: infer asks, and gets the certificates of what it asked; read sees everybody's
        questions and answers, as the dashboard does; admin makes and revokes keys. May be given several
        times. Left out: infer.
    """
    common.paths().prepare()
    scopes = tuple(Scope(one) for one in scope)
    limits = Limits(allowed.rate, allowed.tokens_per_day, allowed.rounds_per_day)
    key = _file(common).create(name, scopes, limits, int(time.time())).secret
    print_result({"name": name, "key": key}, key, common.json)
    note("Keep it: only its hash is stored.")


@app.command(name="list")
def list_(*, common: Common = DEFAULTS) -> None:
    """List the keys, without the keys themselves."""
    records = _file(common).records()
    rows = [
        (
            one.id,
            one.name,
            ",".join(one.scopes),
            f"{one.rate_per_minute}/min",
            str(one.tokens_per_day or "-"),
            str(one.rounds_per_day or "-"),
            _day(one.created_unix_s),
        )
        for one in records
    ]
    shown = [_shown(one) for one in records]
    print_result(shown, table(HEADINGS, rows), common.json)


@app.command
def revoke(name: str, /, *, common: Common = DEFAULTS) -> None:
    """Revoke a key at once.

    Parameters
    ----------
    name
        The key's id, or the name of all keys of that name.
    """
    gone = _file(common).revoke(name)
    text = "\n".join(f"revoked {one.id} {one.name}" for one in gone)
    print_result([_shown(one) for one in gone], text, common.json)


def _file(common: Common) -> KeyFile:
    return KeyFile(common.paths().state_dir)


def _shown(record: KeyRecord) -> dict[str, object]:
    return {
        "id": record.id,
        "name": record.name,
        "scopes": list(record.scopes),
        "rate_per_minute": record.rate_per_minute,
        "tokens_per_day": record.tokens_per_day,
        "rounds_per_day": record.rounds_per_day,
        "created_unix_s": record.created_unix_s,
    }


def _day(unix_s: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(unix_s))
