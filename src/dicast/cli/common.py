"""The options that every command takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

from dicast.daemon.config import Loaded, load_settings
from dicast.daemon.key_files import read_password
from dicast.daemon.paths import Paths, state_paths
from dicast.daemon.tickets import joined

COMMON = Group("Common options", sort_key=9)
ASKING = Group("What to ask and to keep", sort_key=2)
FRAME = Group("How sure to be", sort_key=3)
MEETING = Group("Where to meet", sort_key=4)


@Parameter(name="*", group=COMMON)
@dataclass(frozen=True)
class Common:
    """Options of every command; each stands above the environment, which stands above the file."""

    json: Annotated[bool, Parameter(negative="")] = False
    "Print the result as one line of JSON."
    state_dir: Path | None = None
    "The node's folder (DICAST_STATE_DIR); many nodes on one machine need one each."
    config: Path | None = None
    "The configuration file (DICAST_CONFIG)."
    password_file: Path | None = None
    "A file whose first line is the key's password (DICAST_PASSWORD_FILE)."
    log_level: Literal["debug", "info", "warning", "error"] | None = None
    "How much to log on standard error."
    log_json: Annotated[bool, Parameter(negative="")] = False
    "Log as JSON lines."

    def paths(self) -> Paths:
        """The node's files."""
        return state_paths(self.state_dir)

    def load(self, **flags: object) -> Loaded:
        """The settings in force, under these flags (`log__level` is `log.level`); None means not given."""
        given = {name.replace("__", "."): value for name, value in flags.items() if value is not None}
        if self.log_level is not None:
            given["log.level"] = self.log_level
        if self.log_json:
            given["log.json"] = True
        if self.password_file is not None:
            given["password_file"] = str(self.password_file)
        return load_settings(self.config, given, joined=joined(self.paths()))

    def password(self) -> str | None:
        """The password from the file that flag, environment or configuration names."""
        named = self.load().settings.password_file
        return read_password(Path(named).expanduser()) if named else None


Repeated = Parameter(negative="", consume_multiple=False)
"""An option that may be given several times, one value each."""


def _no_mistyped_option(kind: object, value: str) -> None:
    """`-` means standard input; any other single word that begins like an option was meant as one."""
    del kind
    if value.startswith("-") and value != "-" and not any(char.isspace() for char in value):
        raise ValueError(f"Unknown option: {value}.")


OrStandardInput = Annotated[str, Parameter(allow_leading_hyphen=True, validator=_no_mistyped_option)]
"""A positional word that may be `-`."""


@Parameter(name="*", group=MEETING)
@dataclass(frozen=True)
class NetworkName:
    """A network, open or private."""

    network: str | None = None
    "The network's name; nodes of different names do not hear each other."
    passphrase_file: str | None = None
    "A file whose first line makes the network private: only nodes with the same line hear each other."

    def flags(self) -> dict[str, object]:
        """What was given, as settings; others that read them may stand in another folder."""
        named = self.passphrase_file
        place = str(Path(named).expanduser().absolute()) if named else named
        return {"network": self.network, "passphrase_file": place}


@Parameter(name="*", group=MEETING)
@dataclass(frozen=True)
class Meeting(NetworkName):
    """The network and the relays it meets at."""

    relay: Annotated[tuple[str, ...], Repeated] = ()
    "A Nostr relay (ws:// or wss://); may be given several times."

    def flags(self) -> dict[str, object]:
        """What was given, as settings."""
        return {**super().flags(), "relays": self.relay or None}


ANY_NETWORK = NetworkName()
"""What a command has when no network was given."""
NOWHERE = Meeting()
"""What a command has when neither network nor relay was given."""
DEFAULTS = Common()
"""What a command has when no common option was given."""
