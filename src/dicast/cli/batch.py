"""`dicast batch`: a file of questions in, a file of answers out; the same command goes on."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec
from cyclopts import Parameter

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.batch import book
from dicast.batch.book import Book, Counts, Line
from dicast.batch.dispatch import Dispatcher
from dicast.batch.input import Index, read_index, read_line
from dicast.batch.plain import PlainAnswers, read_prompt
from dicast.batch.runner import Answering, Outcome, Runner
from dicast.cli.ask import NO_FRAME, FrameFlags, frame_options
from dicast.cli.batch_view import view
from dicast.cli.common import ASKING, DEFAULTS, Common
from dicast.cli.exit_codes import Exit
from dicast.cli.fetching import fetched_from_all
from dicast.cli.output import note, print_result
from dicast.cli.percent import Percent
from dicast.cli.session import channel_to_node
from dicast.client import AskKeywords
from dicast.daemon import api, builtin_content
from dicast.daemon.asking import check_options
from dicast.daemon.config_schema import AskSettings, Settings
from dicast.protocol.messages import Admission


@Parameter(name="*", group=ASKING)
@dataclass(frozen=True)
class BatchFlags:
    """What holds for every line."""

    output: Path | None = None
    "Where the answers go, one line of JSON each; without it beside the input, named *.results.jsonl."
    models: tuple[str, ...] | None = None
    "Models that may answer; any if left out."
    system: str = ""
    "Instructions that go before every prompt."
    max_tokens: int | None = None
    "The longest answer, in tokens."
    temperature: float | None = None
    "How freely models choose their words (0 to 2)."
    encrypted: Annotated[bool | None, Parameter(negative="--plain")] = None
    "Let only the members read question and answers, or, plain, everybody on the network."


NO_FLAGS = BatchFlags()
BLOB = "sha256:"
"""Before the name of a blob, where a file could be meant as well."""


def batch(
    prompts: Path, /, *, flags: BatchFlags = NO_FLAGS, frame: FrameFlags = NO_FRAME, common: Common = DEFAULTS
) -> int:
    """Ask every line of a file. Exit 0 all have an answer, 3 some have none, 4 nobody to ask.

    Parameters
    ----------
    prompts
        One question a line: text, {"prompt": "…", "id": "…"}, or lines of OpenAI's batches. A file, or the
        name of a blob, which is fetched: sha256:HASH or a magnet link.
    """
    settings = common.load().settings
    options = _options(flags, frame)
    check_options(api.Ask(prompt="?", **options), settings.ask)
    beside, prompts = prompts, _here(str(prompts), settings, common)
    output = flags.output or (
        prompts.with_name(f"{prompts.stem}.results.jsonl")
        if beside == prompts
        else Path(f"{prompts.name[:16]}.results.jsonl")
    )
    if output.resolve() == prompts.resolve():
        raise ConfigurationError("output_is_input", f"{output} is the input.", "Name another --output.")
    job = _Job(prompts.resolve(), output.resolve(), options, read_index(prompts))
    kept = Book(common.paths().state_dir)
    with _alone(kept.folder / f"{job.id}.lock"):
        counts = asyncio.run(_run(job, kept, settings, common))
    failed = "" if not counts.failed else f", {counts.failed} without an answer"
    told = {"output": str(output), "lines": counts.total, "answered": counts.done, "failed": counts.failed}
    print_result(told, f"{counts.done} of {counts.total} answered{failed}: {output}", common.json)
    return Exit.UNDETERMINED if counts.failed else Exit.DONE


def _here(named: str, settings: Settings, common: Common) -> Path:
    """The file of a batch; a blob is fetched, and stays, so that the same command goes on."""
    if not named.startswith((BLOB, "magnet:")):
        return Path(named)
    shown = Percent()
    wanted = builtin_content.wanted(named.removeprefix(BLOB), ())
    try:
        fetched = asyncio.run(fetched_from_all(wanted, common, shown, pin=True))
    finally:
        shown.end()
    return fetched.path


class _Document(msgspec.Struct, frozen=True):
    """What the book keeps of a job of the command line."""

    input: str
    output: str


@dataclass(frozen=True)
class _Job:
    """A file of questions, where the answers go, and how to ask."""

    input: Path
    output: Path
    options: AskKeywords
    index: Index

    @property
    def id(self) -> str:
        """The same for the same files and options, so that the same command goes on."""
        parts = (str(self.output), self.index.digest, msgspec.json.encode(self.options).decode())
        return "cli_" + hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]


async def _run(job: _Job, kept: Book, settings: Settings, common: Common) -> Counts:
    try:
        await _begin(job, kept)
        with _output(job, kept) as write:
            alone = job.options.get("seats", job.options.get("quorum")) == 1
            async with channel_to_node(common, settings, alone=alone) as channel:
                dispatcher = Dispatcher(channel)
                answer = await _answering(job, dispatcher, settings.ask)
                await _answer_all(job, kept, Runner(kept, dispatcher), answer, write)
        return kept.counts(job.id)
    finally:
        await kept.close()


async def _begin(job: _Job, kept: Book) -> None:
    """Enter the job, or find it as it was left."""
    if kept.job(job.id) is not None:
        left = kept.counts(job.id).left
        note(f"Going on: {left} of {len(job.index.lines)} lines are left.")
        return
    if job.output.exists() and job.output.stat().st_size:
        raise ConfigurationError(
            "output_exists",
            f"{job.output} exists and is not of this batch: file or options differ.",
            "Name another --output, or move it away.",
        )
    document = _Document(str(job.input), str(job.output))
    new = book.new_job(job.id, "", "in_progress", int(time.time()), document)
    await kept.write(new, *book.put_lines(job.id, job.index.lines))


async def _answering(job: _Job, dispatcher: Dispatcher, defaults: AskSettings) -> Answering:
    """By what the first line looks like; raises where nobody could answer it."""
    first = read_line(job.input, job.index.lines[0])
    if _is_openai(first):
        return _openai_answering(job, dispatcher, defaults)
    await dispatcher.plan(read_prompt(first).prompt, **job.options)
    return PlainAnswers(job.input, dispatcher, job.options).answer


async def _answer_all(
    job: _Job, kept: Book, runner: Runner, answer: Answering, write: Callable[[bytes], None]
) -> None:
    with view(kept.counts(job.id)) as moved:

        def show(line: Line, outcome: Outcome) -> None:
            del line
            write(outcome.content)
            moved(outcome.ok)

        try:
            await runner.run(job.id, answer, show)
        except asyncio.CancelledError:
            note("Stopped. What was answered is kept; the same command goes on.")
            raise


@contextmanager
def _output(job: _Job, kept: Book) -> Generator[Callable[[bytes], None]]:
    """The file of answers: what the book has first, so that each is there once; then more as they come."""
    temporary = job.output.with_name(f".{job.output.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            for _, result in kept.results(job.id):
                file.write(result + b"\n")
        temporary.replace(job.output)
        with job.output.open("ab") as file:
            yield lambda content: _append(file, content)
    except OSError as error:
        raise AdapterError(
            "output_unwritable",
            f"{job.output} cannot be written: {error.strerror}.",
            "What was answered is kept; the same command goes on.",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _append(file: BinaryIO, content: bytes) -> None:
    file.write(content + b"\n")
    file.flush()


@contextmanager
def _alone(path: Path) -> Generator[None]:
    """Nobody else works on the same files; the lock goes with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigurationError(
            "batch_running", "This batch is being answered already.", "Wait for it, or stop it."
        ) from error
    finally:
        os.close(descriptor)


