"""`dicast up`: run a node here until it is stopped."""

from __future__ import annotations

import asyncio
import signal
from typing import Annotated, Literal

from cyclopts import Parameter

from dicast.base.nip19 import encode_npub
from dicast.cli.common import DEFAULTS, NOWHERE, Common, Meeting, Repeated
from dicast.cli.exit_codes import Exit
from dicast.daemon.compose import Composed
from dicast.daemon.config_schema import Settings
from dicast.daemon.logs import Log
from dicast.daemon.private_network import network_in_words
from dicast.daemon.report_log import log_reports
from dicast.daemon.running import running_node


def up(
    *,
    role: Annotated[tuple[Literal["worker", "validator"], ...], Repeated] = (),
    follow: Annotated[bool, Parameter(negative="")] = False,
    slots: int | None = None,
    meeting: Meeting = NOWHERE,
    common: Common = DEFAULTS,
) -> int:
    """Run a node here until it is stopped by Ctrl-C or SIGTERM.

    Parameters
    ----------
    role
        What to offer: worker runs prompts, validator recomputes verdicts; may be given several times.
    follow
        Offer nothing: only ask, and keep the directory.
    slots
        How many prompts to run at once.
    """
    roles: object = () if follow else (role or None)
    settings = common.load(**meeting.flags(), slots=slots, roles=roles).settings
    return asyncio.run(_run(settings, common))


async def _run(settings: Settings, common: Common) -> int:
    log = Log(settings.log.level, settings.log.as_json)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running_node(settings, common.paths(), common.password(), log, listen=True) as composed:
        _say_ready(composed, settings, common, log)
        ended = asyncio.create_task(composed.driver.ended.wait())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            log.info("stopping")
        for waiting in (ended, stopped):
            waiting.cancel()
    return Exit.DONE


def _say_ready(composed: Composed, settings: Settings, common: Common, log: Log) -> None:
    log_reports(composed.driver.reports, log)
    if not composed.driver.transports.lanes:
        log.warning("alone", hint="no relay is named, so nobody else is heard: --relay URL")
    log.info(
        "ready",
        npub=encode_npub(composed.driver.node.node_id),
        network=network_in_words(settings),
        roles=",".join(composed.offers.roles) or "none",
        models=",".join(composed.driver.models) or "none",
        embedders=",".join(composed.offers.embedders) or "none",
        relays=",".join(settings.relays) or "none",
        state_dir=common.paths().state_dir,
    )
