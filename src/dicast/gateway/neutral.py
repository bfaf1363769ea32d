"""Which values of fields that the network cannot honour mean nothing, so that they may stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dicast.gateway.errors import unsupported

Neutral = Mapping[str, tuple[Any, ...]]
"""A field and its values that ask for nothing."""


def check_neutral(fields: Mapping[str, Any], neutral: Neutral) -> None:
    """Refuse whatever asks for something; raises GatewayError `unsupported`."""
    for name, harmless in neutral.items():
        value = fields.get(name)
        if value is not None and not any(_is_same(value, one) for one in harmless):
            raise unsupported(name)


def _is_same(value: Any, harmless: Any) -> bool:
    """Equal, where `true` is not the number 1."""
    return value == harmless and isinstance(value, bool) is isinstance(harmless, bool)
