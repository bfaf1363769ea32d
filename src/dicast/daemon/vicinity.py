"""Where those are whom a node meets: on this machine only, or elsewhere too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from dicast.daemon.config_schema import Settings
from dicast.daemon.given import given_places
from dicast.daemon.plugins import is_on, plugin_of

LOOKED_AT = frozenset({"nostr", "websocket"})
"""Transports; where those are whom the others reach, nobody here knows."""


def is_on_this_machine(settings: Settings) -> bool:
    """Whether a node meets others by what is on this machine: then whoever it hears of may be there, too."""
    tables = [table for name, table in settings.transports.items() if plugin_of(name, table) == "websocket"]
    if not _kinds(settings) <= LOOKED_AT:
        return False
    listening = [f"ws://{table['listen']}" for table in tables if table.get("listen")]
    relays = [place.address for place in given_places(settings) if place.transport == "nostr"]
    places = [*settings.relays, *relays, *listening, *mesh_peers(settings)]
    if not places:
        return False
    from dicast.transports.nostr_socket import is_on_this_machine as is_here

    return all(map(is_here, places))


def mesh_peers(settings: Settings) -> list[str]:
    """The nodes of the mesh that a person named."""
    tables = settings.transports.items()
    meshes = [table for name, table in tables if plugin_of(name, table) == "websocket"]
    found = [cast("Mapping[str, Sequence[str]]", table).get("peers", ()) for table in meshes]
    given = [place.address for place in given_places(settings) if place.transport == "websocket"]
    return given + [peer for peers in found if not isinstance(peers, str) for peer in peers]


def _kinds(settings: Settings) -> set[str]:
    """The transports that are on."""
    tables = settings.transports.items()
    used = {plugin_of(name, table) for name, table in tables if is_on(table)}
    return used | {place.transport for place in given_places(settings)}
