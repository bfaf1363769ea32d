"""The one place that loads onnxruntime, so that it is told to report nothing before it is loaded."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

SILENCE: Final = ("ORT_DISABLE_TELEMETRY", "1")
"""Read once, when onnxruntime loads; its own call for the same thing comes too late: without this, it keeps a
device id and a queue of events in the home folder and looks for its maker's server."""
_NO_ENTRIES: Final[Mapping[str, str]] = MappingProxyType({})


def silence() -> None:
    """Keep onnxruntime from reporting to its maker: no file, no connection."""
    name, value = SILENCE
    os.environ[name] = value


def open_session(
    graph: bytes, *, threads: int = 1, keeps_arena: bool = True, entries: Mapping[str, str] = _NO_ENTRIES
) -> Any:
    """A session on the processor. Raises whatever onnxruntime raises: a dozen private classes."""
    silence()
    import onnxruntime  # loading takes 0.1 s: only who runs a network pays it

    ort: Any = onnxruntime  # ships no usable types
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = keeps_arena
    options.log_severity_level = 3
    for name, value in entries.items():
        options.add_session_config_entry(name, value)
    return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
