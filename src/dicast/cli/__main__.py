"""The entry of `dicast`: answers `--version` and `--help` before anything heavy is imported."""

from __future__ import annotations

import os
import sys

from dicast.cli.streams import give_up_output, is_about_output, open_missing

VERSION_WORDS = ("--version", "-V")
HELP_WORDS = ("--help", "-h", "help")


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # whatever loads onnxruntime in this process: see onnx_session
    open_missing()
    try:
        code = _run(sys.argv[1:] if arguments is None else arguments)
        sys.stdout.flush()
    except OSError as error:
        if not is_about_output(error):
            raise
        return give_up_output(error)
    return code


def _run(words: list[str]) -> int:
    if len(words) == 1 and words[0] in VERSION_WORDS:
        from dicast.version import VERSION

        sys.stdout.write(f"dicast {VERSION}\n")
        return 0
    if not words or (len(words) == 1 and words[0] in HELP_WORDS):
        from dicast.cli.commands import help_text

        sys.stdout.write(help_text())
        return 0 if words else 2
    # Before numpy loads: threads of its own make small matrices slower where many nodes share a machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from dicast.cli.application import run

    return run(words)


if __name__ == "__main__":
    sys.exit(main())
