"""The identity on disk: not readable by others, not overwritten by accident, not without its password."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError
from dicast.base.nip19 import encode_nsec
from dicast.daemon import key_files
from dicast.daemon.paths import Paths

SECRET = bytes(range(1, 33))


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path / "state")


@pytest.fixture(autouse=True)
def _cheap_scrypt(monkeypatch) -> None:
    monkeypatch.setattr(key_files, "LOG_N", 4)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("password", "prefix"), [(None, "nsec1"), ("correct horse", "ncryptsec1")])
def test_a_new_identity_is_private_and_loads_again(paths: Paths, password: str | None, prefix: str) -> None:
    key_files.create_identity(paths, password)
    first = key_files.load_identity(paths, password)
    again = key_files.load_or_create(paths, password)
    assert first.node_id == again.node_id
    assert first.selection_salt(1, 2) == again.selection_salt(1, 2)
    assert paths.key.read_text().startswith(prefix)
    assert [mode(path) for path in (paths.state_dir, paths.key, paths.node_secret)] == [0o700, 0o600, 0o600]
    assert sorted(path.name for path in paths.state_dir.iterdir()) == ["identity", "node-secret"]


def test_a_stored_identity_is_replaced_only_by_force_and_kept(paths: Paths) -> None:
    key_files.create_identity(paths, None)
    old_key, old_secret = paths.key.read_text(), paths.node_secret.read_text()
    with pytest.raises(ConfigurationError, match="identity_exists"):
        key_files.create_identity(paths, None)
    assert (paths.key.read_text(), paths.node_secret.read_text()) == (old_key, old_secret)
    backup = key_files.create_identity(paths, None, force=True)
    assert backup is not None
    assert backup.read_text() == old_key
    assert paths.key.read_text() != old_key
    kept = [path.read_text() for path in paths.state_dir.iterdir() if path.name.startswith("node-secret.")]
    assert kept == [old_secret]


@pytest.mark.parametrize("content", [b"", b"\n", b"\nsecond line\n", b"\xff\n", b"x" * 5000])
def test_an_empty_password_is_refused_and_changes_nothing(
    paths: Paths, tmp_path: Path, content: bytes
) -> None:
    key_files.create_identity(paths, "old")
    before = paths.key.read_text()
    file = tmp_path / "password"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match="password_empty"):
        key_files.read_password(file)
    with pytest.raises(ConfigurationError):
        key_files.change_password(paths, "old", "")
    with pytest.raises(ConfigurationError):
        key_files.create_identity(paths, "", force=True)
    assert paths.key.read_text() == before


def test_wrong_and_missing_passwords(paths: Paths) -> None:
    key_files.create_identity(paths, "right")
    with pytest.raises(ConfigurationError, match="password_needed"):
        key_files.load_identity(paths, None)
    with pytest.raises(ConfigurationError, match="password_wrong"):
        key_files.load_identity(paths, "wrong")


def test_a_password_is_changed_and_removed(paths: Paths) -> None:
    key_files.create_identity(paths, "one")
    node_id = key_files.load_identity(paths, "one").node_id
    key_files.change_password(paths, "one", "two")
    assert key_files.load_identity(paths, "two").node_id == node_id
    key_files.change_password(paths, "two", None)
    assert key_files.load_identity(paths, None).node_id == node_id


@pytest.mark.parametrize("text", [encode_nsec(SECRET), SECRET.hex(), f"  {encode_nsec(SECRET)}\n"])
def test_a_key_is_imported_and_exported(paths: Paths, text: str) -> None:
    key_files.import_identity(paths, text, None, "stored")
    assert key_files.load_identity(paths, "stored").node_id == KeyPair(SECRET).node_id
    assert key_files.export_text(paths, "stored", None) == encode_nsec(SECRET)
    protected = key_files.export_text(paths, "stored", "travel")
    assert protected.startswith("ncryptsec1")
    key_files.import_identity(paths, protected, "travel", None, force=True)
    assert key_files.load_identity(paths, None).node_id == KeyPair(SECRET).node_id


@pytest.mark.parametrize(
    "text", ["", "nsec1junk", "00" * 32, "ff" * 32, "abc", "npub1" + "q" * 58, "hello world"]
)
def test_what_is_no_key_is_refused_and_changes_nothing(paths: Paths, text: str) -> None:
    key_files.create_identity(paths, None)
    before = paths.key.read_text()
    with pytest.raises(ConfigurationError, match="identity_damaged"):
        key_files.import_identity(paths, text, None, None, force=True)
    assert paths.key.read_text() == before


def test_damaged_files_are_named(paths: Paths) -> None:
    with pytest.raises(ConfigurationError, match="identity_missing"):
        key_files.load_identity(paths, None)
    key_files.create_identity(paths, None)
    paths.node_secret.write_text("short")
    with pytest.raises(ConfigurationError, match="node_secret_damaged"):
        key_files.load_identity(paths, None)
    paths.key.write_text("garbage")
    with pytest.raises(ConfigurationError, match="identity_damaged"):
        key_files.load_identity(paths, None)


def test_errors_never_hold_the_secret(paths: Paths) -> None:
    damaged = encode_nsec(SECRET)[:-1] + "q"
    with pytest.raises(ConfigurationError) as caught:
        key_files.import_identity(paths, damaged, None, None)
    assert damaged[5:] not in str(caught.value)
