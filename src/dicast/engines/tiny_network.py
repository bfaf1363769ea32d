"""The embedded model's network: its checked files, and one answer token by token."""

from __future__ import annotations

import hashlib
import struct
from importlib.resources import files
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from dicast.base.codec import decode_loose
from dicast.base.errors import AdapterError
from dicast.engines.tiny_tokenizer import END, Merge, Tokenizer
from dicast.onnx_session import open_session

FOLDER: Final = files("dicast.engines").joinpath("data")
LAYERS: Final = 4
HEADS: Final = 4
HEAD_WIDTH: Final = 40

LIKELY_SHARE: Final = 0.05
"""A token less than this share as likely as the likeliest is never drawn: wordings vary, slips stay out."""

WEIGHT_ONE: Final = 2**40
"""Weights are whole numbers: 1,024 of them sum to 2^50, far from the end of 64 bits."""

DRAW_TAG: Final = b"dicast/tiny/draw/1"


class TinyCard(msgspec.Struct, frozen=True, kw_only=True):
    """What the model declares: its name, reach and domain, the hash of each file, accuracy in 1/10,000."""

    name: str
    context_tokens: int
    domain: str
    temperature_milli: int
    prompt: str
    files: dict[str, str]
    families: dict[str, int]
    accuracy_bp: int


def read_card() -> TinyCard:
    """What `tiny.json` says."""
    return msgspec.convert(decode_loose(FOLDER.joinpath("tiny.json").read_bytes()), TinyCard)


class TinyNetwork:
    """The loaded network and its tokenizer; safe to use from several threads."""

    def __init__(self, card: TinyCard) -> None:
        """Load the files. Raises AdapterError `model_damaged`, `engine_failed`."""
        self.card = card
        merges: list[Merge] = msgspec.json.decode(
            _checked(card, "tokenizer.json"), type=dict[str, list[Merge]]
        )["merges"]
        self.tokenizer = Tokenizer(merges)
        self._session = _session(_checked(card, "onnx"))

    def run(self, tokens: list[int], position: int, past: npt.NDArray[np.float32]) -> list[Any]:
        """The logits after the last of `tokens`, and the cache with them in it."""
        feeds = {
            "tokens": np.array(tokens, dtype=np.int64),
            "positions": np.arange(position, position + len(tokens), dtype=np.int64),
            "past": past,
        }
        try:
            return self._session.run(None, feeds)
        except Exception as error:  # onnxruntime raises a dozen private classes
            raise AdapterError("engine_failed", f"onnxruntime failed: {error}") from error


class Decoder:
    """One answer in the making: the same question, temperature and seed give the same tokens."""

    def __init__(self, network: TinyNetwork, question: list[int], temperature_milli: int, seed: int) -> None:
        self._network = network
        self._pending = question
        self._position = 0
        self._past = np.zeros((2 * LAYERS, HEADS, 0, HEAD_WIDTH), dtype=np.float32)
        self._temperature = temperature_milli / 1000
        self._seed = seed.to_bytes(32, "big", signed=True)
        self.ended = False

    def advance(self, count: int) -> list[int]:
        """Up to `count` further tokens; fewer when the answer or the context ends."""
        made: list[int] = []
        while len(made) < count and not self.ended:
            token = self._next()
            self.ended = self.ended or token == END
            if token != END:
                made.append(token)
        return made

    def _next(self) -> int:
        logits, self._past = self._network.run(self._pending, self._position, self._past)
        self._position += len(self._pending)
        draw = hashlib.sha256(DRAW_TAG + self._seed + struct.pack(">I", self._position)).digest()
        token = choose(logits[0], self._temperature, int.from_bytes(draw[:8], "big"))
        self._pending = [token]
        self.ended = self._position >= self._network.card.context_tokens
        return token


def choose(logits: npt.NDArray[np.float32], temperature: float, draw: int) -> int:
    """The token that a 64-bit `draw` picks; the likeliest at temperature 0."""
    exact = logits.astype(np.float64)
    behind = exact - exact.max()
    if temperature <= 0:
        return int(behind.argmax())
    candidates = np.flatnonzero(behind >= np.log(LIKELY_SHARE))
    weights = (np.exp(behind[candidates] / temperature) * WEIGHT_ONE).astype(np.int64)
    edges = np.cumsum(weights)
    return int(candidates[np.searchsorted(edges, draw * int(edges[-1]) >> 64, side="right")])


def _checked(card: TinyCard, ending: str) -> bytes:
    name = f"{card.name}.{ending}"
    try:
        content = FOLDER.joinpath(name).read_bytes()
    except OSError as error:
        raise AdapterError(
            "model_damaged", f"Cannot read {name}: {error}.", "Install dicast again."
        ) from error
    if hashlib.sha256(content).hexdigest() != card.files[name]:
        raise AdapterError(
            "model_damaged", f"{name} is not the file that was published.", "Install dicast again."
        )
    return content


def _session(graph: bytes) -> Any:
    try:
        return open_session(graph)
    except Exception as error:  # onnxruntime raises a dozen private classes
        raise AdapterError("engine_failed", f"onnxruntime refused the model: {error}") from error
