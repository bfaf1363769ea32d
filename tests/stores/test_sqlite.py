"""What only a durable store can get wrong: death, a second process, versions, disks."""

from __future__ import annotations

import os
import random
import select
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dicast.base.errors import AdapterError
from dicast.protocol.outputs import Delete, Put
from dicast.stores.migrations import APPLICATION_ID, MIGRATIONS, Migration, migrate
from dicast.stores.sqlite import SqliteStore

CHILD = Path(__file__).with_name("child_writer.py")
KILLS = 40
KEPT_BATCHES = 40


def refused(path: Path) -> AdapterError:
    with pytest.raises(AdapterError) as caught:
        SqliteStore(path)
    return caught.value


def test_what_was_applied_is_there_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "state" / "store.db"
    store = SqliteStore(path)
    store.apply([Put("t", "a", b"1"), Put("t", "b", b"2")])
    store.apply([Delete("t", "a")])
    store.close()
    again = SqliteStore(path)
    assert list(again.load("t")) == [("b", b"2")]
    again.close()


@pytest.fixture
def writers() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(CHILD)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def write_and_be_killed(writers: subprocess.Popen[str], path: Path, chance: random.Random) -> int:
    """Kill a writer at a random moment after a random number of acknowledgements; the last one it gave."""
    assert writers.stdin is not None
    assert writers.stdout is not None
    writers.stdin.write(f"{path}\n")
    writers.stdin.flush()
    pid = int(writers.stdout.readline().removeprefix("writer "))
    acknowledged = [int(writers.stdout.readline()) for _ in range(chance.randint(1, 50))]
    select.select([], [], [], chance.random() * 0.004)  # a random moment inside a later batch
    os.kill(pid, signal.SIGKILL)
    acknowledged += [int(line) for line in iter(writers.stdout.readline, "dead\n")]
    return acknowledged[-1]


def test_a_killed_writer_loses_nothing_acknowledged_and_leaves_no_half_batch(
    writers: subprocess.Popen[str], tmp_path: Path
) -> None:
    path, chance = tmp_path / "store.db", random.Random(20)
    for _ in range(KILLS):
        acknowledged = write_and_be_killed(writers, path, chance)
        store = SqliteStore(path)
        last = int(store.get("state", "last") or b"-1")
        assert last in {acknowledged, acknowledged + 1}  # one may be durable and not yet acknowledged
        expected = [
            (f"{number:08}/{part}", b"%d" % number * (1 + 997 * part))
            for number in range(max(0, last - KEPT_BATCHES + 1), last + 1)
            for part in range(3)
        ]
        assert list(store.load("batch")) == expected
        store.close()


def test_a_second_process_is_refused_and_told_which_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    script = (
        "import sys; from pathlib import Path; from dicast.stores.sqlite import SqliteStore\n"
        "from dicast.base.errors import AdapterError\n"
        "try: SqliteStore(Path(sys.argv[1]))\n"
        "except AdapterError as error: print(error.code, sys.argv[1] in error.message)"
    )
    child = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "store_in_use True"
    store.apply([Put("t", "a", b"1")])
    store.close()


