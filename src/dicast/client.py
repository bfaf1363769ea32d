"""The Python API: `dicast.Client` and `dicast.AsyncClient` speak to the node that runs on this machine."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

from dicast.client_channel import Channel, EventSink, SocketChannel
from dicast.daemon import api
from dicast.daemon.paths import state_paths
from dicast.protocol.messages import Admission, Message
from dicast.protocol.outputs import Report

T = TypeVar("T")
Event = Report | api.ReportsDropped


class AskKeywords(TypedDict, total=False):
    """What `ask` takes beside the prompt; what is left out is as the node's configuration says."""

    system: str
    history: tuple[Message, ...]
    preset: str
    quorum: int
    seats: int
    sec_distance: float
    sec_percentage: float
    timeout_s: float
    reveal_s: float
    attempts: int
    max_tokens: int
    temperature: float
    models: tuple[str, ...]
    members: tuple[str, ...]
    labels: tuple[str, ...]
    exact: tuple[str, ...]
    fuzzy: tuple[str, ...]
    schema: str
    admission: Admission


class AsyncClient:
    """Speaks to the node running on a state folder. Every method may raise `DicastError`.

    `node_not_running` means that nothing listens there: start `dicast up`.
    """

    def __init__(self, state_dir: str | Path | None = None, *, channel: Channel | None = None) -> None:
        folder = None if state_dir is None else Path(state_dir)
        self._channel = channel or SocketChannel(state_paths(folder).socket)

    async def ask(
        self, prompt: str, *, on_event: EventSink | None = None, **options: Unpack[AskKeywords]
    ) -> api.Answer:
        """Ask and wait for the verdict, accepted or undetermined; cancelling cancels the round."""
        return await self._channel.call(api.Ask(prompt=prompt, **options), api.Answer, on_event)

    async def plan(self, prompt: str, **options: Unpack[AskKeywords]) -> api.PlanResult:
        """What asking would mean: seats, and how often the frame errs. Sends nothing."""
        return await self._channel.call(api.Plan(prompt=prompt, **options), api.PlanResult)

    async def rounds(self) -> tuple[api.RoundRecord, ...]:
        """Open rounds, and rounds whose certificate is stored."""
        return await self._channel.call(api.Rounds(), tuple[api.RoundRecord, ...])

    async def certificate(self, request_id: str) -> bytes:
        """The stored certificate of a round, as one would save it to a file."""
        return (await self._channel.call(api.Certificate(request_id), api.CertificateResult)).certificate

    async def peers(self) -> tuple[api.PeerRecord, ...]:
        """The nodes that this node knows."""
        return await self._channel.call(api.Peers(), tuple[api.PeerRecord, ...])

    async def status(self) -> api.StatusResult:
        """How the node is doing."""
        return await self._channel.call(api.Status(), api.StatusResult)

    def events(self, *, noisy: bool = False) -> AsyncIterator[Event]:
        """Every report of the node from now on; `noisy` includes refused packets."""
        return self._channel.events(api.Events(noisy=noisy))


class Client:
    """The same calls for programs that do not use asyncio; a thread of its own does the waiting."""

    def __init__(self, state_dir: str | Path | None = None) -> None:
        self._client = AsyncClient(state_dir)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="dicast-client", daemon=True)
        self._thread.start()

    def ask(
        self, prompt: str, *, on_event: EventSink | None = None, **options: Unpack[AskKeywords]
    ) -> api.Answer:
        """Ask and wait for the verdict; Ctrl-C cancels the round. `on_event` runs in the thread."""
        return self._wait(self._client.ask(prompt, on_event=on_event, **options))

    def plan(self, prompt: str, **options: Unpack[AskKeywords]) -> api.PlanResult:
        """What asking would mean. Sends nothing."""
        return self._wait(self._client.plan(prompt, **options))

    def rounds(self) -> tuple[api.RoundRecord, ...]:
        """Open rounds, and rounds whose certificate is stored."""
        return self._wait(self._client.rounds())

    def certificate(self, request_id: str) -> bytes:
        """The stored certificate of a round."""
        return self._wait(self._client.certificate(request_id))

    def peers(self) -> tuple[api.PeerRecord, ...]:
        """The nodes that this node knows."""
        return self._wait(self._client.peers())

    def status(self) -> api.StatusResult:
        """How the node is doing."""
        return self._wait(self._client.status())

    def events(self, *, noisy: bool = False) -> Iterator[Event]:
        """Every report of the node from now on, until the loop over it is left."""
        stream = self._client.events(noisy=noisy)
        try:
            while True:
                event = self._wait(_next_or_none(stream))
                if event is None:
                    return
                yield event
        finally:
            self._wait(_close(stream))

    def close(self) -> None:
        """End the thread; harmless when repeated."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise


async def _next_or_none(stream: AsyncIterator[Event]) -> Event | None:
    return await anext(stream, None)


async def _close(stream: AsyncIterator[Event]) -> None:
    close: Callable[[], Coroutine[Any, Any, None]] | None = getattr(stream, "aclose", None)
    if close is not None:
        await close()


__all__ = ["AskKeywords", "AsyncClient", "Client", "Event"]
