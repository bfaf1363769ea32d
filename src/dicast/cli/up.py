"""`dicast up`: run a node here until it is stopped."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

from dicast.addresses import without_user
from dicast.base.errors import AdapterError
from dicast.base.nip19 import encode_npub
from dicast.cli.common import DEFAULTS, MEETING, Common, Meeting, Repeated
from dicast.cli.dashboard import Dashboard, dashboard_problem, free_port
from dicast.cli.exit_codes import Exit
from dicast.cli.gateway import LISTENING
from dicast.cli.public_relays import with_public_relays
from dicast.daemon.compose import Composed
from dicast.daemon.config_schema import Settings
from dicast.daemon.lan import Lan, with_lan
from dicast.daemon.logs import Log
from dicast.daemon.private_network import network_in_words
from dicast.daemon.report_log import log_reports
from dicast.daemon.running import running_node
from dicast.daemon.settings_view import Origins
from dicast.daemon.tickets import accept


@Parameter(name="*", group=MEETING)
@dataclass(frozen=True)
class FirstMeeting(Meeting):
    """What a node connects to, the local network and the relays named and nothing else, and its pages."""

    join: Annotated[tuple[str, ...], Repeated] = ()
    "A ticket from `dicast invite`; as with `dicast join`, it is kept."
    lan: bool | None = None
    "Find others on the local network by multicast (the default); only on private addresses."
    public: Annotated[bool, Parameter(negative="")] = False
    "Also use a built-in list of public relays; says first which, and what they will see."
    yes: Annotated[bool, Parameter(negative="")] = False
    "Agree to --public without being asked."

    dashboard: Annotated[bool | None, Parameter(group=LISTENING)] = None
    "Serve the dashboard on this machine (the default), as `dicast gateway` does."
    dashboard_port: Annotated[int | None, Parameter(group=LISTENING)] = None
    "The dashboard's port; when another program has it, a free one."

    def flags(self) -> dict[str, object]:
        """What was given, as settings."""
        pages = {"dashboard": self.dashboard, "dashboard_port": self.dashboard_port}
        return {**super().flags(), "lan": self.lan, **pages}


HERE = FirstMeeting()
"""What `up` has when nothing was said."""


def up(
    *,
    role: Annotated[tuple[Literal["worker", "validator"], ...], Repeated] = (),
    follow: Annotated[bool, Parameter(negative="")] = False,
    slots: int | None = None,
    meeting: FirstMeeting = HERE,
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
    for ticket in meeting.join:
        accept(common.paths(), ticket)
    loaded = common.load(**meeting.flags(), slots=slots, roles=roles)
    settings = loaded.settings
    if meeting.public:
        settings = with_public_relays(settings, is_agreed=meeting.yes)
    return asyncio.run(_run(settings, common, loaded.origins))


async def _run(settings: Settings, common: Common, origins: Origins) -> int:
    log = Log(settings.log.level, settings.log.as_json)
    settings, lan = with_lan(settings)
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with running_node(settings, common.paths(), common.password(), log, listen=True) as composed:
        composed.service.origins = origins
        _say_lan(lan, log)
        _say_ready(composed, settings, common, log)
        serving = asyncio.create_task(_serve_pages(settings, common, log))
        ended = asyncio.create_task(composed.driver.ended.wait())
        stopped = asyncio.create_task(stopping.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopping.is_set():
            log.info("stopping")
        for waiting in (ended, stopped, serving):
            waiting.cancel()
        await asyncio.gather(serving, return_exceptions=True)
    return Exit.DONE


async def _serve_pages(settings: Settings, common: Common, log: Log) -> None:
    """Serve the dashboard until this is cancelled. A node without one is a node."""
    problem = dashboard_problem() if settings.dashboard else "switched off"
    if problem:
        log.info("no_dashboard", reason=problem)
        return
    port = await asyncio.to_thread(free_port, settings.dashboard_port)
    pages = Dashboard(common.paths().state_dir, port, config=common.config)
    try:
        log.info("dashboard", url=await pages.start(), off="--no-dashboard")
        await asyncio.Event().wait()
    except AdapterError as error:
        log.warning("no_dashboard", reason=error.message, hint=error.next_step)
    finally:
        await pages.stop()


def _say_lan(lan: Lan, log: Log) -> None:
    if lan.addresses:
        others = "whoever is on these networks can connect; packets are signed"
        log.info("lan", on=",".join(lan.addresses), note=others, off="--no-lan")
    else:
        log.info("no_lan", reason=lan.problem)


def _say_ready(composed: Composed, settings: Settings, common: Common, log: Log) -> None:
    log_reports(composed.driver.reports, log)
    if not composed.driver.transports.lanes:
        log.warning("alone", hint="neither a relay nor a LAN, so nobody else is heard: --relay URL")
    log.info(
        "ready",
        npub=encode_npub(composed.driver.node.node_id),
        network=network_in_words(settings),
        roles=",".join(composed.offers.roles) or "none",
        models=",".join(composed.driver.models) or "none",
        embedders=",".join(composed.offers.embedders) or "none",
        relays=",".join(map(without_user, settings.relays)) or "none",
        state_dir=common.paths().state_dir,
    )
