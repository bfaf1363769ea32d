"""NKN's SDK in a process of its own: started with the user's Node, told lines of JSON, ended with us."""

from __future__ import annotations

import asyncio
import itertools
import os
from base64 import b64encode
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE

import msgspec

from dicast.transports.nkn_frames import Said, read_line

SCRIPT = Path(__file__).with_name("nkn_side.mjs")
LINE_BYTES_MAX = 256 * 1024  # a packet in base64, and room
MEMORY_MB_MAX = 128  # of the side process; the SDK takes 40
START_SECONDS_MAX = 30.0  # a slow machine needs ten to load the SDK
CONNECT_SECONDS_MAX = 60.0  # it asks three times, 10 s each, which node serves our address
SEND_SECONDS_MAX = 10.0
END_SECONDS_MAX = 1.0  # it ends when its input does; after this it is killed
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PASSED_ON = ("PATH", "SYSTEMROOT", *PROXIES)  # of our environment, which may hold keys
IDENTIFIER = "dicast"


class NknSettings(msgspec.Struct, frozen=True):
    """A program, a folder with `node_modules`, a server that names nodes ("" is the SDK's), addresses."""

    seed: bytes
    node: str
    sdk: Path
    rpc: str = ""
    peers: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"NknSettings({self.node!r}, {str(self.sdk)!r}, {self.rpc!r}, {self.peers!r})"


class NknProcess:
    """One life of the side process."""

    def __init__(self, settings: NknSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._numbers = itertools.count(1)
        self._sending: dict[int, asyncio.Future[str]] = {}
        self.problem = ""

    @property
    def pid(self) -> int | None:
        """Of the running process."""
        return self._process.pid if self._process is not None else None

    async def open(self) -> str:
        """Start it, and return our address on NKN; secrets go by its input alone."""
        self._process = await asyncio.create_subprocess_exec(
            *(self._settings.node, f"--max-old-space-size={MEMORY_MB_MAX}", str(SCRIPT)),
            stdin=PIPE,
            stdout=PIPE,
            stderr=DEVNULL,
            limit=LINE_BYTES_MAX,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,  # a Ctrl-C is ours to handle
        )
        chosen = self._settings
        sdk = str(chosen.sdk.absolute())
        await self._say(sdk=sdk, seed=chosen.seed.hex(), identifier=IDENTIFIER, rpc=chosen.rpc)
        return (await self._until("address", START_SECONDS_MAX)).address

    async def connected(self) -> None:
        """Wait until a node of NKN serves us."""
        await self._until("ready", CONNECT_SECONDS_MAX)

    async def messages(self) -> AsyncGenerator[Said]:
        """What comes in, until the process ends."""
        while True:
            said = await self._next()
            if said.done is not None:
                sending = self._sending.pop(said.done, None)
                if sending is not None and not sending.done():
                    sending.set_result(said.why)
            elif said.sender:
                yield said

    async def send(self, addresses: Sequence[str], data: bytes) -> None:
        """Hand one message to the network; raises `ConnectionError` where it was not taken."""
        number = next(self._numbers)
        taken = self._sending[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await self._say(id=number, to=list(addresses), base64=b64encode(data).decode())
                if why := await taken:
                    raise ConnectionError(why)
        finally:
            self._sending.pop(number, None)

    async def post(self, addresses: Sequence[str], data: bytes) -> None:
        """The same without waiting for what comes of it."""
        await self._say(id=0, to=list(addresses), base64=b64encode(data).decode())

    async def close(self) -> None:
        """End it: by the end of its input, and by force when it stays."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(END_SECONDS_MAX):
                await process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _say(self, **said: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(said) + b"\n")
        await self._process.stdin.drain()

    async def _until(self, field: str, seconds: float) -> Said:
        async with asyncio.timeout(seconds):
            while True:
                said = await self._next()
                if getattr(said, field):
                    return said

    async def _next(self) -> Said:
        """The next line that is one; others are passed over."""
        assert self._process is not None
        assert self._process.stdout is not None
        while True:
            line = await self._process.stdout.readline()
            if not line:
                raise ConnectionError(self.problem or "the side process ended")
            said = read_line(line)
            if said is not None:
                self.problem = said.problem or self.problem
                return said
