"""NIP-44 with nostr-tools, which pages use: the same keys, the same bytes, in both directions."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from dicast.base.crypto import KeyPair
from dicast.base.nip44 import conversation_key, seal, unseal

NODE = Path(__file__).parent / "node"
ALICE, BOB = KeyPair.from_seed(b"alice"), KeyPair.from_seed(b"bob")
TEXTS = ("a", "x" * 31, "x" * 32, "x" * 33, "Ärger €", "{" * 300, "x" * 32_768, "x" * 65_000)


def test_nostr_tools_opens_and_seals_the_same_bytes() -> None:
    key, questions = conversation_key(ALICE, BOB.node_id), []
    for number, text in enumerate(TEXTS):
        nonce = bytes([number]) * 32
        questions.append(
            {
                "secret": BOB.secret.hex(),
                "peer": ALICE.node_id,
                "payload": seal(text.encode(), key, nonce),
                "text": text,
                "nonce": nonce.hex(),
            }
        )
    ran = subprocess.run(
        ["node", str(NODE / "nip44.mjs")],
        input="".join(json.dumps(one) + "\n" for one in questions),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    for asked, line in zip(questions, ran.stdout.splitlines(), strict=True):
        answered = json.loads(line)
        assert answered == {"key": key.hex(), "opened": asked["text"], "sealed": asked["payload"]}
        assert unseal(answered["sealed"], key).decode() == asked["text"]
