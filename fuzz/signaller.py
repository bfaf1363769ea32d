"""Coverage-guided fuzzing of what a signaller reads: `python fuzz/signaller.py -runs=100000`.

Options are libFuzzer's. A crash is an exception that is not the reader's own.
"""

from __future__ import annotations

import atheris
from harness.loop import fuzz

with atheris.instrument_imports(include=["dicast"]):
    from dicast.base.crypto import KeyPair
    from dicast.base.errors import RemoteProtocolError
    from dicast.queries.document import document_topic, make_document, read_document
    from dicast.queries.language import parse_query
    from dicast.queries.matching import matches
    from dicast.signalling import frames

NOW = 1_790_000_000_000
TOPIC = document_topic("main")
DOCUMENT = make_document(KeyPair.from_seed(b"fuzz".ljust(32)), TOPIC, b'{"a":[1,"x",{"b":null}]}', NOW)
SEEDS = (
    b'0{"do":"subscribe","id":"q","query":{"a.0":{"$in":[1,"x"]},"$or":[{"b":1}]},"backlog":true}',
    b'0{"do":"introduce","to":"0123456789abcdef.7","body":"offer"}',
    b'1{"id":"0123456789abcdef","url":"ws://a","mesh":"tcp/a:1","clients":1,"peers":[]}',
    b'2{"client":1,"sender":"0123456789abcdef.7","name":"","body":"x"}',
    b'3{"a":{"$contains":1,"$not":{"$gte":"x"}},"$and":[{"c":{"$exists":false}}]}',
    b"4" + DOCUMENT.wire,
)


def one_input(data: bytes) -> None:
    """The first byte chooses the reader."""
    reader, rest = data[:1], data[1:]
    try:
        if reader == b"1":
            frames.read_card(rest)
        elif reader == b"2":
            frames.read_handed(rest)
        elif reader == b"3":
            matches(parse_query(rest), DOCUMENT.value)
        elif reader == b"4":
            read_document(rest, TOPIC, NOW)
        else:
            call = frames.read_call(rest)
            if isinstance(call, frames.Subscribe):
                parse_query(bytes(call.query))
    except RemoteProtocolError:
        return


if __name__ == "__main__":
    fuzz(one_input, SEEDS)
