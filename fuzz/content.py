"""Coverage-guided fuzzing of what strangers send of blobs and addresses: `python fuzz/content.py -runs=9999`.

Options are libFuzzer's. A crash is an exception that is not the reader's own.
"""

from __future__ import annotations

import atheris
from harness.loop import fuzz

with atheris.instrument_imports(include=["dicast.content", "dicast.transports"]):
    from dicast.base.errors import RemoteProtocolError
    from dicast.base.merkle import root_of
    from dicast.content.manifest import decode_manifest, magnet_of, make_manifest, parse_magnet
    from dicast.transports.bittorrent_finder import RECORD_BYTES_MAX, packed, unpacked
    from dicast.transports.websocket_hearsay import HEARSAY_MAX, Hearsay

MANIFEST = make_manifest("ab" * 32, 3 * 65_536, [bytes([number]) * 32 for number in range(3)])


def read_manifest(data: bytes) -> None:
    """What is a manifest is its own encoding, and its layer gives its root."""
    manifest = decode_manifest(data)
    assert manifest.encode() == data
    assert root_of(manifest.layer, manifest.size).hex() == manifest.root
    assert parse_magnet(magnet_of(manifest)).name == manifest.sha256


def read_magnet(data: bytes) -> None:
    """A link as somebody pasted it."""
    parse_magnet(data.decode("utf-8", "replace"))


def read_value(data: bytes) -> None:
    """A value of the hash table."""
    record = unpacked(data)
    if record is not None and len(record) <= RECORD_BYTES_MAX and packed(record) is not None:
        assert unpacked(packed(record) or b"") == record


def read_addresses(data: bytes) -> None:
    """Addresses that somebody suggested, and what becomes of them."""
    hearsay = Hearsay(with_loopback=bool(data[:1]))
    for text in data.decode("utf-8", "replace").split("\n"):
        hearsay.add(text)
        taken = hearsay.take()
        if taken is not None:
            hearsay.failed(taken)
    assert len(hearsay) <= HEARSAY_MAX


READERS = (read_manifest, read_magnet, read_value, read_addresses)


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    try:
        READERS[data[0] % len(READERS) if data else 0](data[1:])
    except RemoteProtocolError:
        return


def seeds() -> list[bytes]:
    """What the fuzzer starts from."""
    link = magnet_of(MANIFEST, [("127.0.0.1", 6881)]).encode()
    values = [packed(b"record" * 10) or b"", b"z" + bytes(10)]
    groups = ([MANIFEST.encode()], [link], values, [b"ws://8.8.8.8:7780\nwss://[::1]/\nws://a.b:80/c"])
    return [bytes([number]) + seed for number, group in enumerate(groups) for seed in group]


if __name__ == "__main__":
    fuzz(one_input, seeds())
