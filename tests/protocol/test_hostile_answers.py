"""A member may reveal anything at all: everybody judges it, nobody stumbles, and the round ends."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dicast.base.types import EventId
from dicast.consensus.frame import Frame
from dicast.consensus.selection import commit_digest
from dicast.protocol.certificate import verify
from dicast.protocol.envelope import make_packet, topic_of
from dicast.protocol.inputs import PacketReceived
from dicast.protocol.messages import Admission, Commit, Kind, Request, Reveal, Usage
from dicast.protocol.outputs import AskRefused, CertificateReady, PacketRefused, RoundDecided

TOPIC = topic_of("main")
SALT = "5a" * 32
FORMS = {
    "prose": {},
    "strict": {"gates": ("numbers_strict", "entities_strict", "polarity_strict")},
    "labels": {"labels": ("yes", "no", "paris")},
    "exact": {"exact": ("/a", "/b/0"), "gates": ("json",)},
    "fuzzy": {"exact": ("/a",), "fuzzy": ("/b", "/c/0"), "gates": ("json",)},
    "no embedder": {"sec_distance_bits": {}},
}
NUMBERS = st.sampled_from(["1e999", "-0", "1.5e-400", "9" * 400, "NaN", "3,000.5 km", "½", "٣", "1/0"])
TEXTS = st.one_of(
    st.text(max_size=200),
    st.text(st.characters(), max_size=40),
    st.text("01239.,-+e/%$€ kmK°", max_size=60),
    st.text("ab*_`#\"' .\n\t", max_size=60),
    st.lists(NUMBERS, max_size=4).map(" ".join),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        ),
        max_leaves=6,
    ).map(json.dumps),
)

BITS = st.binary(min_size=48, max_size=48)


class Crowd:
    """An asker, honest members, and one whose packets the test signs itself."""

    def __init__(self, network):
        self.network = type(network)()
        self.asker = self.network.add(roles=())
        self.members = [self.network.add() for _ in range(4)]
        self.network.run_for(1_000)
        self.liar = self.members[0]
        self.liar.answer = lambda _: None

    def say(self, body, predecessor):
        packet = make_packet(self.liar.identity.key, TOPIC, body, self.network.now, predecessor)
        for host in [self.asker, *self.members[1:]]:
            self.network.give(host, PacketReceived(packet.wire, "test"))
        self.network.settle()

    def id_of(self, kind):
        return EventId(json.loads(self.network.sent(kind)[0])["id"])


@pytest.fixture
def crowd_of(network):
    return lambda: Crowd(network)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    answer=TEXTS, honest=TEXTS, form=st.sampled_from(list(FORMS)), bits=st.binary(min_size=48, max_size=48)
)
@example(answer="\u0000\ud7ff\uffff", honest="Paris.", form="prose", bits=bytes(48))
@example(answer="{" * 4_000, honest='{"a":1,"b":["x"]}', form="fuzzy", bits=bytes(48))
@example(answer='{"a":' * 900, honest='{"a":1,"b":["x"]}', form="exact", bits=bytes(48))
@example(answer="1" * 20_000, honest="1.", form="strict", bits=bytes(48))
@example(answer="*" * 20_000, honest="`" * 9_000, form="prose", bits=bytes(48))
def test_any_reveal_is_judged_by_everybody(crowd_of, question, answer, honest, form, bits):
    crowd = crowd_of()
    for member in crowd.members[1:]:
        member.answer = lambda _: honest
    changes = {name: value for name, value in FORMS[form].items() if name in {"gates", "sec_distance_bits"}}
    asked = question(seats=4, quorum=1, percentage_bp=6_000, grace_ms=100, deadline_ms=2_000, **changes)
    frame = {name: value for name, value in FORMS[form].items() if name not in changes}
    asked = replaced(asked, frame)
    crowd.network.ask(crowd.asker, asked)
    assert crowd.asker.reported(AskRefused) == []
    request = crowd.id_of(Kind.REQUEST)
    digest = commit_digest(request, crowd.liar.identity.node_id, SALT, answer, "m")
    crowd.say(Commit(1, digest), request)
    crowd.network.run_for(2_500)
    embeddings = {name: bits.hex() for name in asked.frame.sec_distance_bits}
    body = Reveal(
        v=1, answer=answer, model="m", salt=SALT, embeddings=embeddings, usage=Usage(0, 0, 0, 0), engine="e"
    )
    crowd.say(body, crowd.id_of(Kind.QUORUM))
    crowd.network.run_for(20_000)
    [decided] = crowd.asker.reported(RoundDecided)
    [ready] = crowd.asker.reported(CertificateReady)
    assert crowd.liar.identity.node_id in decided.verdict.statuses
    assert verify(ready.certificate, None).verdict == decided.verdict


def replaced(asked, changes):
    frame = Frame(**{**{name: getattr(asked.frame, name) for name in Frame.__struct_fields__}, **changes})
    return type(asked)(**{**{name: getattr(asked, name) for name in asked.__struct_fields__}, "frame": frame})


WHOLE = st.integers(-2, 2**53 - 1) | st.integers(0, 12) | st.integers(1_000, 10_000)
WORDS = st.sampled_from(["numbers", "json", "/a", "/b/0", "a", "", "~", "\n"])
NAMES = st.sampled_from(["memory/381", "x/1", "x/0", "x", "x/99999", "", "/8"])


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_frame_is_refused_by_the_asker_exactly_when_the_members_would(crowd_of, question, data):
    """But for embedders that nobody known has: that is the asker's knowledge, and no fault of the frame."""
    crowd = crowd_of()
    words = st.lists(st.sampled_from(["numbers", "json", "/a", "/b/0", "a", "", "~", "\n"]), max_size=3).map(
        tuple
    )
    changes = {
        "quorum": data.draw(WHOLE),
        "sec_percentage_bp": data.draw(WHOLE),
        "sec_distance_bits": data.draw(st.dictionaries(NAMES, WHOLE, max_size=2)),
        **{name: data.draw(words) for name in ("gates", "exact", "fuzzy", "labels")},
        **{name: data.draw(WHOLE) for name in ("faults", "deadline_ms", "reveal_ms", "grace_ms")},
    }
    kept = data.draw(st.lists(st.sampled_from(sorted(changes)), unique=True, max_size=3))
    asked = replaced(question(seats=4, quorum=3), {name: changes[name] for name in kept})
    crowd.network.ask(crowd.asker, asked)
    refused = [report.code for report in crowd.asker.reported(AskRefused)]
    assert len(refused) + len(crowd.network.sent(Kind.REQUEST)) == 1
    assert all(refused)
    member = crowd.members[1]
    request = Request(
        v=1,
        messages=asked.messages,
        frame=asked.frame,
        admission=Admission.LISTED,
        seats=4,
        max_tokens=16,
        temperature_milli=0,
        selection_salt_hash=SALT,
        sequence=1,
        attempt=1,
        members=tuple(host.identity.node_id for host in crowd.members),
    )
    packet = make_packet(crowd.liar.identity.key, TOPIC, request, crowd.network.now)
    crowd.network.give(member, PacketReceived(packet.wire, "test"))
    taken = [report.reason for report in member.reported(PacketRefused)] == []
    assert taken == (set(refused) <= {"no_workers"})