def _options(flags: BatchFlags, frame: FrameFlags) -> AskKeywords:
    if frame.admission is not Admission.LISTED:
        raise ConfigurationError(
            "batch_admission", "A batch chooses the nodes itself.", "Leave --admission out."
        )
    given: dict[str, object] = {
        "models": flags.models,
        "system": flags.system,
        "max_tokens": flags.max_tokens,
        "temperature": flags.temperature,
        "encrypted": flags.encrypted,
    }
    named = {name: value for name, value in given.items() if value is not None}
    return AskKeywords(**frame_options(frame), **named)  # type: ignore[typeddict-item]


class _Marks(msgspec.Struct, frozen=True):
    custom_id: str
    url: str


def _is_openai(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=_Marks)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return True


def _openai_answering(job: _Job, dispatcher: Dispatcher, defaults: AskSettings) -> Answering:
    try:
        from dicast.gateway.batch_lines import answers_for
    except ImportError as error:
        raise ConfigurationError(
            "gateway_missing",
            "Lines of OpenAI's are read by the gateway, which is not installed here.",
            "Run: pip install 'dicast[gateway]'",
        ) from error
    return answers_for(job.input, dispatcher, msgspec.structs.replace(defaults, **_defaults(job.options)))


def _defaults(options: AskKeywords) -> dict[str, object]:
    """Options that the frame of a line may override."""
    known = ("preset", "timeout_s", "attempts", "max_tokens", "temperature", "models")
    wrong = sorted(set(options) - {*known, "admission", "system", "labels"})
    if wrong or options.get("system") or options.get("labels"):
        raise ConfigurationError(
            "batch_options",
            "The frame of OpenAI's lines comes from the lines; here only preset, timeout, attempts, "
            "max_tokens, temperature and models can be given.",
            'Write it into their "dicast" field.',
        )
    return {name: value for name, value in options.items() if name in known}
