"""The vectors of the protocol hold, as a reader in any language would check them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dicast.base.codec import decode, encode
from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.consensus.selection import selection_salt_hash
from dicast.protocol.certificate import signature_digest, verify
from dicast.protocol.envelope import PacketReader, topic_of
from dicast.protocol.messages import Kind

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "spec/vectors/packets.json").read_text())


def test_every_kind_of_packet_reads_as_its_row_says():
    reader = PacketReader()
    assert {row["kind"] for row in VECTORS["packets"]} == {kind.name.lower() for kind in Kind}
    for row in VECTORS["packets"]:
        packet = reader.parse(row["wire"].encode())
        found = {
            "kind": packet.kind.name.lower(),
            "wire": row["wire"],
            "id": packet.id,
            "author": packet.author,
            "predecessor": packet.predecessor,
            "addressees": list(packet.addressees),
            "expires_at": packet.expires_at,
            "body": decode(encode(reader.body(packet))),
        }
        assert (found, reader.is_signed(packet)) == (row, True)


def test_refused_packets_are_refused_for_their_reason():
    reader = PacketReader()
    for row in VECTORS["refused"]:
        with pytest.raises(RemoteProtocolError) as caught:
            reader.body(reader.parse(row["wire"].encode()))
        assert caught.value.code == row["refusal"]


def test_topics_keys_and_digests_follow_from_their_inputs():
    assert [topic_of(row["network"]) for row in VECTORS["topics"]] == [
        row["topic"] for row in VECTORS["topics"]
    ]
    for row in VECTORS["keys"]:
        assert KeyPair.from_seed(row["seed"].encode()).node_id == row["node_id"]
    salt = VECTORS["selection_salt"]
    assert selection_salt_hash(salt["salt"]) == salt["hash"]
    inputs = dict(VECTORS["signature_digest"])
    assert inputs.pop("digest") == signature_digest(**inputs)


def test_the_certificate_holds_and_proves_what_the_vector_says():
    row = VECTORS["certificate"]
    verification = verify(row["text"].encode(), None)
    assert json.loads(msgspec.json.encode(verification)) == row["verification"]
    assert row["verification"]["verdict"]["answer"].rstrip(".").endswith("Paris")
