"""Vectors of the base: canonical JSON, events, keys. Inputs are written here, results are computed."""

from __future__ import annotations

from collections.abc import Callable

from dicast.base import codec, events, nip19, nip49
from dicast.base.crypto import KeyPair, verify
from dicast.base.errors import RemoteProtocolError
from dicast.base.hashing import hmac_sha256, tagged
from dicast.base.sampling import SeededStream
from dicast.base.types import Json

KEY = KeyPair.from_seed(b"dicast vectors")


def generate() -> dict[str, Json]:
    """File name -> content."""
    return {
        "codec.json": codec_vectors(),
        "events.json": event_vectors(),
        "identity.json": identity_vectors(),
    }


def codec_vectors() -> Json:
    """Values with their one encoding, and bytes that must be refused."""
    return {
        "canonical": [{"value": value, "hex": codec.encode(value).hex()} for value in VALUES],
        "refused_canonical": [refused(codec.decode, data) for data in (*SPELLINGS, *JUNK)],
        "refused_loose": [refused(codec.decode_loose, data) for data in JUNK],
        "accepted_loose": [
            {"hex": data.hex(), "canonical_hex": codec.encode(codec.decode_loose(data)).hex()}
            for data in SPELLINGS
            if data not in REPEATING
        ],
    }


def event_vectors() -> Json:
    """Signed events with their wire bytes and ids, and packets that must be refused."""
    good = [events.sign_event(KEY, *parts) for parts in EVENTS]
    wire = events.encode_event(good[0])
    return {
        "secret": KEY.secret.hex(),
        "events": [
            {"wire_hex": events.encode_event(event).hex(), "id": event.id, "sig": event.sig} for event in good
        ],
        "refused": [refused(events.parse_event, data) for data in broken(wire)],
        "forged": [wire.replace(good[0].sig.encode(), good[1].sig.encode()).hex()],
    }


def identity_vectors() -> Json:
    """Keys from seeds, signatures, tagged hashes, streams and the texts of keys."""
    seeds = [b"", b"a", b"dicast vectors", bytes(32)]
    digest = tagged("dicast/test/1", b"message")
    stream = SeededStream(b"seed")
    sealed = nip49.encrypt_secret(KEY.secret, PASSWORD, salt=bytes(16), nonce=bytes(24), log_n=10)
    return {
        "keys": [key_row(seed, digest) for seed in seeds],
        "digest": digest.hex(),
        "refused_signatures": refused_signatures(digest),
        "tagged": [
            {
                "tag": "dicast/x/1",
                "parts_hex": ["00ff", "61"],
                "hex": tagged("dicast/x/1", b"\0\xff", b"a").hex(),
            }
        ],
        "hmac_sha256": [{"key_hex": "6b", "data_hex": "6d", "hex": hmac_sha256(b"k", b"m").hex()}],
        "stream": {
            "seed_hex": b"seed".hex(),
            "u64": [str(stream.u64()) for _ in range(9)],
            "below_10": below_10(),
        },
        "ncryptsec": [
            {"text": sealed, "password": PASSWORD, "secret": KEY.secret.hex()},
            {"text": PUBLISHED_NCRYPTSEC, "password": "nostr", "secret": PUBLISHED_SECRET},
        ],
    }


def key_row(seed: bytes, digest: bytes) -> Json:
    """One key with everything that follows from its seed."""
    key = KeyPair.from_seed(seed)
    return {
        "seed_hex": seed.hex(),
        "secret": key.secret.hex(),
        "node_id": key.node_id,
        "sig": key.sign(digest),
        "npub": nip19.encode_npub(key.node_id),
        "nsec": nip19.encode_nsec(key.secret),
    }


def refused_signatures(digest: bytes) -> list[Json]:
    """Triples that must not verify; the first would, were it not upper-case."""
    sig = KEY.sign(digest)
    off_curve = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34"
    rows = [
        (KEY.node_id.upper(), sig),
        (KEY.node_id, sig.upper()),
        (KEY.node_id, sig[:-2]),
        (off_curve, sig),
        (KEY.node_id, "ff" * 64),
        (KEY.node_id, sig[:64] + "00" * 32),
    ]
    assert not any(verify(node_id, digest, bad) for node_id, bad in rows)
    return [{"node_id": node_id, "digest": digest.hex(), "sig": bad} for node_id, bad in rows]


