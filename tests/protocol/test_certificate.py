"""A certificate that was tampered with names the first wrong thing; nothing else is ever raised."""

from __future__ import annotations

import copy
import json

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicast.base import codec
from dicast.base.crypto import KeyPair
from dicast.base.hashing import sha256
from dicast.base.types import EventId, Now
from dicast.embedders.memory import MemoryEmbedder
from dicast.protocol.certificate import CertificateError, Fault, signature_digest, verify
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.messages import Close, Commit, Kind, Quorum, Signature, Want
from dicast.protocol.outputs import CertificateReady, RoundDecided

EMBEDDER = MemoryEmbedder()
TOPIC = topic_of("main")
STRANGER = KeyPair.from_seed(b"stranger")
NOW = Now(0, 1_790_000_000_000)


def embed(name, texts):
    return EMBEDDER.embed(texts) if name == EMBEDDER.name else None


_SHEETS = {}


@pytest.fixture
def round_(network, question, prove, publish):
    """(sheet, keys by node id, the requester's key, the decided verdict) of a listed or a drawn round."""

    def make(admission="listed"):
        if admission not in _SHEETS:
            asker = network.add(roles=())
            workers = [network.add() for _ in range(5)]
            workers[0].answer = lambda _: "Bananas grow on tall green plants."
            network.run_for(1_000)
            if admission == "drawn":
                prove(asker, 2)
                publish(1)
            network.ask(asker, question(admission=admission))
            network.settle()
            publish(2)
            network.run_for(10_000)
            [ready] = asker.reported(CertificateReady)
            keys = {host.identity.node_id: host.identity.key for host in network.hosts}
            decided = asker.reported(RoundDecided)[0]
            _SHEETS[admission] = json.loads(ready.certificate), keys, asker.identity.key, decided
        return copy.deepcopy(_SHEETS[admission][0]), *_SHEETS[admission][1:]

    return make


def fault_of(sheet, embedder=embed):
    """The fault of a sheet, or None when it holds."""
    data = sheet if isinstance(sheet, bytes) else codec.encode(sheet) + b"\n"
    try:
        verify(data, embedder)
    except CertificateError as error:
        return error.fault if error.detail else None
    return None


def places(sheet, kind):
    return [place for place, event in enumerate(sheet["events"]) if event["kind"] == kind]


def packet(key, body, predecessor=None, topic=TOPIC):
    return msgspec.to_builtins(make_packet(key, topic, body, NOW, predecessor).event)


@pytest.mark.parametrize("admission", ["listed", "drawn", "open"])
def test_what_was_handed_out_holds(round_, admission):
    sheet, _, requester, decided = round_(admission)
    verification = verify(codec.encode(sheet) + b"\n", embed)
    assert msgspec.to_builtins(verification) == {
        "request_id": sheet["events"][0]["id"],
        "requester": requester.node_id,
        "prompt": "What is the capital of France?",
        "verdict": msgspec.to_builtins(decided.verdict),
        "admission": admission,
        "encrypted": False,
        "attempt": 1,
        "previous": "",
        "embeddings": "recomputed",
        "panel": "draw_unchecked" if admission == "drawn" else "requesters_word",
        "beacon_round": 2 if admission == "drawn" else 0,
        "beacon": sha256(b"beacon-2").hex() if admission == "drawn" else "",
        "signed_seats": 5,
        "inputs_witnessed": True,
        "models": dict.fromkeys(decided.verdict.statuses, "fake-1"),
    }


def test_without_the_embedder_the_rest_is_checked_and_it_says_so(round_):
    sheet, *_ = round_()
    data = codec.encode(sheet)
    for embedder in (None, lambda _name, _texts: None):
        assert verify(data, embedder).embeddings == "not_checked"


def test_theorem_12_1_an_event_that_was_changed_breaks_the_certificate(round_):
    for admission in ("listed", "drawn"):
        original, *_ = round_(admission)
        for place, event in enumerate(original["events"]):
            for name, value in (
                ("content", event["content"].replace('"v":1', '"v":1 ')),
                ("created_at", event["created_at"] + 1),
                ("kind", 4111 if event["kind"] != 4111 else 4112),
                ("id", "0" * 64),
                ("pubkey", STRANGER.node_id),
            ):
                sheet = copy.deepcopy(original)
                sheet["events"][place][name] = value
                assert fault_of(sheet) is Fault.SHAPE
            sheet = copy.deepcopy(original)
            sheet["events"][place]["sig"] = "0" * 128
            assert fault_of(sheet) is Fault.SIGNATURE_BROKEN


