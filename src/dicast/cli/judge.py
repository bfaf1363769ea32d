"""`dicast judge CASE.json`: the verdict of a case, byte for byte as every other implementation prints it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

from dicast.base.limits import CASE_BYTES_MAX
from dicast.consensus.case import CaseError
from dicast.consensus.judge import judge, parse_case
from dicast.consensus.reasons import Outcome

ACCEPTED, USAGE, UNDETERMINED = 0, 2, 3
"""Exit statuses."""


def judge_command(path: str, *, as_json: bool = False) -> int:
    """Print the verdict of the case in a file, `-` for standard input; the exit status.

    0 accepted, 3 undetermined, 2 with one line on standard error that names field and reason.
    """
    try:
        case = parse_case(_read(path))
    except CaseError as error:
        return _refused("case_invalid", error.message, as_json)
    except OSError as error:
        return _refused("case_unreadable", f"{path}: {error.strerror or error}", as_json)
    verdict = judge(case)
    sys.stdout.buffer.write(verdict.encode() + b"\n")
    sys.stdout.buffer.flush()
    return ACCEPTED if verdict.outcome is Outcome.ACCEPTED else UNDETERMINED


def _refused(code: str, line: str, as_json: bool) -> int:
    """The line alone, which other implementations print too; with `--json` as every command's error."""
    if as_json:
        from dicast.cli.output import print_error

        print_error(code, line, "", as_json=True)
    else:
        print(line, file=sys.stderr)
    return USAGE


def _read(path: str) -> bytes:
    if path == "-":
        return _bounded(sys.stdin.buffer)
    with Path(path).open("rb") as file:
        return _bounded(file)


def _bounded(file: BinaryIO) -> bytes:
    """One byte more than a case may have is enough to refuse it."""
    return file.read(CASE_BYTES_MAX + 1)


def _main() -> int:
    if len(sys.argv) != 2:
        print("case: give one file, or - for standard input", file=sys.stderr)
        return USAGE
    return judge_command(sys.argv[1])


if __name__ == "__main__":
    sys.exit(_main())