def below_10() -> list[Json]:
    """The first numbers below 10 of another stream."""
    stream = SeededStream(b"below")
    return [stream.below(10) for _ in range(20)]


def refused(decode: Callable[[bytes], object], data: bytes) -> Json:
    """The bytes and the code of their refusal."""
    try:
        decode(data)
    except RemoteProtocolError as error:
        return {"hex": data.hex(), "code": error.code}
    raise AssertionError(data)


def broken(wire: bytes) -> list[bytes]:
    """Copies of a good packet, each with one thing wrong."""
    return [
        b"",
        wire[:-1],
        wire.replace(b'"kind":4110', b'"kind":65536'),
        wire.replace(b'"kind":4110', b'"kind":4110.0'),
        wire.replace(b'"kind":4110', b'"kind":4111'),
        wire.replace(b'"kind":4110', b'"kind":4110,"kind":4110'),
        wire.replace(b'"kind":4110', b'"kind":4110,"more":1'),
        wire.replace(KEY.node_id.encode(), KEY.node_id.upper().encode()),
        wire.replace(b'"tags":[', b'"tags":[[],'),
        wire.replace(b'"content":"', b'"content":"\\u0000'),
        wire.replace(b'"content":"', b'"content":"\\ud800'),
        wire.replace(b'"content":"', b'"content":"\xff'),
    ]


VALUES: tuple[Json, ...] = (
    None,
    True,
    0,
    -1,
    2**53 - 1,
    1 - 2**53,
    "",
    "".join(map(chr, range(0x20))) + '"\\/\x7f\u2028\u2029é\U0001f600\ufeff',
    [],
    {},
    {"b": [1, {"z": None, "a": False}], "a": "x", "B": "", "a b": 1, "": 0},
    "9" * 16,
)
REPEATING = (b'{"a":1,"a":1}', b'{"a":1,"\\u0061":2}')
SPELLINGS = (
    b" 1",
    b"1\n",
    b"-0",
    b"[1, 2]",
    b'{"b":1,"a":2}',
    b'"\\u00e9"',
    b'"\\/"',
    b'"\\u001F"',
    b'"\\u000a"',
    b'"\\ud83d\\ude00"',
    *REPEATING,
)
JUNK = (
    b"",
    b"nul",
    b"01",
    b"[1,]",
    b"{'a':1}",
    b"\xef\xbb\xbf1",
    b'"\xff"',
    b'"\xed\xa0\x80"',
    b'"\\ud800"',
    b'"\\udc00\\ud800"',
    b'"a\x01"',
    b"1.0",
    b"1e2",
    b"NaN",
    b"9007199254740992",
    b"-9007199254740992",
    b"[18446744073709551616]",
    '{"é":1}'.encode(),
    b"[" * 17 + b"]" * 17,
    b'{"a":1} x',
)
EVENTS: tuple[tuple[int, int, list[list[str]], str], ...] = (
    (1_700_000_000, 4110, [["t", "ab" * 32], ["e", "cd" * 32]], '{"text":"é\u2028","v":1}'),
    (0, 0, [], ""),
    (253_402_300_799, 65535, [["d", ""], ["x", "\x7f", '"\\/']], "\b\t\n\f\r\x7f\u2028\U0001f600"),
)
PASSWORD = "\u212b\u03a9\u1e9b\u0323"
PUBLISHED_NCRYPTSEC = (
    "ncryptsec1qgg9947rlpvqu76pj5ecreduf9jxhselq2nae2kghhvd5g7dgjtcxfqtd67p9m0w57lspw8gsq6yphnm8623nsl8xn9j4jdzz84zm3f"
    "rztj3z7s35vpzmqf6ksu8r89qk5z2zxfmu5gv8th8wclt0h4p"
)
PUBLISHED_SECRET = "3501454135014541350145413501453fefb02227e449e57cf4d3a3ce05378683"
