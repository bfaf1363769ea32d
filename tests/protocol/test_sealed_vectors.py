"""The vectors of what is sealed hold, as a reader in any language would check them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from dicast.base.codec import decode, encode
from dicast.base.crypto import KeyPair
from dicast.protocol.certificate import verify
from dicast.protocol.envelope import PacketReader
from dicast.protocol.network import network_secret
from dicast.protocol.round_key import heard, member_key, opened

ROOT = Path(__file__).resolve().parents[2]
VECTORS = json.loads((ROOT / "spec/vectors/sealed.json").read_text())


def test_a_private_network_follows_from_name_and_passphrase():
    row = VECTORS["private"]
    secret = network_secret(row["network"], row["passphrase"])
    assert (secret.topic, secret.content_key.hex()) == (row["topic"], row["content_key"])
    reader = PacketReader(secret)
    packet = reader.parse(row["wire"].encode())
    assert reader.is_signed(packet)
    assert decode(encode(reader.body(packet))) == row["body"]


def test_every_member_opens_the_question_and_the_answers():
    row, reader = VECTORS["encrypted"], PacketReader()
    packet = reader.parse(row["request"]["wire"].encode())
    request = reader.body(packet)
    keys = [KeyPair.from_seed(seed.encode()) for seed in row["member_seeds"]]
    found = {member_key(key, packet.author, request) for key in keys}
    assert found == {bytes.fromhex(row["round_key"])}
    [key] = found
    assert decode(encode(opened(request, key))) == row["request"]["opened"]
    for reveal in row["reveals"]:
        body = reader.body(reader.parse(reveal["wire"].encode()))
        assert decode(encode(heard(body, key))) == reveal["opened"]


def test_the_certificate_holds_and_proves_what_the_vector_says():
    row = VECTORS["encrypted"]
    verification = verify(row["certificate"].encode(), None)
    assert json.loads(msgspec.json.encode(verification)) == row["verification"]
    assert (verification.encrypted, verification.signed_seats) == (True, 3)
