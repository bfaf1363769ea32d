"""`dicast doctor`: what works on this machine, what does not, and how to mend it."""

from __future__ import annotations

import asyncio

from dicast.cli.common import DEFAULTS, NOWHERE, Common, Meeting
from dicast.cli.doctor_checks import Check, State, local_checks, loopback_check, relay_checks
from dicast.cli.exit_codes import Exit
from dicast.cli.output import print_result, printable

MARKS = {State.OK: "ok  ", State.WARNING: "warn", State.FAILED: "FAIL"}


def doctor(*, meeting: Meeting = NOWHERE, common: Common = DEFAULTS) -> int:
    """Check models, store, socket, relays and clock, and run a round of one. Exit 1 when a check fails."""
    settings = common.load(**meeting.flags()).settings
    checks: list[Check] = []
    for found in local_checks(settings, common):
        _show(found, checks, common.json)
    for found in asyncio.run(relay_checks(settings)):
        _show(found, checks, common.json)
    _show(asyncio.run(loopback_check(settings)), checks, common.json)
    if common.json:
        print_result(checks, "", as_json=True)
    return Exit.FAILED if any(check.state is State.FAILED for check in checks) else Exit.DONE


def _show(found: Check, checks: list[Check], as_json: bool) -> None:
    checks.append(found)
    if as_json:
        return
    line = f"{MARKS[found.state]}  {found.name:<12} {printable(found.detail)}"
    if found.fix and found.state is not State.OK:
        line += f"\n      → {printable(found.fix)}"
    print_result(None, line, as_json=False)
