"""The command line: finds the command, runs it, and turns an error into an exit code."""

from __future__ import annotations

import difflib

from dicast.base.errors import DicastError
from dicast.cli.commands import COMMANDS, EPILOGUE, GROUPS, SUMMARY
from dicast.cli.exit_codes import Exit, exit_of
from dicast.cli.output import print_error


def run(words: list[str]) -> int:
    """Run one command line; prints errors and returns the exit code."""
    as_json = "--json" in words
    if not words[0].startswith("-") and words[0] not in COMMANDS:
        close = difflib.get_close_matches(words[0], COMMANDS, n=1)
        hint = f"Did you mean `dicast {close[0]}`?" if close else "`dicast --help` lists the commands."
        print_error("usage", f"There is no command {words[0]!r}.", hint, as_json)
        return Exit.USAGE
    try:
        return _dispatch(words, as_json)
    except DicastError as error:
        print_error(error.code, error.message, error.next_step, as_json)
        return exit_of(error)
    except KeyboardInterrupt:
        print_error("interrupted", "Interrupted.", "", as_json)
        return Exit.INTERRUPTED


def _dispatch(words: list[str], as_json: bool) -> int:
    from cyclopts import App, CycloptsError, Group

    app = App(
        name="dicast",
        help=SUMMARY,
        help_epilogue=EPILOGUE,
        help_format="plaintext",
        group_commands=Group("Other", sort_key=9),
        result_action="return_value",
    )
    for title, commands in GROUPS.items():
        group = Group(title)
        for command in commands:
            app.command(f"dicast.cli.{command.place}", name=command.name, group=group, help=command.line)
    try:
        outcome = app(words, print_error=False, exit_on_error=False)
    except CycloptsError as error:
        hint = f"`dicast {words[0]} --help` lists its options."
        print_error("usage", " ".join(str(error).split()), hint, as_json)
        return Exit.USAGE
    return outcome if isinstance(outcome, int) else Exit.DONE
