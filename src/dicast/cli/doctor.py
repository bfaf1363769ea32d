"""`dicast doctor`: what works on this machine, what does not, and how to mend it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from dicast.base.errors import DicastError
from dicast.cli.common import DEFAULTS, NOWHERE, Common, Meeting
from dicast.cli.doctor_checks import (
    Check,
    State,
    local_checks,
    loopback_check,
    node_is_running,
    relay_checks,
)
from dicast.cli.doctor_networks import (
    ON_LAN,
    enabled,
    lan_check,
    nat_check,
    port_checks,
    rehearsal,
    transport_checks,
)
from dicast.cli.exit_codes import Exit
from dicast.cli.output import print_result, printable
from dicast.cli.session import as_the_node, is_running
from dicast.client import AsyncClient
from dicast.daemon.config_schema import Settings
from dicast.daemon.given import given_places, with_given

MARKS = {State.OK: "ok  ", State.WARNING: "warn", State.FAILED: "FAIL"}


def doctor(*, meeting: Meeting = NOWHERE, common: Common = DEFAULTS) -> int:
    """Check models, store, ports, NAT, clock and each network, and run a round. Exit 1 when one fails."""
    settings = asyncio.run(_settings(meeting, common))
    checks: list[Check] = []
    for found in local_checks(settings, common):
        _show(found, checks, common.json)
    asyncio.run(_networks(settings, checks, common))
    if common.json:
        print_result(checks, "", as_json=True)
    return Exit.FAILED if any(check.state is State.FAILED for check in checks) else Exit.DONE


async def _settings(meeting: Meeting, common: Common) -> Settings:
    """Those in force; where a node runs here and nobody says otherwise, what its flags say of meeting."""
    settings = common.load(**meeting.flags()).settings
    if meeting == NOWHERE and await is_running(common):
        with suppress(DicastError):  # a node that does not answer is no reason to check nothing
            told = await AsyncClient(common.paths().state_dir).settings()
            settings = as_the_node(settings, meeting, told)
    return with_given(settings, given_places(settings))


async def _networks(settings: Settings, checks: list[Check], common: Common) -> None:
    runs_here = node_is_running(common.paths())
    for found in port_checks(settings, runs_here):
        _show(found, checks, common.json)
    _show(await nat_check(settings), checks, common.json)
    lan = lan_check(settings)
    _show(lan, checks, common.json)
    ways = [
        *(name for name in enabled(settings) if name != "nostr"),
        *(["lan"] if lan.detail.startswith(ON_LAN) else []),
    ]
    for found in await relay_checks(settings, ways):
        _show(found, checks, common.json)
    transports = await transport_checks(settings, runs_here)
    for found in transports:
        _show(found, checks, common.json)
    working = [found.name for found in transports if found.state is State.OK]
    _show(await loopback_check(settings, rehearsal(settings, working)), checks, common.json)


def _show(found: Check, checks: list[Check], as_json: bool) -> None:
    checks.append(found)
    if as_json:
        return
    line = f"{MARKS[found.state]}  {found.name:<12} {printable(found.detail)}"
    if found.fix and found.state is not State.OK:
        line += f"\n      → {printable(found.fix)}"
    print_result(None, line, as_json=False)
