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
from dicast.daemon.history import HistoryPage, Papers, Wanted
from dicast.daemon.paths import state_paths
from dicast.daemon.settings_view import SettingRecord
from dicast.daemon.tellings import LogLine, Told
from dicast.protocol.messages import Admission, Message

T = TypeVar("T")
Event = Told | api.ReportsDropped
NEWEST = Wanted()


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
    encrypted: bool
    stream: bool


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

    async def history(self, wanted: Wanted = NEWEST) -> HistoryPage:
        """The rounds that are wanted, newest first, and the cursor of those before."""
        return await self._channel.call(api.History(wanted), HistoryPage)

    async def round(self, request_id: str) -> Papers:
        """Everything about one round: its signed packets, and its verdict if there is one."""
        return await self._channel.call(api.Round(request_id), Papers)

    async def logs(self, limit: int = 200, level: str = "debug") -> tuple[LogLine, ...]:
        """The newest lines of the node's log, oldest first; secrets are cut out."""
        return (await self._channel.call(api.Logs(limit, level), api.LogResult)).lines

    async def embed(self, texts: tuple[str, ...], embedder: str = "") -> api.EmbedResult:
        """The bits that the node's embedder reads in each text; every node reads the same."""
        return await self._channel.call(api.Embed(texts, embedder), api.EmbedResult)

    async def settings(self) -> tuple[SettingRecord, ...]:
        """What the node is set to, secrets hidden."""
        return (await self._channel.call(api.SettingsInForce(), api.SettingsResult)).settings

    async def certificate(self, request_id: str) -> bytes:
        """The stored certificate of a round, as one would save it to a file."""
        return (await self._channel.call(api.Certificate(request_id), api.CertificateResult)).certificate

    async def peers(self) -> tuple[api.PeerRecord, ...]:
        """The nodes that this node knows."""
        return await self._channel.call(api.Peers(), tuple[api.PeerRecord, ...])

    async def status(self) -> api.StatusResult:
        """How the node is doing."""
        return await self._channel.call(api.Status(), api.StatusResult)

    def events(self, *, noisy: bool = False, logs: bool = False, slim: bool = False) -> AsyncIterator[Event]:
        """Everything that the node tells from now on; `noisy` includes refused packets, `logs` its log.

        `slim` leaves the certificates themselves out, and begins with `Listening`.
        """
        return self._channel.events(api.Events(noisy=noisy, logs=logs, slim=slim))


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

    def history(self, wanted: Wanted = NEWEST) -> HistoryPage:
        """The rounds that are wanted, newest first, and the cursor of those before."""
        return self._wait(self._client.history(wanted))

    def round(self, request_id: str) -> Papers:
        """Everything about one round."""
        return self._wait(self._client.round(request_id))

    def logs(self, limit: int = 200, level: str = "debug") -> tuple[LogLine, ...]:
        """The newest lines of the node's log, oldest first."""
        return self._wait(self._client.logs(limit, level))

    def embed(self, texts: tuple[str, ...], embedder: str = "") -> api.EmbedResult:
        """The bits that the node's embedder reads in each text."""
        return self._wait(self._client.embed(texts, embedder))

    def settings(self) -> tuple[SettingRecord, ...]:
        """What the node is set to, secrets hidden."""
        return self._wait(self._client.settings())

    def certificate(self, request_id: str) -> bytes:
        """The stored certificate of a round."""
        return self._wait(self._client.certificate(request_id))

    def peers(self) -> tuple[api.PeerRecord, ...]:
        """The nodes that this node knows."""
        return self._wait(self._client.peers())

    def status(self) -> api.StatusResult:
        """How the node is doing."""
        return self._wait(self._client.status())

    def events(self, *, noisy: bool = False, logs: bool = False, slim: bool = False) -> Iterator[Event]:
        """Everything that the node tells from now on, until the loop over it is left."""
        stream = self._client.events(noisy=noisy, logs=logs, slim=slim)
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
