"""The blob of an attached question: one for each question and key, and no other bytes pass for it."""

from __future__ import annotations

import contextlib
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicast.base import codec
from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.limits import ATTACHED_BYTES_MAX
from dicast.base.nip44 import TEXT_BYTES_MAX, seal
from dicast.consensus.frame import Frame
from dicast.protocol.attached import AttachedQuestion, attachment_of, blob_of, messages_in, told_by
from dicast.protocol.messages import Admission, Attachment, Message, Request

KEY = bytes(range(32))
STRANGER = KeyPair.from_seed(b"stranger")


def words(prompt):
    return (Message("user", prompt),)


@settings(max_examples=40, deadline=None)
@given(
    contents=st.lists(st.text(max_size=60), min_size=1, max_size=5),
    repeat=st.integers(1, 1_500),
    key=st.sampled_from([None, KEY]),
)
def test_theorem_11_15_what_is_attached_is_what_was_asked(contents, repeat, key):
    """Of one question and one key there is one blob, and it opens to that question only with that key."""
    messages = tuple(Message("user", content * repeat) for content in contents)
    blob = blob_of(messages, key)
    assert blob == blob_of(messages, key)
    assert messages_in(blob, key) == messages
    for other in {None, KEY, bytes(32)} - {key}:
        with pytest.raises(RemoteProtocolError):
            messages_in(blob, other)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), key=st.sampled_from([None, KEY]))
def test_theorem_11_16_no_other_bytes_pass_for_the_question(data, key):
    """Whatever comes in place of a blob: it is the one that was named, or it is refused, and nothing raises
    but that."""
    blob = blob_of(words("A question of some length. " * 6_000), key)
    request = stranger_request(attachment_of(blob))
    changed = bytearray(blob)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed)[: data.draw(st.integers(0, len(blob)))]
    for one in (bytes(changed), cut, blob + b"\n", data.draw(st.binary(max_size=200))):
        if one == blob:
            assert told_by(request, one, key).messages == messages_in(blob, key)
            continue
        with pytest.raises(RemoteProtocolError):
            told_by(request, one, key)
        with contextlib.suppress(RemoteProtocolError):
            messages_in(one, key)


def stranger_request(attachment):
    return Request(
        v=1,
        attachment=attachment,
        frame=Frame(quorum=1, sec_percentage_bp=10_000, sec_distance_bits={}, gates=()),
        admission=Admission.LISTED,
        seats=1,
        max_tokens=10,
        temperature_milli=0,
        selection_salt_hash="ab" * 32,
        sequence=1,
        attempt=1,
        members=(STRANGER.node_id,),
    )


def lines_of(blob):
    return blob.split(b"\n")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[::-1],
        lambda lines: [lines[0], *lines],
        lambda lines: [*lines, lines[-1]],
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [*lines, b""],
        lambda lines: [lines[0], lines[0], lines[2]],
    ],
    ids=["swapped", "first twice", "last twice", "cut", "headless", "empty line", "replaced"],
)
def test_pieces_out_of_their_place_are_refused_also_when_their_author_names_them(change):
    blob = blob_of(words("x" * 3 * TEXT_BYTES_MAX), KEY)
    assert len(lines_of(blob)) == 4
    hostile = b"\n".join(change(lines_of(blob)))
    with pytest.raises(RemoteProtocolError):
        told_by(stranger_request(attachment_of(hostile)), hostile, KEY)


def test_pieces_sealed_under_nonces_of_ones_own_are_refused():
    text = codec.encode(AttachedQuestion(words("x")))
    hostile = seal(text, KEY, bytes(32)).encode()
    with pytest.raises(RemoteProtocolError):
        told_by(stranger_request(attachment_of(hostile)), hostile, KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"attachment": None},
        {"messages": words("x")},
        {"attachment": {"sha256": "00" * 32, "size": 0, "root": "00" * 32}},
        {"attachment": {"sha256": "00" * 32, "size": ATTACHED_BYTES_MAX + 1, "root": "00" * 32}},
        {"attachment": {"sha256": "0" * 63, "size": 1, "root": "00" * 32}},
        {"attachment": {"sha256": "00" * 32, "size": 1}},
    ],
)
def test_a_request_has_its_question_in_one_place(changes):
    good = json.loads(codec.encode(stranger_request(Attachment("00" * 32, 1, "00" * 32))))
    plain = {**good, **json.loads(msgspec.json.encode(changes))}
    with pytest.raises(codec.CodecError):
        codec.decode_as(codec.encode(plain), Request)
