"""`dicast up --public`: relays of other people, used only after they were named and agreed to."""

from __future__ import annotations

import sys

import msgspec

from dicast.base.errors import ConfigurationError
from dicast.daemon.config_schema import Settings

PUBLIC_RELAYS = ("wss://relay.damus.io", "wss://nos.lol", "wss://relay.primal.net")
"""Large open Nostr relays by three operators; none of them is ours, and none has promised us anything."""
WARNING = """--public connects to relays of other people:
{relays}
They, and whoever listens there, see this machine's network address, its public key, what it offers, and the
packets of its rounds: questions and answers too, unless a round is encrypted or the network has a passphrase.
They may keep all of it. Relays that do not want such traffic may refuse or block this node.
"""


def with_public_relays(settings: Settings, *, is_agreed: bool) -> Settings:
    """The settings with the built-in relays, once a person has agreed. Raises ConfigurationError."""
    listed = "\n".join(f"  {relay}" for relay in PUBLIC_RELAYS)
    sys.stderr.write(WARNING.format(relays=listed))
    if not is_agreed and not _asked():
        raise ConfigurationError(
            "public_declined",
            "Nothing was connected.",
            "Agree with y, or give --yes where nobody can be asked.",
        )
    relays = tuple(dict.fromkeys((*settings.relays, *PUBLIC_RELAYS)))
    return msgspec.structs.replace(settings, relays=relays)


def _asked() -> bool:
    if not sys.stdin.isatty():
        return False
    sys.stderr.write("Connect to them? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
