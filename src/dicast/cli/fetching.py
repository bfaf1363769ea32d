"""A blob for a command, from everywhere that it can be asked of."""

from __future__ import annotations

from dicast.cli.common import Common
from dicast.cli.percent import Percent
from dicast.cli.session import is_running
from dicast.client import AsyncClient
from dicast.content.fetch import Fetched
from dicast.daemon import builtin_content
from dicast.daemon.builtin_content import Wanted


async def fetched_from_all(wanted: Wanted, common: Common, shown: Percent, *, pin: bool) -> Fetched:
    """A blob from whatever was named, configured or met. Raises DicastError."""
    if await is_running(common):
        client = AsyncClient(common.paths().state_dir)
        wanted = await builtin_content.also_from(wanted, await client.status(), await client.peers())
    return await builtin_content.fetch(common.load().settings, common.paths(), wanted, shown.show, pin)
