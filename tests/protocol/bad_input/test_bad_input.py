"""Every kind of message, every way of getting it wrong: refused by name, changing nothing, checked once."""

from __future__ import annotations

import json
import re

import msgspec
import pytest

from dicast.base.limits import PACKET_BYTES_MAX, SEEN_WINDOW_MS
from dicast.base.types import NodeId
from dicast.protocol.messages import STARTS, Kind, Refusal
from dicast.protocol.outputs import Batch, PacketRefused, Penalised, Put
from dicast.protocol.records import ENCODER
from dicast.simulator.state import fingerprint

KINDS = pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
TOO_LARGE = 2**53 + 1
DEEP = "[" * 20_000 + "]" * 20_000


def spelled(fields, **changes):
    return json.dumps({**fields, **changes}, separators=(",", ":"), sort_keys=True).encode()


def without(fields, name):
    return {key: value for key, value in fields.items() if key != name}


def broken_wrappers(wire):
    """Name of the fault -> bytes that are no event."""
    fields = json.loads(wire)
    start = b'{"content":'
    assert wire.startswith(start)
    faults = {
        "empty": b"",
        "cut by one byte": wire[:-1],
        "cut in half": wire[: len(wire) // 2],
        "no JSON": b"\x00\xff" + wire,
        "bytes that are not UTF-8": wire.replace(b'"kind"', b'"ki\xffnd"'),
        "an array": b"[" + wire + b"]",
        "two of them": wire + wire,
        "unknown field": spelled(fields, more=1),
        "repeated field": b'{"kind":%d,' % fields["kind"] + wire[1:],
        "repeated field, escaped": b'{"\\u006bind":%d,' % fields["kind"] + wire[1:],
        "deep nesting in tags": wire.replace(b'"tags":[', b'"tags":[' + DEEP.encode() + b",", 1)[:60_000],
        "deep nesting alone": b"[" * 60_000,
        "lone surrogate": wire.replace(b'"content":"', b'"content":"\\ud800', 1),
        "control character": wire.replace(b'"content":"', b'"content":"\\u0000', 1),
        "wrong id": spelled(fields, id="0" * 64),
        "other content": spelled(fields, content=fields["content"] + " "),
        "other author": spelled(fields, pubkey="1" * 64),
        "too many tags": spelled(fields, tags=[["p", "1" * 64]] * 65),
        "a tag of nothing": spelled(fields, tags=[[]]),
        "kind out of range": spelled(fields, kind=65_536),
    }
    for name in ("id", "pubkey", "sig"):
        faults[f"{name} in upper case"] = spelled(fields, **{name: fields[name].upper()})
        faults[f"{name} too short"] = spelled(fields, **{name: fields[name][:-1]})
        faults[f"{name} too long"] = spelled(fields, **{name: fields[name] + "0"})
    for name in fields:
        faults[f"{name} missing"] = spelled(without(fields, name))
        faults[f"{name} null"] = spelled(fields, **{name: None})
        faults[f"{name} of another type"] = spelled(fields, **{name: {"a": 1}})
    for value in (-1, 1.0, 1.5, TOO_LARGE, 2**64, 10**400):
        faults[f"created_at {str(value)[:20]}"] = spelled(fields, created_at=value)
    return faults


@KINDS
def test_bytes_that_are_no_event_change_nothing_and_cost_no_check(scene_of, kind):
    scene = scene_of(kind)
    refused = Batch(reports=(PacketRefused(Refusal.SHAPE, "test"),))
    before = fingerprint(scene.node), scene.view()
    for fault, wire in broken_wrappers(scene.wire).items():
        assert (fault, scene.receive(wire), fingerprint(scene.node)) == (fault, refused, before[0])
    oversize = scene.wire + b" " * (PACKET_BYTES_MAX + 1 - len(scene.wire))
    assert scene.receive(oversize) == Batch(reports=(PacketRefused(Refusal.SIZE, "test"),))
    assert (fingerprint(scene.node), scene.view(), scene.reader.checks) == (*before, 0)
    assert_accepted(scene)


def assert_accepted(scene):
    batch = scene.receive(scene.wire)
    assert [report for report in batch.reports if isinstance(report, PacketRefused)] == []


def displaced(scene):
    """Name of the fault -> (a well signed event that is no packet for us now, why)."""
    tags, kind, seconds = scene.fields["tags"], scene.fields["kind"], scene.now.unix_ms // 1000
    others = [tag for tag in tags if tag[0] != "t"]
    node_id = scene.key.node_id
    faults = {
        "unknown kind": (scene.resigned(kind=4199), Refusal.UNKNOWN_KIND),
        "kind of a later version": (scene.resigned(kind=24199), Refusal.UNKNOWN_KIND),
        "stale": (scene.resigned(created_at=seconds - SEEN_WINDOW_MS // 1000 - 1), Refusal.STALE),
        "as old as time": (scene.resigned(created_at=0), Refusal.STALE),
        "an hour ahead": (scene.resigned(created_at=seconds + 3_600), Refusal.CLOCK),
        "the year 9999": (scene.resigned(created_at=253_402_300_799), Refusal.CLOCK),
        "expired": (
            scene.resigned(tags=[*(tag for tag in tags if tag[0] != "expiration"), ["expiration", "9"]]),
            Refusal.STALE,
        ),
        "no topic": (scene.resigned(tags=others), Refusal.SHAPE),
        "two topics": (scene.resigned(tags=[*tags, tags[0]]), Refusal.SHAPE),
        "unknown tag": (scene.resigned(tags=[*tags, ["q", "1"]]), Refusal.SHAPE),
        "a tag of three": (scene.resigned(tags=[*tags, ["p", node_id, ""]]), Refusal.SHAPE),
        "an addressee in upper case": (scene.resigned(tags=[*tags, ["p", "AB" * 32]]), Refusal.SHAPE),
        "two predecessors": (
            scene.resigned(tags=[*tags, ["e", "1" * 64], ["e", "2" * 64]]),
            Refusal.SHAPE,
        ),
        "an expiry in other digits": (scene.resigned(tags=[*tags, ["expiration", "٩٩"]]), Refusal.SHAPE),
        "a float for an expiry": (scene.resigned(tags=[*tags, ["expiration", "1e9"]]), Refusal.SHAPE),
    }
    for name, topic, refusal in (
        ("another network", "1" * 64, Refusal.TOPIC),
        ("topic in upper case", tags[0][1].upper(), Refusal.SHAPE),
        ("topic that is no hex", "main", Refusal.SHAPE),
    ):
        moved = [[tag[0], topic] if tag[1] == tags[0][1] else tag for tag in tags]
        faults[name] = (scene.resigned(tags=moved), refusal)
    if kind in STARTS:
        faults["a predecessor too many"] = (scene.resigned(tags=[*tags, ["e", "1" * 64]]), Refusal.SHAPE)
    else:
        mine = [tag for tag in tags if tag[0] != "e"]
        faults["no predecessor"] = (scene.resigned(tags=mine), Refusal.SHAPE)
        faults["predecessor in upper case"] = (scene.resigned(tags=[*mine, ["e", "AB" * 32]]), Refusal.SHAPE)
        unknown = scene.resigned(tags=[*mine, ["e", "1" * 64]])
        faults["unknown predecessor"] = (unknown, Refusal.UNKNOWN_PREDECESSOR)
    return faults


@KINDS
def test_theorem_9_7_a_packet_out_of_place_or_time_changes_nothing_and_costs_no_check(scene_of, kind):
    """Also one from the future: dropped and reported, never penalised."""
    scene = scene_of(kind)
    before = fingerprint(scene.node), scene.view()
    for fault, (wire, refusal) in displaced(scene).items():
        expected = Batch(reports=(PacketRefused(refusal, "test"),))
        for _ in range(2):
            assert (fault, scene.receive(wire)) == (fault, expected)
        assert (fault, fingerprint(scene.node), scene.view()) == (fault, *before)
    assert scene.reader.checks == 0
    assert_accepted(scene)


@KINDS
def test_theorem_9_5_a_forged_copy_is_checked_once_and_does_not_shadow_the_real_one(scene_of, kind):
    scene = scene_of(kind)
    before = fingerprint(scene.node), scene.view()
    fields = scene.fields
    first = "0" if fields["sig"][0] != "0" else "1"
    forged = spelled(fields, sig=first + fields["sig"][1:])
    respelled = json.dumps(json.loads(forged)).encode()
    junk = spelled(fields, sig="f" * 128)
    refused = Batch(reports=(PacketRefused(Refusal.BAD_SIGNATURE, "test"),))
    for checks, wire in ((1, forged), (1, forged), (2, respelled), (3, junk), (3, junk), (3, forged)):
        assert (scene.receive(wire), scene.reader.checks) == (refused, checks)
    assert (fingerprint(scene.node), scene.view()) == before
    assert_accepted(scene)


@KINDS
def test_a_body_of_a_later_version_blames_nobody(scene_of, kind):
    scene = scene_of(kind)
    content = scene.fields["content"].removesuffix('"v":1}') + '"v":2,"vx":[]}'
    author = NodeId(scene.fields["pubkey"])
    batch = scene.receive(scene.resigned(content=content))
    assert batch == Batch(reports=(PacketRefused(Refusal.VERSION, "test", author),))


@KINDS
def test_a_forgery_with_a_malformed_body_blames_nobody(scene_of, kind):
    scene = scene_of(kind)
    malformed = json.loads(scene.resigned(content='{"v":2}'))
    forged = spelled(malformed, sig="f" * 128)
    assert scene.receive(forged) == Batch(reports=(PacketRefused(Refusal.BAD_SIGNATURE, "test"),))


@KINDS
def test_theorem_9_6_a_replay_costs_no_second_check(scene_of, kind):
    scene = scene_of(kind)
    assert_accepted(scene)
    checks, view = scene.reader.checks, scene.view()
    respelled = json.dumps(scene.fields, indent=1).encode()
    for wire in (scene.wire, respelled, respelled):
        assert scene.receive(wire) == Batch(reports=(PacketRefused(Refusal.DUPLICATE, "test"),))
    assert (scene.reader.checks, scene.view()) == (checks, view)


def broken_bodies(content):
    """Name of the fault -> content that is not the one encoding of one message."""
    fields = json.loads(content)
    assert content.endswith('"v":1}')
    rest = content.removesuffix('"v":1}')
    faults = {
        "empty": "",
        "cut": content[:-1],
        "null": "null",
        "an array": f"[{content}]",
        "text": '"text"',
        "no JSON": "\ufeff" + content,
        "white space after": content + " ",
        "white space inside": content.replace(":", ": ", 1),
        "keys in another order": '{"v":1,' + rest[1:].rstrip(",") + "}",
        "escaped key": rest + '"\\u0076":1}',
        "repeated key": rest + '"v":1,"v":1}',
        "repeated key, escaped": rest + '"v":1,"\\u0076":1}',
        "unknown field": rest + '"v":1,"zz":1}',
        "a key beyond ASCII": rest + '"v":1,"é":1}',
        "lone surrogate": rest + '"v":1,"zz":"\\ud800"}',
        "deep nesting inside": rest + f'"v":1,"zz":{DEEP[10_000:30_000]}' + "}",
        "deep nesting alone": "[" * 30_000,
        "version missing": rest.rstrip(",") + "}",
    }
    for version in ("0", "1.0", "1e0", "-1", '"1"', "true", "null", "NaN", str(TOO_LARGE), "9" * 400):
        faults[f"version {version[:20]}"] = rest + f'"v":{version}' + "}"
    for name in fields:
        faults[f"{name} null"] = spelled(fields, **{name: None}).decode()
        faults[f"{name} of another type"] = spelled(fields, **{name: {"a": {}}}).decode()
        faults[f"{name} too large a number"] = spelled(fields, **{name: TOO_LARGE}).decode()
        faults[f"{name} a float"] = spelled(fields, **{name: 0.5}).decode()
    # A frame holds embedders by any name, so only hex that is an id, a digest or a salt counts here.
    for number, found in enumerate(re.finditer('"([0-9a-f]{64})"', content)):
        for fault, text in (("upper", "AB" * 32), ("short", found[1][:-1]), ("long", found[1] + "0")):
            faults[f"hex {number} {fault}"] = content[: found.start(1)] + text + content[found.end(1) :]
    return faults


@KINDS
def test_theorem_10_1_a_malformed_body_costs_one_check_and_its_author_some_standing(scene_of, kind):
    original = scene_of(kind)
    author = NodeId(original.fields["pubkey"])
    standing = msgspec.structs.replace(original.node._context.directory.standing(author), malformed=1)
    accounted = (Put("standing", author, ENCODER.encode(standing)),)
    for fault, content in broken_bodies(original.fields["content"]).items():
        scene = original.fresh()
        view = scene.view()
        batch = scene.receive(wire := scene.resigned(content=content))
        penalty, refused = Penalised(author, "malformed"), PacketRefused(Refusal.BODY, "test", author)
        assert (fault, batch.reports) == (fault, (penalty, refused))
        assert (fault, batch.writes, batch.sends, batch.runs) == (fault, accounted, (), ())
        assert (fault, scene.view()) == (fault, view)
        assert scene.receive(wire) == Batch(reports=(PacketRefused(Refusal.DUPLICATE, "test"),))
        assert scene.reader.checks == 1
        assert_accepted(scene)
