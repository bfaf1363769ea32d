"""What every endpoint works with, and how its errors become answers."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from dicast.base.errors import DicastError
from dicast.client import AsyncClient
from dicast.client_channel import EventSink
from dicast.daemon.logs import Log
from dicast.gateway.asking import Agreed, Asker, Wanted
from dicast.gateway.bodies import BODY_TIMEOUT_S
from dicast.gateway.errors import GatewayError, invalid, of_node
from dicast.gateway.flow import Telling
from dicast.gateway.guard import Caller, dialect_of
from dicast.gateway.metrics import Metrics
from dicast.gateway.replies import (
    KEEP_ALIVE_S,
    AnswerStream,
    ClientGoneError,
    Watching,
    error_response,
    while_connected,
)
from dicast.signalling.client import Signallers

if TYPE_CHECKING:
    from dicast.gateway.batches import Batches

Endpoint = Callable[[Request], Awaitable[Response]]


class Budgets(NamedTuple):
    """How long the gateway waits for bodies, and how often it says that it is still there."""

    body_s: float = BODY_TIMEOUT_S
    keep_alive_s: float = KEEP_ALIVE_S


class Parts(NamedTuple):
    """What every endpoint works with."""

    client: AsyncClient
    asker: Asker
    metrics: Metrics
    log: Log
    budgets: Budgets = Budgets()
    signallers: Signallers | None = None
    """Where documents are published and followed; None where the gateway knows nobody."""
    batches: Batches | None = None
    """None where there is no folder to keep them in."""
    blob: Callable[[str], Awaitable[Path]] | None = None
    """Gets a blob by its name, from wherever it may be; None where none are kept."""

    async def agreed(self, request: Request, wanted: Wanted) -> Agreed:
        """The network's answer, while the client is there and its key is good."""
        agreed = await while_connected(request.receive, self.asker.ask(wanted))
        caller_of(request).check()
        return agreed

    async def stream(self, request: Request, wanted: Wanted, telling: Telling) -> Response:
        """A stream that ends with the agreed answer; what is impossible is refused before it begins."""
        await self.asker.check(wanted)

        def work(on_event: EventSink) -> Coroutine[Any, Any, Agreed]:
            return self._logged(self.asker.ask(wanted, on_event))

        check, count = caller_of(request).check, self.metrics.count_error
        return AnswerStream(work, telling, Watching(check, count, self.budgets.keep_alive_s))

    async def _logged(self, work: Coroutine[Any, Any, Agreed]) -> Agreed:
        """A failure of our own is told as such: a stream cannot change its status any more."""
        try:
            return await work
        except GatewayError:
            raise
        except Exception as error:
            raise self.bug(error) from error

    def bug(self, error: Exception) -> GatewayError:
        """Our own mistake, in the log and as an error."""
        self.log.error("bug", error=repr(error), trace="".join(traceback.format_exception(error)))
        return GatewayError("internal_error", "The gateway failed to answer; its log says why.")

    def answering(self, endpoint: Endpoint) -> Endpoint:
        """The endpoint, its errors as answers in its dialect."""

        async def answered(request: Request) -> Response:
            try:
                return await endpoint(request)
            except ClientGoneError:
                return Response(status_code=499)
            except GatewayError as error:
                refusal = error
            except DicastError as error:
                refusal = of_node(error)
            except Exception as error:
                refusal = self.bug(error)
            self.metrics.count_error(refusal.code)
            response = error_response(refusal, dialect_of(request.scope))
            if refusal.code in {"body_too_slow", "body_too_large"}:
                response.headers["connection"] = "close"
            return response

        return answered


def caller_of(request: Request) -> Caller:
    """Who asks, as the guard found."""
    return request.scope["dicast_caller"]


def limit_of(request: Request, usual: int, most: int) -> int:
    """How many of a list are wanted. Raises GatewayError."""
    limit = request.query_params.get("limit", str(usual))
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= most:
        raise invalid("limit", f"is a number from 1 to {most}.")
    return int(limit)
