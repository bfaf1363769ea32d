"""The vectors that other languages read are current, and the tool that says so can say no."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from dicast.base import codec, events, nip19, nip49
from dicast.base.crypto import KeyPair, verify
from dicast.base.errors import RemoteProtocolError
from dicast.base.hashing import tagged

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def make_vectors() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vectors", ROOT / "tools/make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name: str) -> dict[str, list[dict[str, str]]]:
    return json.loads((ROOT / "spec/vectors" / name).read_text())


def test_the_vectors_are_current(make_vectors: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    status = make_vectors.main(["--check"])
    assert (status, capsys.readouterr().out) == (0, "")


def test_stale_vectors_are_named_and_written_anew(
    make_vectors: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "vectors_a.py").write_text("def generate(): return {'a/b.json': [1]}")
    monkeypatch.setattr(make_vectors, "TOOLS", tmp_path)
    out = tmp_path / "out"
    assert make_vectors.main(["--check"], out) == 1
    assert f"stale: {out}/a/b.json" in capsys.readouterr().out
    assert make_vectors.main([], out) == 0
    assert make_vectors.main(["--check"], out) == 0
    assert json.loads((out / "a/b.json").read_text()) == [1]


def test_the_codec_vectors_hold() -> None:
    vectors = read("codec.json")
    for row in vectors["canonical"]:
        assert codec.encode(row["value"]).hex() == row["hex"]
        assert codec.decode(bytes.fromhex(row["hex"])) == row["value"]
    for row in vectors["accepted_loose"]:
        assert codec.encode(codec.decode_loose(bytes.fromhex(row["hex"]))).hex() == row["canonical_hex"]
    for kind, decode in (("refused_canonical", codec.decode), ("refused_loose", codec.decode_loose)):
        for row in vectors[kind]:
            with pytest.raises(codec.CodecError):
                decode(bytes.fromhex(row["hex"]))


def test_the_event_vectors_hold() -> None:
    vectors = read("events.json")
    for row in vectors["events"]:
        event = events.parse_event(bytes.fromhex(row["wire_hex"]))
        assert (event.id, event.sig, events.is_signed(event)) == (row["id"], row["sig"], True)
    for row in vectors["refused"]:
        with pytest.raises(RemoteProtocolError):
            events.parse_event(bytes.fromhex(row["hex"]))
    forged = [events.parse_event(bytes.fromhex(str(wire))) for wire in vectors["forged"]]
    assert [events.is_signed(event) for event in forged] == [False] * len(forged)


def test_the_identity_vectors_hold() -> None:
    vectors = read("identity.json")
    for row in vectors["keys"]:
        key = KeyPair.from_seed(bytes.fromhex(row["seed_hex"]))
        digest = bytes.fromhex(str(vectors["digest"]))
        assert (key.secret.hex(), key.node_id, key.sign(digest)) == (
            row["secret"],
            row["node_id"],
            row["sig"],
        )
        assert (nip19.decode_npub(row["npub"]), nip19.decode_nsec(row["nsec"])) == (key.node_id, key.secret)
    for row in vectors["refused_signatures"]:
        assert not verify(row["node_id"], bytes.fromhex(row["digest"]), row["sig"])
    for row in vectors["tagged"]:
        assert tagged(row["tag"], *map(bytes.fromhex, row["parts_hex"])).hex() == row["hex"]
    for row in vectors["ncryptsec"]:
        assert nip49.decrypt_secret(row["text"], row["password"]).hex() == row["secret"]
