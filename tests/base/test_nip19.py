"""Keys as people copy them: `spec/02-identity.md`."""

from __future__ import annotations

import nostr_sdk
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dicast.base import bech32, nip19
from dicast.base.bech32 import KeyTextError
from dicast.base.crypto import KeyPair
from dicast.base.nip19 import EventPointer, ProfilePointer
from dicast.base.types import EventId, NodeId

PROFILE_TEXT = (
    "nprofile1qqsrhuxx8l9ex335q7he0f09aej04zpazpl0ne2cgukyawd24mayt8gpp4mhxue69uhhytnc9e3k7mgpz4mhxue69uhkg6nzv9ej"
    "uumpv34kytnrdaksjlyr9p"
)
PROFILE = ProfilePointer(
    NodeId("3bf0c63fcb93463407af97a5e5ee64fa883d107ef9e558472c4eb9aaaefa459d"),
    ("wss://r.x.com", "wss://djbas.sadkb.com"),
)
seeds = st.binary(max_size=20)
relays = st.lists(st.text(max_size=30).filter(lambda text: len(text.encode()) < 256), max_size=4).map(tuple)
identifiers = st.binary(min_size=32, max_size=32).map(bytes.hex)


def test_the_published_vectors() -> None:
    node_id = "7e7e9c42a91bfef19fa929e5fda1b72e0ebc1a4c1141673e2794234d86addf4e"
    npub = "npub10elfcs4fr0l0r8af98jlmgdh9c8tcxjvz9qkw038js35mp4dma8qzvjptg"
    secret = bytes.fromhex("67dea2ed018072d675f5415ecfaed7d2597555e202d85b3d65ea4e58d2d92ffa")
    nsec = "nsec1vl029mgpspedva04g90vltkh6fvh240zqtv9k0t9af8935ke9laqsnlfe5"
    assert (nip19.encode_npub(node_id), nip19.decode_npub(npub)) == (npub, node_id)
    assert (nip19.encode_nsec(secret), nip19.decode_nsec(nsec)) == (nsec, secret)
    assert (nip19.encode_nprofile(PROFILE), nip19.decode_nprofile(PROFILE_TEXT)) == (PROFILE_TEXT, PROFILE)


@given(seeds)
def test_theorem_2_9_texts_decode_to_what_they_were(seed: bytes) -> None:
    key = KeyPair.from_seed(seed)
    assert nip19.decode_npub(nip19.encode_npub(key.node_id)) == key.node_id
    assert nip19.decode_nsec(nip19.encode_nsec(key.secret)) == key.secret
    assert nip19.decode_note(nip19.encode_note(key.node_id)) == key.node_id


@given(identifiers, relays, st.none() | identifiers, st.none() | st.integers(0, 2**32 - 1))
def test_theorem_2_9_pointers_decode_to_what_they_were(
    identifier: str, urls: tuple[str, ...], author: str | None, kind: int | None
) -> None:
    profile = ProfilePointer(NodeId(identifier), urls)
    event = EventPointer(EventId(identifier), urls, NodeId(author) if author else None, kind)
    assert nip19.decode_nprofile(nip19.encode_nprofile(profile)) == profile
    assert nip19.decode_nevent(nip19.encode_nevent(event)) == event


@given(seeds)
def test_texts_are_those_of_another_implementation(seed: bytes) -> None:
    key = KeyPair.from_seed(seed)
    theirs = nostr_sdk.Keys.parse(key.secret.hex())
    assert nip19.encode_npub(key.node_id) == theirs.public_key().to_bech32()
    assert nip19.encode_nsec(key.secret) == theirs.secret_key().to_bech32()
    assert nip19.encode_note(key.node_id) == nostr_sdk.EventId.parse(key.node_id).to_bech32()


def test_pointers_are_read_by_another_implementation() -> None:
    node_id = KeyPair.from_seed(b"pointer").node_id
    text = nip19.encode_nevent(EventPointer(EventId("ab" * 32), ("wss://relay.example",), node_id, 4110))
    theirs = nostr_sdk.Nip19Event.from_bech32(text)
    author = theirs.author()
    assert author is not None
    assert (theirs.event_id().to_hex(), author.to_hex()) == ("ab" * 32, node_id)
    assert nip19.decode_nevent(theirs.to_bech32()) == nip19.decode_nevent(text)


@given(st.integers(0, 62), st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l"))
def test_theorem_2_10_one_mistyped_character_is_noticed(place: int, character: str) -> None:
    text = nip19.encode_npub(KeyPair.from_seed(b"typed").node_id)
    typed = text[:place] + character + text[place + 1 :]
    if typed != text:
        with pytest.raises(KeyTextError):
            nip19.decode_npub(typed)


@given(
    st.text()
    | st.text("1qpzryn ub", max_size=80)
    | st.binary(max_size=60).map(lambda data: bech32.encode("npub", data))
)
@example("1" * 6000)
@example("npub1")
@example("npub1é" + "q" * 60)
@example(bech32.encode("nprofile", b"\0"))
@example(bech32.encode("nprofile", b"\0\x20abc"))
@example(bech32.encode("nevent", b"\1\1\xff"))
@example(bech32.encode("nsec", bytes(32)))
def test_theorem_2_11_decoding_raises_key_text_errors_only(text: str) -> None:
    decoders = (
        nip19.decode_npub,
        nip19.decode_nsec,
        nip19.decode_note,
        nip19.decode_nprofile,
        nip19.decode_nevent,
    )
    for decode in (*decoders, nip19.parse_node_id):
        try:
            decode(text)
        except KeyTextError:
            continue


def test_a_node_id_is_taken_in_any_form() -> None:
    npub = nip19.encode_npub(PROFILE.node_id)
    forms = [PROFILE.node_id, PROFILE.node_id.upper(), npub, npub.upper(), f" nostr:{npub}\n", PROFILE_TEXT]
    assert [nip19.parse_node_id(form) for form in forms] == [PROFILE.node_id] * len(forms)


def test_a_secret_key_is_not_taken_for_a_public_one() -> None:
    with pytest.raises(KeyTextError, match="nsec1"):
        nip19.parse_node_id(nip19.encode_nsec(bytes(31) + b"\1"))


@pytest.mark.parametrize("relay_count", [17])
def test_pointers_are_bounded(relay_count: int) -> None:
    with pytest.raises(KeyTextError):
        nip19.encode_nprofile(ProfilePointer(PROFILE.node_id, ("wss://a",) * relay_count))
    with pytest.raises(KeyTextError):
        nip19.encode_nprofile(ProfilePointer(PROFILE.node_id, ("w" * 256,)))
