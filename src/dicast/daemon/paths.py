"""Where a node keeps its files: one state folder a node, one configuration file a user."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from dicast.base.errors import ConfigurationError

STATE_DIR_VARIABLE = "DICAST_STATE_DIR"
CONFIG_VARIABLE = "DICAST_CONFIG"
CONFIG_NAMES = ("config.toml", "config.yaml", "config.yml", "config.json")


class Paths(msgspec.Struct, frozen=True):
    """The files of one node, all inside its state folder."""

    state_dir: Path

    @property
    def key(self) -> Path:
        """The identity: one line, `ncryptsec1…` (password set) or `nsec1…`."""
        return self.state_dir / "identity"

    @property
    def node_secret(self) -> Path:
        """The 32 random bytes, in hex, from which every salt is derived."""
        return self.state_dir / "node-secret"

    @property
    def store(self) -> Path:
        """The SQLite store."""
        return self.state_dir / "store.sqlite"

    @property
    def lock(self) -> Path:
        """Held while a node runs on this folder."""
        return self.state_dir / "lock"

    @property
    def socket(self) -> Path:
        """Where the running node listens."""
        return self.state_dir / "control.sock"

    def prepare(self) -> None:
        """Make the state folder, readable by its owner only. Raises ConfigurationError."""
        try:
            self.state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.state_dir.stat().st_mode & 0o077:
                self.state_dir.chmod(0o700)
        except OSError as error:
            raise ConfigurationError(
                "state_dir_unusable",
                f"state_dir: {self.state_dir} cannot be used: {error.strerror}.",
                "Name a folder of your own, e.g. --state-dir ~/dicast-state.",
            ) from error


def state_paths(flag: Path | None, environment: Mapping[str, str] = os.environ) -> Paths:
    """The state folder: flag, then `DICAST_STATE_DIR`, then the platform's place for a user's state."""
    if flag is not None:
        return Paths(flag.expanduser().absolute())
    if named := environment.get(STATE_DIR_VARIABLE):
        return Paths(Path(named).expanduser().absolute())
    import platformdirs

    return Paths(Path(platformdirs.user_data_dir("dicast", appauthor=False)))


def config_candidates(flag: Path | None, environment: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """The configuration file that was named, or the places where one is looked for."""
    if flag is not None:
        return (flag.expanduser().absolute(),)
    if named := environment.get(CONFIG_VARIABLE):
        return (Path(named).expanduser().absolute(),)
    import platformdirs

    folder = Path(platformdirs.user_config_dir("dicast", appauthor=False))
    return tuple(folder / name for name in CONFIG_NAMES)
