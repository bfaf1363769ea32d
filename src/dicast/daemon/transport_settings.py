"""What builders of transports check of their settings, each refusal with its next step."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from dicast.addresses import without_user
from dicast.base.errors import ConfigurationError

T = TypeVar("T")


def with_extra(extra: str, build: Callable[[], T]) -> T:
    """What `build` makes; where its package is not installed, how to install it."""
    try:
        return build()
    except ImportError as error:
        raise ConfigurationError(
            "transport_missing",
            f"transports.{extra}: the package it needs is not installed ({error.name}).",
            f"Run: pip install 'dicast[{extra}]'",
        ) from error


def check_url(key: str, url: str, schemes: tuple[str, ...], example: str) -> None:
    """Refuse an address that is none of these schemes, or that holds a password."""
    try:
        parts = urlsplit(url)
        is_good = parts.scheme in schemes and bool(parts.hostname) and (parts.port or 1) > 0
        is_good = is_good and parts.username is None
    except ValueError:
        is_good = False
    if not is_good:
        shown = without_user(url)
        reason = "does not fit" if shown == url else "takes no user and password in it"
        raise ConfigurationError("config_value", f"{key}: {shown!r} {reason}.", f"Example: {example}")


def listen_address(key: str, text: str) -> tuple[str, int]:
    """An address of an interface, and a port."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.hostname and parts.port is not None:
            return str(ipaddress.ip_address(parts.hostname)), parts.port
    except ValueError:
        pass
    raise ConfigurationError(
        "config_value", f"{key}: {text!r} is no address and port.", 'Example: listen = "127.0.0.1:7780"'
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def too_public(key: str, value: str) -> ConfigurationError:
    """What is said of an address that others reach, where that was not asked for."""
    return ConfigurationError(
        "transport_public",
        f"{key}: {value!r} can be reached from other machines.",
        "If that is meant, add: public = true",
    )


def file_setting(key: str, name: str) -> Path | None:
    """The file that a setting names, None where it names none."""
    path = Path(name).expanduser() if name else None
    if path is not None and not path.is_file():
        raise ConfigurationError("config_value", f"{key}: there is no file {path}.", "")
    return path