def test_a_second_store_in_the_same_process_is_refused_and_the_first_keeps_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    assert [refused(path).code for _ in range(2)] == ["store_in_use", "store_in_use"]
    store.close()
    SqliteStore(path).close()


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.apply([Put("t", "a", b"1")])
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600}
    store.close()
    path.chmod(0o644)
    SqliteStore(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_newer_store_refuses_an_older_program_by_name(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO migration VALUES (7, 'cold_storage', 'dicast 9.1.0')")
    connection.execute("PRAGMA user_version = 7")
    connection.commit()
    connection.close()
    error = refused(path)
    assert error.code == "store_too_new"
    assert all(word in error.message for word in (str(path), "7", "cold_storage", "dicast 9.1.0"))
    assert "dicast 9.1.0" in error.next_step


def test_a_newer_store_without_its_record_is_still_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    assert refused(path).code == "store_too_new"


def test_each_migration_is_taken_once_and_a_failing_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.apply([Put("t", "a", b"1")])
    store.close()
    second = Migration(number=2, name="second", statements=("CREATE TABLE second (x)",))
    broken = Migration(
        number=3, name="broken", statements=("CREATE TABLE third (x)", "CREATE TABLE third (x)")
    )
    connection = sqlite3.connect(path, isolation_level=None)
    migrate(connection, str(path), (*MIGRATIONS, second))
    migrate(connection, str(path), (*MIGRATIONS, second))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, str(path), (*MIGRATIONS, second, broken))
    steps = connection.execute("SELECT number, name FROM migration ORDER BY number").fetchall()
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    version = connection.execute("PRAGMA user_version").fetchone()
    rows = connection.execute("SELECT place, key, value FROM record").fetchall()
    connection.close()
    assert (steps, tables) == ([(1, "records"), (2, "second")], {"migration", "record", "second"})
    assert (version, rows) == ((2,), [("t", "a", b"1")])


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_a_full_store_refuses_the_whole_batch_and_goes_on_after_deleting(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "store.db", bytes_max=256 * 1024)
    store.apply([Put("t", "a", bytes(100_000))])
    with pytest.raises(AdapterError) as caught:
        store.apply([Put("t", "b", b"small"), Put("t", "c", bytes(500_000))])
    assert (caught.value.code, bool(caught.value.next_step)) == ("store_full", True)
    assert [key for key, _ in store.load("t")] == ["a"]
    store.apply([Delete("t", "a")])
    store.apply([Put("t", "c", bytes(150_000))])
    assert [key for key, _ in store.load("t")] == ["c"]
    store.close()


def test_a_disk_without_room_is_named(tmp_path: Path) -> None:
    script = (
        "import resource, sys; from pathlib import Path; from dicast.stores.sqlite import SqliteStore\n"
        "from dicast.base.errors import AdapterError; from dicast.protocol.outputs import Put\n"
        "store = SqliteStore(Path(sys.argv[1])); store.apply([Put('t', 'a', b'1')])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try: store.apply([Put('t', 'b', bytes(1000000))])\n"
        "except AdapterError as error: print(error.code, [key for key, _ in store.load('t')])"
    )
    path = str(tmp_path / "store.db")
    child = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert child.stdout.strip() in {"store_full ['a']", "store_failed ['a']"}


READ_ONLY_SCRIPT = """
import os, sys, tempfile
from pathlib import Path
from dicast.base.errors import AdapterError
from dicast.stores.sqlite import SqliteStore

with tempfile.TemporaryDirectory() as name:
    path = Path(name) / "store.db"
    SqliteStore(path).close()
    path.chmod(0o444)
    Path(name).chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(65534)  # nothing is read-only for the superuser
    try:
        SqliteStore(path)
    except AdapterError as error:
        print(error.code, str(path) in error.message)
    os.seteuid(os.getuid())
    Path(name).chmod(0o700)
"""


def test_a_folder_without_write_permission_is_named() -> None:
    child = subprocess.run(
        [sys.executable, "-c", READ_ONLY_SCRIPT], capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == "store_read_only True"


def test_a_path_that_cannot_be_a_file_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    codes = [refused(path).code for path in (tmp_path / "file" / "store.db", tmp_path / "folder")]
    assert codes == ["store_read_only", "store_read_only"]


def test_junk_and_foreign_databases_are_damaged_and_left_alone(tmp_path: Path) -> None:
    junk, foreign = tmp_path / "junk.db", tmp_path / "foreign.db"
    junk.write_bytes(b"this is no database" * 100)
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE precious (x)")
    connection.close()
    assert [refused(path).code for path in (junk, foreign)] == ["store_damaged", "store_damaged"]
    assert junk.read_bytes() == b"this is no database" * 100


def test_a_torn_page_is_damaged_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    store = SqliteStore(path)
    store.apply([Put("t", f"{number:04}", bytes(300)) for number in range(400)])
    store.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xa5" * (len(content) - 3 * 4096)
    path.write_bytes(content)
    with pytest.raises(AdapterError) as caught:
        list(SqliteStore(path).load("t"))
    assert caught.value.code == "store_damaged"
