"""The voting embedder `minilm-l6-v2/381`: sign bits of MiniLM's mean vector (spec/08)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

import numpy as np

from dicast.base.errors import AdapterError, Rejection
from dicast.consensus.wordpiece import windows
from dicast.embedders.minilm_reference import HIDDEN, ORDERED, QUICK, Matrix, MiniLmReference
from dicast.embedders.weights import MINILM, check_weights, find_weights, missing
from dicast.onnx_session import open_session

NAME: Final = "minilm-l6-v2/381"
CLS: Final = 101
SEP: Final = 102
DEAD_COMPONENTS: Final = (127, 223, 319)  # about 0 for every text: their sign is noise
BITS: Final = HIDDEN - len(DEAD_COMPONENTS)
FLOAT32_MARGIN: Final = 2.0**-20  # of the length-1 vector: over 10× the largest float32 error seen
FLOAT64_MARGIN: Final = 2.0**-40  # of the length-1 vector: about 1,000× the float64 error in any order
BATCH_TOKENS_MAX: Final = 512  # bounds the memory of a batch; more gains no speed on a CPU
TEXTS_REMEMBERED: Final = 1024  # a member embeds its own answer twice, and agreeing answers are often equal
_LIVE = np.array([index for index in range(HIDDEN) if index not in DEAD_COMPONENTS])


class MiniLmEmbedder:
    """Packed sign bits: float32 where it is sure, the float64 reference where a component is near 0.

    Loads at once: raises AdapterError `embedder_missing` or `weights_wrong`. May be shared by threads.
    """

    name = NAME
    bits = BITS

    def __init__(self, path: Path | None = None, threads: int = 1) -> None:
        found = path or find_weights()
        if found is None:
            raise missing()
        check_weights(found)
        self._session = _open_session(found, threads)
        self._reference = MiniLmReference(found)
        self._remembered: dict[bytes, bytes] = {}  # replaced whole, never changed: threads share it

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """48 bytes a text; the text is what `embedding_text` gives. Raises AdapterError `text_too_long`."""
        remembered = self._remembered
        keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in remembered}
        found = dict(
            zip(new, self.embed_windows([framed_windows(text) for text in new.values()]), strict=True)
        )
        results = [found.get(key) or remembered[key] for key in keys]
        self._remembered = dict(list((remembered | found).items())[-TEXTS_REMEMBERED:])
        return results

    def embed_windows(self, texts: Sequence[Sequence[Sequence[int]]]) -> list[bytes]:
        """The same for texts that are already word pieces in windows with [CLS] and [SEP]."""
        flat = [window for text in texts for window in text]
        sums = self.float32_sums(flat)
        results: list[bytes] = []
        for text in texts:
            total = np.array([next(sums) for _ in text]).sum(axis=0)
            results.append(self._bits(total, text))
        return results

    def _bits(self, total: Matrix, text: Sequence[Sequence[int]]) -> bytes:
        if not is_sure(total, FLOAT32_MARGIN):
            total = self._reference.mean_vector(text, QUICK)
            if not is_sure(total, FLOAT64_MARGIN):
                total = self._reference.mean_vector(text, ORDERED)
        return pack_signs(total)

    def float32_sums(self, flat: Sequence[Sequence[int]]) -> Iterator[Matrix]:
        """The summed token vectors of each window; windows of one length share a run, so none is padded."""
        sums: list[Matrix] = [np.empty(0)] * len(flat)
        for chosen in _batches(flat):
            ids = np.array([flat[index] for index in chosen], dtype=np.int64)
            (rows,) = self._session.run(["sums"], {"ids": ids})
            for index, row in zip(chosen, np.asarray(rows, dtype=np.float64), strict=True):
                sums[index] = row
        return iter(sums)


def framed_windows(text: str) -> list[list[int]]:
    """The text's word pieces in windows of 254, each between [CLS] and [SEP]."""
    try:
        return [[CLS, *window, SEP] for window in windows(text)]
    except Rejection as error:
        raise AdapterError(error.code, error.message, error.next_step) from error


def is_sure(vector: Matrix, margin: float) -> bool:
    """Whether every live component of the vector, scaled to length 1, is farther than `margin` from 0."""
    length = float(np.sqrt(np.sum(vector * vector)))
    return bool(np.min(np.abs(vector[_LIVE])) > margin * length)


def pack_signs(vector: Matrix) -> bytes:
    """One bit a live component, 1 when it is > 0; first component in the highest bit, padded with 0."""
    return np.packbits(vector[_LIVE] > 0.0).tobytes()


def _batches(flat: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    by_length: dict[int, list[int]] = {}
    for index, window in enumerate(flat):
        by_length.setdefault(len(window), []).append(index)
    for length, indices in by_length.items():
        size = max(1, BATCH_TOKENS_MAX // length)
        for start in range(0, len(indices), size):
            yield indices[start : start + size]


def _open_session(path: Path, threads: int) -> Any:
    """The graph from the wheel over the numbers in the weights file, which is mapped, not copied."""
    if path.name != MINILM.file:
        message = f"The weights file must be called {MINILM.file}, not {path.name}."
        raise AdapterError(
            "weights_wrong", message, f"Rename it, or run `dicast models get minilm --from {path}`."
        )
    entries = {
        "session.model_external_initializers_file_folder_path": str(path.parent),
        "session.intra_op.allow_spinning": "0",  # idle threads must not burn a core
    }
    graph = resources.files("dicast.embedders").joinpath("data/minilm.onnx").read_bytes()
    try:
        # The arena keeps the largest batch's memory for ever.
        return open_session(graph, threads=threads, keeps_arena=False, entries=entries)
    except Exception as error:  # onnxruntime raises a dozen private classes
        raise AdapterError("weights_wrong", f"onnxruntime refused {path}: {error}") from error