def test_theorem_12_2_an_event_left_out_breaks_it_unless_it_is_a_signature(round_):
    original, *_ = round_("drawn")
    for place, event in enumerate(original["events"]):
        sheet = copy.deepcopy(original)
        del sheet["events"][place]
        expected = {
            Kind.REQUEST: {Fault.REQUEST_MISSING},
            Kind.PANEL: {Fault.PACKET_MISPLACED},
            Kind.COMMIT: {Fault.PACKET_MISSING},
            Kind.QUORUM: {Fault.PACKET_MISPLACED},
            Kind.REVEAL: {Fault.PACKET_MISSING},
            Kind.CLOSE: {Fault.PACKET_MISPLACED},
            Kind.SIGNATURE: {None},
        }[Kind(event["kind"])]
        assert {fault_of(sheet)} == expected
    sheet = copy.deepcopy(original)
    sheet["events"] = [event for event in sheet["events"] if event["kind"] != Kind.SIGNATURE]
    verification = verify(codec.encode(sheet), embed)
    assert (verification.signed_seats, verification.inputs_witnessed) == (0, False)


def test_packets_in_another_order_or_twice_do_not_fit(round_):
    original, *_ = round_()
    for kind in (Kind.REVEAL, Kind.CLOSE, Kind.SIGNATURE):
        sheet = copy.deepcopy(original)
        sheet["events"].insert(1, sheet["events"].pop(places(sheet, kind)[0]))
        assert fault_of(sheet) is Fault.PACKET_MISPLACED
    for place in range(len(original["events"])):
        sheet = copy.deepcopy(original)
        sheet["events"].insert(place, copy.deepcopy(sheet["events"][place]))
        assert fault_of(sheet) is Fault.PACKET_MISPLACED


def test_a_drawn_round_without_a_panel_is_not_shown_as_drawn(round_):
    sheet, _, requester, _ = round_("drawn")
    request = sheet["events"][0]
    quorum = packet(requester, Quorum(1, ()), EventId(request["id"]))
    salt = json.loads(sheet["events"][places(sheet, Kind.CLOSE)[0]]["content"])["selection_salt"]
    close = packet(requester, Close(1, (), salt), EventId(quorum["id"]))
    sheet["events"], sheet["recomputed"] = [request, quorum, close], {}
    assert fault_of(sheet) is Fault.PACKET_MISSING


def last_id(sheet, kind):
    return EventId(sheet["events"][places(sheet, kind)[-1]]["id"])


def tampered(sheet, keys, requester):
    """Name -> (sheet, its fault). Every packet is well signed: the liar means it."""
    quorum, close = last_id(sheet, Kind.QUORUM), last_id(sheet, Kind.CLOSE)
    request = EventId(sheet["events"][0]["id"])
    member = keys[next(iter(sheet["verdict"]["statuses"]))]
    commit = places(sheet, Kind.COMMIT)[0]

    def changed(**changes):
        return {**copy.deepcopy(sheet), **changes}

    def added(event, place=None):
        events = copy.deepcopy(sheet["events"])
        events.insert(len(events) if place is None else place, event)
        return changed(events=events)

    other_topic = packet(member, Signature(1, "ab" * 32), close, topic_of("other"))
    stranger = packet(STRANGER, Commit(1, "ab" * 32), request)
    second = packet(requester, Close(1, (), "00" * 32), quorum)
    again = packet(keys[sheet["events"][commit]["pubkey"]], Commit(1, "ab" * 32), request)
    lie = signature_digest(TOPIC, request, quorum, close, "ab" * 32)
    dissent = [event for event in sheet["events"] if event["kind"] != Kind.SIGNATURE]
    dissent.append(packet(member, Signature(1, lie), close))
    verdict = {**sheet["verdict"], "answer": "Lyon."}
    bits = {key: dict.fromkeys(of, "00" * 48) for key, of in sheet["recomputed"].items()}
    return {
        "no events": (changed(events=[]), Fault.PACKET_MISSING),
        "another version": (changed(v=2), Fault.SHAPE),
        "an unknown field": (changed(more=1), Fault.SHAPE),
        "an announcement's place": (changed(events=sheet["events"][1:]), Fault.REQUEST_MISSING),
        "another network": (added(other_topic), Fault.WRONG_NETWORK),
        "a stranger's commit": (added(stranger, commit), Fault.PACKET_MISPLACED),
        "a message of no step": (added(packet(member, Want(1, (request,)), close)), Fault.PACKET_MISPLACED),
        "a second close": (added(second), Fault.CONTRADICTION),
        "a second commit": (added(again, commit + 1), Fault.CONTRADICTION),
        "another answer": (changed(verdict=verdict), Fault.VERDICT_DIFFERS),
        "no verdict": (changed(verdict={}), Fault.VERDICT_DIFFERS),
        "other bits": (changed(recomputed=bits), Fault.EMBEDDING_WRONG),
        "a stranger's bits": (changed(recomputed={STRANGER.node_id: {}}), Fault.EMBEDDING_WRONG),
        "a signature for another verdict": (changed(events=dissent), Fault.SIGNATURE_DIFFERS),
    }


