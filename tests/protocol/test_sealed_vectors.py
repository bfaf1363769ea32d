"""The vectors of what is sealed hold, as a reader in any language would check them."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from dicast.base.codec import decode, encode
from dicast.base.crypto import KeyPair
from dicast.base.nip44 import conversation_key
from dicast.base.types import RequestId
from dicast.protocol.attached import attachment_of, blob_of, messages_in
from dicast.protocol.certificate import CertificateError, verify
from dicast.protocol.envelope import PacketReader
from dicast.protocol.messages import Continue, Stream
from dicast.protocol.network import network_secret
from dicast.protocol.round_key import heard, member_key, opened
from dicast.protocol.stream_seal import Line, opened_text, opened_wish, sealed_text, sealed_wish

ROOT = Path(__file__).resolve().parents[2]
ATTACHED = json.loads((ROOT / "spec/vectors/attached.json").read_text())
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


def test_those_who_are_drawn_open_the_question():
    row, reader = VECTORS["drawn"], PacketReader()
    packet = reader.parse(row["panel"]["wire"].encode())
    panel = reader.body(packet)
    assert decode(encode(panel)) == row["panel"]["opened"]
    [request, *_] = json.loads(row["certificate"])["events"]
    sealed = reader.body(reader.parse(json.dumps(request).encode()))
    keys = [KeyPair.from_seed(seed.encode()) for seed in row["member_seeds"]]
    assert {member_key(key, packet.author, sealed, panel) for key in keys} == {
        bytes.fromhex(row["round_key"])
    }
    verification = verify(row["certificate"].encode(), None)
    assert json.loads(msgspec.json.encode(verification)) == row["verification"]
    assert (verification.encrypted, verification.admission) == (True, "drawn")


def test_both_sides_of_a_stream_read_and_say_the_same_bytes():
    row = VECTORS["streams"]
    member = KeyPair.from_seed(row["member_seed"].encode())
    requester = KeyPair.from_seed(row["requester_seed"].encode())
    key = conversation_key(requester, member.node_id)
    assert key.hex() == conversation_key(member, requester.node_id).hex() == row["conversation_key"]
    said = Line(key, RequestId(row["request_id"]), member.node_id)
    for chunk in row["chunks"]:
        text = opened_text(said, Stream(1, chunk["sealed"]))
        assert decode(encode(text)) == chunk["opened"]
        assert sealed_text(said, text).sealed == chunk["sealed"]
    wished = Line(key, RequestId(row["request_id"]), requester.node_id)
    wish = opened_wish(wished, Continue(1, row["wish"]["sealed"]))
    assert decode(encode(wish)) == row["wish"]["opened"]
    assert sealed_wish(wished, wish).sealed == row["wish"]["sealed"]


def test_the_certificate_holds_and_proves_what_the_vector_says():
    row = VECTORS["encrypted"]
    verification = verify(row["certificate"].encode(), None)
    assert json.loads(msgspec.json.encode(verification)) == row["verification"]
    assert (verification.encrypted, verification.signed_seats) == (True, 3)


@pytest.mark.parametrize("name", ["plain", "encrypted"])
def test_an_attached_question_is_the_blob_that_is_written_down(name):
    row = ATTACHED[name]
    key = bytes.fromhex(row["round_key"]) or None
    messages = messages_in(row["blob"].encode(), key)
    assert json.loads(msgspec.json.encode(messages)) == row["messages"]
    assert blob_of(messages, key).decode() == row["blob"]
    named = attachment_of(row["blob"].encode(), tuple(row["attachment"]["nodes"]))
    assert json.loads(msgspec.json.encode(named)) == row["attachment"]
    verification = verify(row["certificate"].encode(), None)
    assert json.loads(msgspec.json.encode(verification)) == row["verification"]


@pytest.mark.parametrize("row", ATTACHED["refused"], ids=lambda row: row["name"])
def test_an_attached_question_that_is_none_is_refused(row):
    with pytest.raises(CertificateError) as refused:
        verify(row["certificate"].encode(), None)
    assert refused.value.fault == row["fault"]
