"""`dicast models`: what this machine can run and vote with."""

from __future__ import annotations

import asyncio
from typing import Annotated

from cyclopts import App, Parameter

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.output import note, print_result, table
from dicast.cli.percent import Percent
from dicast.daemon.compose import engines_of
from dicast.ports import Engine

app = App(name="models", help="The models on this machine.", help_format="plaintext")
WEIGHTS = "minilm"
"""The only weights that are fetched; engines bring their own models."""


@app.command(name="list")
def list_(*, common: Common = DEFAULTS) -> None:
    """List the models that the engines here can run, and the voting embedder."""
    from dicast.embedders.weights import MINILM, find_weights

    settings = common.load().settings
    rows = asyncio.run(_offers(engines_of(settings, common.paths())))
    path = find_weights()
    value = {
        "models": [
            dict(zip(("name", "engine", "context_tokens", "domain", "problem"), row, strict=True))
            for row in rows
        ],
        "embedders": [{"name": MINILM.name, "file": str(path) if path else None}],
    }
    shown = [
        (name, engine, context, problem or domain or "general")
        for name, engine, context, domain, problem in rows
    ]
    shown.append((MINILM.name, "embedder", "", str(path) if path else "missing: dicast models get minilm"))
    print_result(value, table(("model", "engine", "context", "made for"), shown), common.json)


@app.command
def get(
    name: str, /, *, source: Annotated[str, Parameter(name="--from")] = "", common: Common = DEFAULTS
) -> None:
    """Fetch the voting embedder's weights (91 MB) and check their hash; goes on where it stopped.

    Parameters
    ----------
    name
        minilm.
    source
        A file, URL or magnet link to take them from. Without it, the mirrors of the configuration come first.
    """
    _check_name(name)
    from dicast.embedders.weights import find_weights, get_weights

    shown = Percent()
    try:
        if source.startswith("magnet:") or (not source and find_weights() is None):
            source = _fetched(source, common, shown)
        path = get_weights(source or None, shown.show)
    finally:
        shown.end()
    print_result({"name": name, "file": str(path)}, str(path), common.json)


@app.command
def rm(name: str, /, *, common: Common = DEFAULTS) -> None:
    """Remove fetched weights; an installed package stays.

    Parameters
    ----------
    name
        minilm.
    """
    _check_name(name)
    from dicast.embedders.weights import remove_weights

    removed = remove_weights()
    print_result(
        {"name": name, "removed": removed}, "removed" if removed else "nothing was there", common.json
    )


def _fetched(link: str, common: Common, shown: Percent) -> str:
    """The weights as a blob: by a magnet link, or from mirrors, where there are any; else an empty path."""
    from dicast.daemon import builtin_content
    from dicast.embedders.weights import MINILM

    settings = common.load().settings
    if not link and not settings.content.mirrors:
        return ""
    asked = builtin_content.wanted(MINILM.sha256, (link,) if link else ())
    try:
        return str(
            asyncio.run(builtin_content.fetch(settings, common.paths(), asked, shown.show, False)).path
        )
    except AdapterError as error:
        if link:
            raise
        note(f"The mirrors do not have it: {error.message}")
        return ""


async def _offers(engines: list[Engine]) -> list[tuple[str, str, str, str, str]]:
    rows: list[tuple[str, str, str, str, str]] = []
    for engine in engines:
        try:
            models = await engine.models()
        except AdapterError as error:
            rows.append(("-", engine.name, "", "", error.message))
            continue
        finally:
            await engine.close()
        rows += [(one.name, one.engine, str(one.context_tokens), one.domain, "") for one in models]
        if not models:
            rows.append(("-", engine.name, "", "", "offers nothing: is its server running?"))
    if not engines:
        note("No engine is configured.")
    return rows


def _check_name(name: str) -> None:
    if name != WEIGHTS:
        raise ConfigurationError(
            "model_unknown", f"There are no weights called {name!r} to fetch or remove.", f"Known: {WEIGHTS}."
        )
