"""How far the downloads of model files are, read off the files: another process may be loading them."""

from __future__ import annotations

from collections.abc import Sequence

from dicast.daemon.tellings import DownloadMoved
from dicast.embedders.weights import MINILM, WeightsFile, cached_path, find_weights

FILES: tuple[WeightsFile, ...] = (MINILM,)
"""Every file that Dicast fetches itself."""


def downloads(files: Sequence[WeightsFile] = FILES) -> tuple[DownloadMoved, ...]:
    """Each file: ready, loading (or stopped half way), or missing."""
    return tuple(map(_state_of, files))


def _state_of(weights: WeightsFile) -> DownloadMoved:
    if find_weights(weights) is not None:
        return DownloadMoved(weights.name, "ready", weights.size, weights.size)
    path = cached_path(weights)
    try:
        done = path.with_name(path.name + ".part").stat().st_size
    except OSError:
        return DownloadMoved(weights.name, "missing", 0, weights.size)
    return DownloadMoved(weights.name, "loading", min(done, weights.size), weights.size)
