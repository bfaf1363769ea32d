"""The commands: results on standard output, all else on standard error, exit codes that mean something."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from dicast.base.errors import AdapterError
from dicast.base.nip19 import encode_nsec
from dicast.cli.commands import COMMANDS
from dicast.cli.output import printable, table
from dicast.protocol.outputs import Put
from dicast.protocol.records import Table
from dicast.stores.sqlite import SqliteStore
from dicast.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
NSEC = encode_nsec(bytes(range(1, 33)))


def test_the_version_is_the_packages(dicast) -> None:
    assert dicast("--version") == (0, f"dicast {VERSION}\n", "")
    assert f'version = "{VERSION}"' in (ROOT / "pyproject.toml").read_text()


def test_help_lists_every_command_and_no_word_is_usage(dicast) -> None:
    code, out, _ = dicast("--help")
    assert code == 0
    assert [name for name in COMMANDS if f"  {name} " not in out] == []
    assert dicast()[0] == 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_of_its_own(dicast, name: str) -> None:
    code, out, err = dicast(name, "--help")
    assert (code, err) == (0, "")
    assert f"dicast {name}" in out


def best_cpu_ms(*words: str) -> float:
    """Processor time of a process, the best of five: what it costs, whatever else the machine does."""
    times: list[float] = []
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-m", "dicast.cli", *words], stdout=subprocess.DEVNULL)
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
        times.append((used.ru_utime + used.ru_stime) * 1000)
    return min(times)


def test_version_and_help_are_quick() -> None:
    assert best_cpu_ms("--version") <= 60
    assert best_cpu_ms("--help") <= 250
    assert best_cpu_ms("config", "--help") <= 1_000


def test_importing_dicast_loads_nothing_heavy() -> None:
    code = "import sys, dicast; print(dicast.__version__, {'msgspec','numpy','asyncio'} & set(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == f"{VERSION} set()\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("aks",), "dicast ask"),
        (("ask", "x", "--quorm", "3"), "--quorum"),
        (("ask", "x", "--quorum", "many"), "dicast ask --help"),
        (("rounds", "a", "b"), "dicast rounds --help"),
        (("identity", "shw"), "show"),
        (("ask", "--quorum", "3", "--foo"), "--foo"),
        (("verify", "--file"), "--file"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_slip_of_the_pen_is_usage(dicast, words: tuple[str, ...], hint: str, as_json: bool) -> None:
    code, out, err = dicast(*words, *(["--json"] if as_json else []))
    assert (code, out) == (2, "")
    assert "usage" in err
    assert hint in err
    if as_json:
        assert json.loads(err)["error"]["code"] == "usage"


def test_an_identity_is_made_shown_exported_and_imported(dicast, folder: Path) -> None:
    made = dicast("identity", "new", "--json")
    shown = json.loads(dicast("identity", "show", "--json").out)
    assert (made.code, json.loads(made.out)) == (0, shown)
    assert stat.S_IMODE(Path(shown["file"]).stat().st_mode) == 0o600
    assert dicast("identity", "new").code == 2
    assert dicast("identity", "export").code == 2
    exported = dicast("identity", "export", "--plain").out
    (folder / "key").write_text(exported)
    forced = dicast("identity", "new", "--force")
    assert "is kept in" in forced.err
    assert dicast("identity", "import", str(folder / "key"), "--force").code == 0
    assert json.loads(dicast("identity", "show", "--json").out) == shown


def test_a_password_protects_the_identity(dicast, folder: Path, monkeypatch) -> None:
    (folder / "one").write_text("first password\n")
    (folder / "two").write_text("second password\n")
    (folder / "empty").write_text("\n")
    first, second = ("--password-file", str(folder / "one")), ("--password-file", str(folder / "two"))
    assert dicast("identity", "new", *first).code == 0
    assert dicast("identity", "show").err.startswith("error: The identity is protected by a password.")
    assert dicast("identity", "show", *second).code == 2
    assert dicast("identity", "show", *first).code == 0
    assert dicast("identity", "password", *first, "--new-password-file", str(folder / "empty")).code == 2
    assert dicast("identity", "password", *first).code == 2
    assert dicast("identity", "password", *first, "--new-password-file", str(folder / "two")).code == 0
    monkeypatch.setenv("DICAST_PASSWORD_FILE", str(folder / "two"))
    assert dicast("identity", "show").code == 0
    assert dicast("identity", "password", "--remove").code == 0
    monkeypatch.delenv("DICAST_PASSWORD_FILE")
    assert dicast("identity", "show").code == 0


def test_a_key_is_never_an_argument(dicast) -> None:
    ran = dicast("identity", "import", NSEC)
    assert ran.code == 2
    assert "never an argument" in ran.err
    assert NSEC not in ran.out + ran.err


def test_a_key_from_standard_input(dicast, monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(NSEC + "\n"))
    assert dicast("identity", "import", "-").code == 0
    assert dicast("identity", "export", "--plain").out == NSEC + "\n"


def test_settings_are_shown_with_their_sources_and_without_secrets(dicast, folder: Path, monkeypatch) -> None:
    file = folder / "c.toml"
    file.write_text('network = "family"\n[engines.mine]\nplugin = "openai"\napi_key = "sk-very-secret-key"\n')
    monkeypatch.setenv("DICAST_SLOTS", "3")
    code, out, err = dicast("config", "show", "--config", str(file))
    assert code == 0
    assert 'network = "family"' in out
    assert "slots = 3" in out
    assert "very-secret" not in out + err
    assert (str(file) in err, "DICAST_SLOTS" in err) == (True, True)
    value = json.loads(dicast("config", "show", "--config", str(file), "--json").out)
    assert (value["network"], value["engines"]["mine"]["api_key"]) == ("family", "[secret]")
    assert json.loads(dicast("config", "path", "--json").out)["exists"] is False


def test_what_is_shown_can_be_read_again(dicast, folder: Path) -> None:
    (folder / "again.toml").write_text(dicast("config", "show").out)
    assert (
        dicast("config", "show", "--config", str(folder / "again.toml")).out == dicast("config", "show").out
    )


IMPOSSIBLE = {
    ("--quorum", "0"): "frame_",
    ("--quorum", "5", "--seats", "3"): "frame_quorum",
    ("--sec-distance", "0.9"): "frame_distance",
    ("--sec-distance", "-1"): "frame_distance",
    ("--sec-percentage", "1.5"): "frame_percentage",
    ("--sec-percentage", "0"): "frame_percentage",
    ("--preset", "wild"): "preset_unknown",
    ("--preset", "financial"): "frame_preset",
    ("--timeout", "99999"): "option_range",
    ("--timeout", "0"): "option_range",
    ("--timeout", "nan"): "option_range",
    ("--reveal-timeout", "601"): "option_range",
    ("--temperature", "9"): "option_range",
    ("--temperature", "nan"): "option_range",
    ("--max-tokens", "0"): "option_range",
    ("--max-tokens", "99999999"): "option_range",
    ("--sec-distance", "nan"): "frame_distance",
    ("--seats", "100000"): "frame_seats",
}


@pytest.mark.parametrize("words", IMPOSSIBLE)
def test_an_impossible_frame_is_refused_at_once(dicast, words: tuple[str, ...]) -> None:
    ran = dicast("ask", "What is the capital of France?", *words)
    assert (ran.code, ran.out) == (2, "")
    assert f"[{IMPOSSIBLE[words]}" in ran.err


@pytest.mark.parametrize(
    ("prompt", "code"),
    [("x" * 1_048_577, "prompt_too_large"), ("é" * 524_289, "prompt_too_large"), ("  ", "prompt_empty")],
)
def test_a_prompt_that_cannot_be_asked_is_refused(dicast, prompt: str, code: str) -> None:
    ran = dicast("ask", prompt)
    assert (ran.code, f"[{code}]" in ran.err) == (2, True)


@pytest.mark.parametrize("place", ["none/c.json", "", "x" * 300, "file/c.json"])
@pytest.mark.parametrize("command", [("ask", "What?"), ("demo",)])
def test_where_a_certificate_cannot_go_nothing_is_asked(
    dicast, folder: Path, command: tuple[str, ...], place: str
) -> None:
    (folder / "file").write_text("")
    if command == ("demo",) and place.startswith("none"):
        place = "file/deeper/c.json"  # the demonstration makes a folder that is not there
    ran = dicast(*command, "--certificate", str(folder / place))
    assert (ran.code, ran.out, "[file_unwritable]" in ran.err) == (2, "", True)


ANSWERED = (
    "ask", "Say hello.", "--quorum", "1", "--temperature", "0", "--max-tokens", "4",
)  # fmt: skip


def test_an_answer_is_printed_though_its_certificate_cannot_be_written(
    dicast, folder: Path, monkeypatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise AdapterError(
            "file_unwritable", f"{path} cannot be written: No space left on device.", "Free some."
        )

    monkeypatch.setattr("dicast.cli.ask.write_file", full)
    ran = dicast(*ANSWERED, "--certificate", str(folder / "c.json"))
    assert (ran.code, ran.out.count("\n"), "[file_unwritable]" in ran.err) == (1, 1, True)
    assert "dicast verify" not in ran.err


def test_weights_that_are_none_are_an_error_though_nothing_has_to_be_embedded(dicast, folder: Path) -> None:
    file, junk = folder / "c.json", folder / "junk"
    junk.write_bytes(b"no weights")
    ran = dicast(*ANSWERED, "--certificate", str(file))
    assert (ran.code, "dicast rounds" in ran.err) == (0, False)
    assert dicast("verify", str(file)).code == 0
    wrong = dicast("verify", str(file), "--weights", str(junk))
    assert (wrong.code, wrong.out, "[weights_wrong]" in wrong.err) == (1, "", True)
    without = dicast(*ANSWERED)
    assert ("--certificate FILE when you ask" in without.err, "dicast rounds" in without.err) == (True, False)


def test_ones_own_node_names_the_models_it_has(dicast) -> None:
    ran = dicast("ask", "What?", "--quorum", "1", "--models", "nope")
    assert (ran.code, "[no_model]" in ran.err, "tiny-1" in ran.err) == (4, True, True)


def test_an_engine_that_fails_is_named_with_its_reason(dicast, folder: Path) -> None:
    config = folder / "c.toml"
    config.write_text(
        "[engines.tiny]\nenabled = false\n[engines.openai]\nenabled = false\n"
        '[engines.mine]\nplugin = "feed"\nmodel = "m"\ncommand = ["false"]\n'
    )
    words = ("ask", "What?", "--quorum", "1", "--config", str(config))
    ran = dicast(*words)
    assert (ran.code, ran.out) == (3, "")
    (line,) = [line for line in ran.err.splitlines() if "× silent" in line]
    assert "declined: engine_failed: " in line
    assert json.loads(dicast(*words, "--json").out)["verified"] is False
    logged = dicast(*words, "--log-level", "warning")
    assert "inference_failed" in logged.err


@pytest.mark.parametrize("port", ["-1", "65536", "99999999999"])
def test_a_port_is_a_port(dicast, port: str) -> None:
    ran = dicast("relay", "--port", port)
    assert (ran.code, ran.out, "[relay_port]" in ran.err) == (2, "", True)


def test_what_is_no_case_is_an_error_as_json(dicast, folder: Path) -> None:
    (folder / "case.json").write_text("{")
    ran = dicast("judge", str(folder / "case.json"), "--json")
    assert (ran.code, json.loads(ran.err)["error"]["code"]) == (2, "case_invalid")
    missing = dicast("judge", str(folder / "none"), "--json")
    assert (missing.code, json.loads(missing.err)["error"]["code"]) == (2, "case_unreadable")


@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [("> /dev/full", 1, "[output_failed]"), (">&-", 0, ""), ("2> /dev/full", 0, ""), ("<&-", 0, "")],
)
@pytest.mark.parametrize("words", ["--version", "--help", "config show"])
def test_standard_streams_that_do_not_work_raise_nothing(
    folder: Path, words: str, redirect: str, code: int, said: str
) -> None:
    line = f"exec {sys.executable} -m dicast.cli {words} {redirect}"
    ran = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False, cwd=folder)
    assert (ran.returncode, "Traceback" in ran.stderr, "Exception" in ran.stderr) == (code, False, False)
    assert said in ran.stderr


def test_a_reader_that_left_is_no_error_worth_a_word(folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "dicast.cli", "config", "show"]
    ran = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False, cwd=folder)
    os.close(writing)
    assert ran.returncode == 1
    assert b"Traceback" not in ran.stderr
    assert b"Exception" not in ran.stderr


def test_a_prompt_from_standard_input_may_be_of_any_bytes(dicast, monkeypatch) -> None:
    class Piped:
        buffer = io.BytesIO(b"\xff\xfe")

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr("sys.stdin", Piped())
    ran = dicast("ask", "-")
    assert (ran.code, "[prompt_not_text]" in ran.err) == (2, True)


def test_with_nobody_there_the_three_ways_on_are_named(dicast) -> None:
    ran = dicast("ask", "What is the capital of France?")
    assert (ran.code, ran.out) == (4, "")
    for way in ("dicast up --relay", "make demo", "--quorum 1"):
        assert way in ran.err


@pytest.mark.parametrize("command", ["status", "peers", "rounds", "transports"])
def test_without_a_node_there_is_nothing_to_look_at(dicast, command: str) -> None:
    ran = dicast(command, "--json")
    assert (ran.code, ran.out, json.loads(ran.err)["error"]["code"]) == (4, "", "node_not_running")


def test_reset_deletes_rounds_and_keeps_the_key(dicast, folder: Path) -> None:
    assert dicast("reset", "--yes").out.startswith("Nothing is stored")
    dicast("identity", "new")
    key = (folder / "state/identity").read_text()
    store = folder / "state/store.sqlite"
    with closing(SqliteStore(store)) as opened:
        opened.apply([Put(table.value, "k", b"v") for table in Table])
    assert dicast("reset").code == 2
    assert stored(store) == sorted(table.value for table in Table)
    assert dicast("reset", "--yes").code == 0
    assert stored(store) == ["committed", "counter", "signed"]
    assert sorted(path.name for path in store.parent.glob("store*")) == ["store.sqlite"]
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    assert (folder / "state/identity").read_text() == key
    assert "is kept in" in dicast("reset", "--yes", "--identity").err
    assert [name for name in ("identity", "store.sqlite") if (folder / "state" / name).exists()] == []


def stored(path: Path) -> list[str]:
    """The tables in which the key of the test is."""
    with closing(SqliteStore(path)) as opened:
        return sorted(table.value for table in Table if opened.get(table.value, "k") == b"v")


def test_a_store_that_cannot_be_read_is_not_reset_under_the_same_key(dicast, folder: Path) -> None:
    dicast("identity", "new")
    store = folder / "state/store.sqlite"
    store.write_bytes(b"no database at all " * 100)
    ran = dicast("reset", "--yes")
    assert (ran.code, "[store_damaged]" in ran.err, "--identity" in ran.err) == (1, True, True)
    assert store.exists()
    assert dicast("reset", "--yes", "--identity").code == 0
    assert not store.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"v":1}', b"\xff", b"[" * 100_000])
def test_what_is_no_certificate_is_invalid(dicast, folder: Path, content: bytes) -> None:
    (folder / "c.json").write_bytes(content)
    ran = dicast("verify", str(folder / "c.json"))
    assert (ran.code, ran.out) == (5, "")
    assert "[certificate_shape]" in ran.err


def test_a_missing_certificate_is_usage(dicast, folder: Path) -> None:
    assert dicast("verify", str(folder / "none")).code == 2


@pytest.mark.parametrize(("words", "code"), [(("get", "gpt"), 2), (("rm", "gpt"), 2)])
def test_unknown_weights_are_usage(dicast, words: tuple[str, ...], code: int) -> None:
    assert dicast("models", *words).code == code


def test_models_are_listed(dicast) -> None:
    value = json.loads(dicast("models", "list", "--json").out)
    assert "tiny-1" in [model["name"] for model in value["models"]]


def test_text_for_a_terminal_steers_nothing() -> None:
    assert printable("a\x1b[31mb\x07\u202ec\n\td") == "a\ufffd[31mb\ufffd\ufffdc\n\td"
    assert table(("a", "b"), [("\x1b", "longer")]) == "a  b\n\ufffd  longer"
