"""`dicast blob`: files by their SHA-256, from and for other nodes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from dicast.base.errors import ConfigurationError
from dicast.cli.common import DEFAULTS, Common
from dicast.cli.fetching import fetched_from_all
from dicast.cli.output import note, print_result, table
from dicast.cli.percent import Percent
from dicast.content.manifest import is_hash, magnet_of
from dicast.content.store import Blob, BlobStore
from dicast.daemon import builtin_content

app = App(name="blob", help="Files by their SHA-256: kept, shared, fetched.", help_format="plaintext")


@app.command
def add(
    file: Path, /, *, pin: Annotated[bool, Parameter(negative="--no-pin")] = True, common: Common = DEFAULTS
) -> None:
    """Copy a file into the store and print its SHA-256.

    Parameters
    ----------
    file
        What to add.
    pin
        Keep it whatever the quota. With --no-pin it goes when room is needed.
    """
    shown = Percent()
    try:
        manifest = _store(common).add(file.expanduser(), pin=pin, progress=shown.show)
    finally:
        shown.end()
    value = {
        "sha256": manifest.sha256,
        "size": manifest.size,
        "root": manifest.root,
        "magnet": magnet_of(manifest),
    }
    note(f"magnet link: {value['magnet']}")
    print_result(value, manifest.sha256, common.json)


@app.command
def get(
    name: str,
    /,
    *,
    sources: Annotated[tuple[str, ...], Parameter(name="--from")] = (),
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    pin: Annotated[bool, Parameter(negative="")] = False,
    common: Common = DEFAULTS,
) -> None:
    """Fetch a blob from all sources at once and print where it lies; goes on where it stopped.

    Parameters
    ----------
    name
        Its SHA-256, or a magnet link.
    sources
        A URL, a node of the mesh (ws://), a magnet link; besides the mirrors and mesh peers of the
        configuration and those that the node which runs here has met. May be repeated.
    output
        Copy it to this file.
    pin
        Keep it whatever the quota.
    """
    shown = Percent()
    wanted = builtin_content.wanted(name, sources)
    try:
        fetched = asyncio.run(fetched_from_all(wanted, common, shown, pin=pin))
    finally:
        shown.end()
    for one in fetched.penalties:
        note(f"{one.source} {'lied' if one.lied else 'was left'}: {one.reason}")
    path = fetched.path if output is None else builtin_content.copy_out(fetched.path, output.expanduser())
    value = {
        "sha256": fetched.manifest.sha256,
        "size": fetched.manifest.size,
        "file": str(path),
        "bytes_from": fetched.bytes_from,
        "left": [{"source": one.source, "reason": one.reason, "lied": one.lied} for one in fetched.penalties],
    }
    print_result(value, str(path), common.json)


@app.command
def ls(*, common: Common = DEFAULTS) -> None:
    """List the blobs here, least recently used first."""
    store = _store(common)
    blobs = store.blobs()
    rows = [
        (
            blob.sha256,
            f"{blob.size:,}",
            "on its way" if not blob.is_whole else "pinned" if blob.is_pinned else "",
        )
        for blob in blobs
    ]
    value = {"quota_bytes": store.quota_bytes, "blobs": [_plain(blob) for blob in blobs]}
    print_result(value, table(("sha256", "bytes", ""), rows), common.json)


@app.command
def rm(name: str, /, *, common: Common = DEFAULTS) -> None:
    """Remove a blob, or what there is of one, pinned or not.

    Parameters
    ----------
    name
        Its SHA-256.
    """
    removed = _store(common).remove(_checked(name))
    print_result(
        {"sha256": name, "removed": removed}, "removed" if removed else "nothing was there", common.json
    )


@app.command
def pin(
    name: str, /, *, off: Annotated[bool, Parameter(negative="")] = False, common: Common = DEFAULTS
) -> None:
    """Keep a blob whatever the quota.

    Parameters
    ----------
    name
        Its SHA-256.
    off
        No longer.
    """
    if not _store(common).pin(_checked(name), pinned=not off):
        raise ConfigurationError(
            "blob_missing", "The blob is not here.", f"Run: dicast blob get {name} --pin"
        )
    print_result({"sha256": name, "pinned": not off}, "not pinned" if off else "pinned", common.json)


@app.command
def gc(*, common: Common = DEFAULTS) -> None:
    """Remove what is over the quota, the least recently used first, and abandoned downloads."""
    gone = _store(common).collect()
    freed = sum(blob.size for blob in gone)
    print_result(
        {"removed": [_plain(blob) for blob in gone], "freed_bytes": freed},
        f"{len(gone)} removed, {freed:,} bytes freed",
        common.json,
    )


def _store(common: Common) -> BlobStore:
    return builtin_content.blob_store(common.load().settings, common.paths())


def _plain(blob: Blob) -> dict[str, object]:
    return {
        "sha256": blob.sha256,
        "size": blob.size,
        "used_at": blob.used_at,
        "pinned": blob.is_pinned,
        "whole": blob.is_whole,
    }


def _checked(name: str) -> str:
    if not is_hash(name):
        raise ConfigurationError(
            "blob_name", f"{name!r} is no SHA-256.", "64 lower-case hex digits; `dicast blob ls` lists them."
        )
    return name
