"""A private network: outsiders see neither its name nor what is said, and nothing of theirs is taken."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicast.base.crypto import KeyPair
from dicast.base.errors import ConfigurationError, RemoteProtocolError
from dicast.base.events import encode_event, sign_event
from dicast.base.types import EventId, Now
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.attached import messages_in
from dicast.protocol.certificate import CertificateError, Fault, verify
from dicast.protocol.envelope import PacketReader, make_packet, parse_packet, sign_packet, tags_for
from dicast.protocol.inputs import Asked, PacketReceived
from dicast.protocol.messages import STREAMING, Announcement, Commit, Kind, Message, Role
from dicast.protocol.network import NetworkSecret, network_secret, topic_of
from dicast.protocol.node import Node
from dicast.protocol.outputs import CertificateReady, PacketRefused, PeerSeen, RoundDecided

SECRET = network_secret("lab", "a passphrase of the lab")
OTHER = network_secret("lab", "a passphrase of others")
NOW = Now(0, 1_790_000_000_000)
EMBEDDER = MemoryEmbedder()
STRANGER = KeyPair.from_seed(b"stranger")


def embed(name, texts):
    return EMBEDDER.embed(texts) if name == EMBEDDER.name else None


@pytest.fixture
def join(network):
    """A node with this secret joins."""

    def make(secret, roles=(Role.WORKER, Role.VALIDATOR)):
        host = network.add(roles=())
        host.settings = msgspec.structs.replace(host.settings, roles=roles, network="lab", secret=secret)
        host.node = Node(host.identity, host.settings)
        network.restart(host)
        return host

    return make


@pytest.fixture
def decided(network, question, join):
    """A round on the private network, and what its requester has of it."""
    asker = join(SECRET, ())
    for _ in range(5):
        join(SECRET)
    network.run_for(1_000)
    network.ask(asker, question())
    network.run_for(10_000)
    return asker


def test_the_topic_and_the_key_follow_from_name_and_passphrase_in_its_one_spelling():
    composed, apart = (network_secret("lab", word + " by the lab") for word in ("caf\u00e9", "cafe\u0301"))
    assert composed.topic == apart.topic
    secrets = (SECRET, OTHER, network_secret("lab2", "a passphrase of the lab"))
    assert len({secret.topic for secret in secrets} | {topic_of("lab")}) == 4
    assert len({secret.content_key for secret in secrets}) == 3
    assert SECRET.content_key.hex() not in repr(SECRET)
    assert "content_key" not in repr(SECRET)


def test_a_passphrase_that_could_be_guessed_is_refused_and_not_shown():
    with pytest.raises(ConfigurationError) as refused:
        network_secret("lab", "secret123")
    assert refused.value.code == "passphrase_short"
    assert "secret123" not in str(refused.value)


def test_a_round_ends_there_as_anywhere_and_its_certificate_needs_the_passphrase(decided):
    assert decided.reported(RoundDecided)[0].verdict.outcome == "accepted"
    [ready] = decided.reported(CertificateReady)
    assert verify(ready.certificate, embed, PacketReader(SECRET)).signed_seats == 5
    for reader in (None, PacketReader(OTHER)):
        with pytest.raises(CertificateError) as refused:
            verify(ready.certificate, embed, reader)
        assert refused.value.fault is Fault.SEALED


def test_theorem_9_8_an_outsider_sees_neither_name_nor_content(network, decided):
    assert {json.loads(wire)["kind"] for wire in network.wires} >= {int(kind) for kind in Kind} - {
        Kind.PANEL, Kind.EVIDENCE, Kind.WANT, 24113, 24114, *STREAMING,
    }  # fmt: skip
    for wire in network.wires:
        text = wire.decode()
        for told in (topic_of("lab"), "France", "Paris", "messages", "answer", "roles"):
            assert told not in text
        with pytest.raises(RemoteProtocolError):
            PacketReader(NetworkSecret(SECRET.topic, bytes(32))).body(parse_packet(wire))
        with pytest.raises(RemoteProtocolError):
            PacketReader().body(parse_packet(wire))


def test_theorem_9_9_nothing_of_one_network_is_taken_on_another(network, join, question):
    """Same relay, three networks: nobody hears anybody else, and nobody loses standing."""
    hosts = [join(SECRET), join(OTHER), network.add()]
    network.run_for(2_000)
    network.ask(hosts[0], question(seats=1, quorum=1))
    network.run_for(30_000)
    for host in hosts:
        assert host.reported(PeerSeen) == []
        assert {report.reason for report in host.reported(PacketRefused)} == {"topic"}
        assert "standing" not in host.tables


def test_theorem_9_10_who_knows_the_topic_alone_is_never_heard(network, join):
    """An outsider may sign under the topic that it sees, and copy what others said: none of it counts."""
    host, other = join(SECRET), join(SECRET)
    network.run_for(1_000)
    [announced] = {parse_packet(wire).event for wire in network.sent(Kind.ANNOUNCEMENT, other)}
    offer = Announcement(v=1, roles=(Role.WORKER,), software="outsider")
    tags = tags_for(Kind.ANNOUNCEMENT, SECRET.topic, network.now, None, ())
    guessed = NetworkSecret(SECRET.topic, bytes(32))
    plain = make_packet(STRANGER, SECRET.topic, offer, network.now).wire
    wrong = sign_packet(STRANGER, offer, tags, network.now, guessed).wire
    copied = encode_event(
        sign_event(STRANGER, announced.created_at, announced.kind, announced.tags, announced.content)
    )
    before = host.node.peers()
    for wire in (plain, wrong, copied):
        network.give(host, PacketReceived(wire, "relay"))
    assert [report.reason for report in host.reported(PacketRefused)][-3:] == ["body"] * 3
    assert host.node.peers() == before


@given(st.text(max_size=40), st.integers(0, 2**31), st.sampled_from([Kind.COMMIT, Kind.STATUS]))
def test_what_was_sealed_for_one_event_opens_for_no_other(digest, stamp, kind):
    tags = tags_for(Kind.COMMIT, SECRET.topic, NOW, EventId("ab" * 32), ())
    packet = sign_packet(STRANGER, Commit(1, "cd" * 32), tags, NOW, SECRET)
    assert PacketReader(SECRET).body(packet) == Commit(1, "cd" * 32)
    assert sign_packet(STRANGER, Commit(1, "cd" * 32), tags, NOW, SECRET).wire == packet.wire
    for change in (
        {"pubkey": KeyPair.from_seed(digest.encode()).node_id},
        {"created_at": packet.event.created_at + 1 + stamp},
        {"tags": (("t", SECRET.topic), ("e", "ef" * 32))},
        {"kind": int(kind) + 1},
    ):
        moved = msgspec.structs.replace(packet, event=msgspec.structs.replace(packet.event, **change))
        with pytest.raises(RemoteProtocolError):
            PacketReader(SECRET).body(moved)


def test_what_does_not_fit_once_it_is_sealed_is_attached_under_the_networks_key(network, join, question):
    asker = join(SECRET)
    network.run_for(1_000)
    join(SECRET)
    network.run_for(1_000)
    sent = len(network.wires)
    messages = (Message("user", "Where is it? " + "\n" * 30_000),)
    asked = msgspec.structs.replace(question(seats=1, quorum=1, percentage_bp=10_000), messages=messages)
    network.give(asker, Asked("a", asked))
    network.run_for(10_000)
    [blob] = network.blobs.values()
    assert b"Where" not in blob + b"".join(network.wires[sent:])
    assert messages_in(blob, SECRET.content_key) == messages
    [ready] = asker.reported(CertificateReady)
    assert verify(ready.certificate, embed, PacketReader(SECRET)).prompt == messages[0].content
    with pytest.raises(CertificateError):
        verify(ready.certificate, embed)


def test_evidence_convicts_on_a_private_network_too(network, join, question):
    asker = join(SECRET, ())
    workers = [join(SECRET) for _ in range(5)]
    network.run_for(1_000)
    network.ask(asker, question())
    network.settle_until(lambda: bool(network.sent(Kind.REQUEST)))
    request_id = parse_packet(network.sent(Kind.REQUEST)[0]).id
    liar = workers[0].identity.key
    tags = tags_for(Kind.COMMIT, SECRET.topic, network.now, request_id, ())
    for digit in "12":
        wire = sign_packet(liar, Commit(1, digit * 64), tags, network.now, SECRET).wire
        for host in network.hosts:
            network.give(host, PacketReceived(wire, "relay"))
    network.run_for(10_000)
    assert all(
        b"banned" in host.tables["standing"][liar.node_id] or host is workers[0] for host in network.hosts[:1]
    )
    assert network.sent(Kind.EVIDENCE)
