"""`dicast judge` on the command line; the command itself is in `cli/judge.py`."""

from __future__ import annotations

from dicast.cli.common import DEFAULTS, Common, OrStandardInput


def judge(case: OrStandardInput, /, *, common: Common = DEFAULTS) -> int:
    """Compute the verdict of a case file, the same bytes everywhere. Exit 0 accepted, 3 undetermined.

    Parameters
    ----------
    case
        A JSON file; - reads standard input.
    """
    from dicast.cli.judge import judge_command

    return judge_command(case, as_json=common.json)