def test_theorem_12_3_a_tampered_certificate_names_the_first_wrong_thing(round_):
    sheet, keys, requester, _ = round_()
    found = {name: fault_of(one) for name, (one, _) in tampered(sheet, keys, requester).items()}
    expected = {name: fault for name, (_, fault) in tampered(sheet, keys, requester).items()}
    assert found == expected


def test_bytes_that_are_no_certificate_are_of_the_wrong_shape(round_):
    sheet, *_ = round_()
    data = codec.encode(sheet)
    for junk in (b"", b"{}", b"[]", data[:-1], data + b" ", b"\n" + data, b"[" * 100_000, b"\xff" + data):
        assert fault_of(junk) is Fault.SHAPE
    assert fault_of(data + b"\n") is None


JSON = st.recursive(
    st.none() | st.integers(-9, 2**53 - 1) | st.text("abz0 ", max_size=96) | st.just("00" * 48),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abz0", max_size=9), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_theorem_12_4_whatever_a_sheet_says_it_holds_or_names_a_fault(round_, data):
    sheet, *_ = round_()
    part = data.draw(st.sampled_from(["recomputed", "verdict", "events", "v"]))
    members = list(sheet["verdict"]["statuses"])
    value = data.draw(
        JSON
        | st.dictionaries(
            st.sampled_from(members),
            st.dictionaries(st.sampled_from([EMBEDDER.name, "x"]), st.text("0fz", max_size=98), max_size=2),
        )
    )
    sheet[part] = value
    embedder = data.draw(st.sampled_from([None, embed]))
    fault = fault_of(sheet, embedder)
    assert fault in set(Fault) or (part == "recomputed" and fault is None)


@pytest.mark.parametrize(("name", "value"), [("unique", 1), ("v", True), ("n", "5")])
def test_the_verdict_shown_is_compared_as_it_is_written(round_, name, value):
    original, *_ = round_()
    sheet = copy.deepcopy(original)
    sheet["verdict"][name] = value
    assert fault_of(sheet) is Fault.VERDICT_DIFFERS


def test_bits_of_somebody_who_revealed_nothing_are_no_part_of_a_case(round_):
    original, *_ = round_()
    sheet = copy.deepcopy(original)
    sheet["recomputed"][STRANGER.node_id] = {}
    with pytest.raises(CertificateError) as caught:
        verify(codec.encode(sheet), None)
    assert caught.value.fault is Fault.CONTRADICTION


def test_need_of_a_minority_witnesses_nothing(network, question):
    asker = network.add(roles=())
    for _ in range(5):
        network.add()
    network.run_for(1_000)
    network.ask(asker, question(percentage_bp=4_000))
    network.run_for(10_000)
    [ready] = asker.reported(CertificateReady)
    sheet = json.loads(ready.certificate)
    keep = [event for event in sheet["events"] if event["kind"] != Kind.SIGNATURE]
    signatures = [event for event in sheet["events"] if event["kind"] == Kind.SIGNATURE]
    for count, witnessed in ((2, False), (3, True)):
        sheet["events"] = keep + signatures[:count]
        verification = verify(codec.encode(sheet), embed)
        assert (verification.verdict.need, verification.inputs_witnessed) == (2, witnessed)
