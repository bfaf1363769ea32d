"""Dicast: one answer from many machines that do not trust each other, with a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicast.version import VERSION

if TYPE_CHECKING:
    from dicast.base.errors import DicastError
    from dicast.client import AsyncClient, Client
    from dicast.daemon.api import Answer

__version__ = VERSION
__all__ = ["Answer", "AsyncClient", "Client", "DicastError", "__version__"]

_PLACES = {
    "Answer": "dicast.daemon.api",
    "AsyncClient": "dicast.client",
    "Client": "dicast.client",
    "DicastError": "dicast.base.errors",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used, so that `import dicast` costs nothing."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'dicast' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(place), name)
