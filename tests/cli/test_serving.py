"""What `dicast relay` and `dicast signal` do with files that they cannot use."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("words", [("relay", "--port", "0"), ("signal", "--listen", "127.0.0.1:0")])
def test_a_ready_file_that_cannot_be_written_is_an_error_for_people(dicast, folder, words) -> None:
    ran = dicast(*words, "--ready-file", str(folder / "gone" / "address"))
    assert (ran.code, "file_unwritable" in ran.err) == (1, True), ran.err


def test_an_empty_key_file_does_not_open_the_signaller(dicast, folder) -> None:
    (folder / "key").write_text("\n")
    ran = dicast("signal", "--listen", "127.0.0.1:0", "--key-file", str(folder / "key"))
    assert (ran.code, "signal_key_file" in ran.err) == (2, True)


@pytest.mark.parametrize("words", [("publish", '{"a":1}'), ("subscribe", '{"a":1}')])
def test_on_a_private_network_documents_go_out_only_where_that_was_said(dicast, folder, words) -> None:
    (folder / "passphrase").write_text("correct horse battery\n")
    (folder / "config.toml").write_text(f'passphrase_file = "{folder / "passphrase"}"\n')
    there = ("--signaller", "ws://127.0.0.1:9", "--config", str(folder / "config.toml"))
    ran = dicast(*words, *there)
    assert ("network_private" in ran.err, "not encrypted" in ran.err) == (True, True)
    assert dicast(*words, *there, "--plain").code == 4
