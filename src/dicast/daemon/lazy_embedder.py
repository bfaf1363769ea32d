"""An embedder that is loaded when it is first needed, so that a node that never votes pays nothing for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from dicast.ports import Embedder


class LazyEmbedder:
    """Known by name and bits; `load` or the first `embed` makes the real one, and may raise AdapterError."""

    def __init__(self, name: str, bits: int, make: Callable[[], Embedder]) -> None:
        self.name = name
        self.bits = bits
        self._make = make
        self._lock = threading.Lock()
        self._embedder: Embedder | None = None

    def load(self) -> Embedder:
        """The real embedder; made once."""
        with self._lock:
            if self._embedder is None:
                self._embedder = self._make()
            return self._embedder

    def embed(self, texts: Sequence[str]) -> list[bytes]:
        """See `Embedder.embed`."""
        return self.load().embed(texts)
