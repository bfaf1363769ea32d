"""`dicast gateway`: OpenAI's and Anthropic's HTTP interfaces over the node that runs here."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Annotated

from cyclopts import Group, Parameter

from dicast.base.errors import ConfigurationError
from dicast.cli.common import DEFAULTS, Common, Repeated
from dicast.cli.exit_codes import Exit
from dicast.daemon import api
from dicast.daemon.asking import check_options

LISTENING = Group("Where to serve", sort_key=2)


@Parameter(name="*", group=LISTENING)
@dataclass(frozen=True)
class Listening:
    """Where to serve, and whom."""

    host: str = "127.0.0.1"
    "The IP address to listen on."
    port: int = 8080
    "The port; 0 takes a free one."
    public: Annotated[bool, Parameter(negative="")] = False
    "Allow an address that other machines can reach; everybody then needs a key."
    allow_host: Annotated[tuple[str, ...], Repeated] = ()
    "Another name by which clients may call the gateway; may be given several times."
    signaller: Annotated[tuple[str, ...], Repeated] = ()
    "A signaller whose documents may be followed over the WebSocket; may be given several times."
    telemetry: str = ""
    "Send traces to the OpenTelemetry collector at this address, such as http://127.0.0.1:4318."


LOOPBACK = Listening()
"""Where the gateway is served when nothing else was said."""


def gateway(*, listening: Listening = LOOPBACK, preset: str | None = None, common: Common = DEFAULTS) -> int:
    """Serve OpenAI's and Anthropic's HTTP interfaces until Ctrl-C; the address goes to standard output.

    Parameters
    ----------
    preset
        The security frame of requests that name none.
    """
    settings = common.load(ask__preset=preset).settings
    check_options(api.Ask(prompt="?", labels=("yes", "no")), settings.ask)  # labels suit every preset
    try:
        from dicast.gateway.server import Address, run_gateway
    except ImportError as error:
        raise ConfigurationError(
            "gateway_missing", "The gateway is not installed here.", "Run: pip install 'dicast[gateway]'"
        ) from error
    address = Address(
        host=listening.host,
        port=listening.port,
        is_public=listening.public,
        names=listening.allow_host,
        signallers=listening.signaller,
        telemetry=listening.telemetry,
    )
    asyncio.run(run_gateway(common.paths().state_dir, address, settings, _say))
    return Exit.DONE


def _say(url: str) -> None:
    sys.stdout.write(f"listening on {url}\n")
    sys.stdout.flush()
