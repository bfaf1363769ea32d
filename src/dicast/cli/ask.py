"""`dicast ask`: one question, one answer; the answer on standard output, all else on standard error."""

from __future__ import annotations

import asyncio
import codecs
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from dicast.base.errors import AdapterError, ConfigurationError
from dicast.base.limits import ATTACHED_PROMPT_BYTES_MAX
from dicast.cli.common import ASKING, DEFAULTS, FRAME, NOWHERE, Common, Meeting, OrStandardInput, Repeated
from dicast.cli.exit_codes import Exit
from dicast.cli.output import fields_of, note, print_result, printable
from dicast.cli.progress import Progress, explain_answer, explain_plan
from dicast.cli.session import channel_to_node, is_running
from dicast.client import AskKeywords, AsyncClient
from dicast.daemon import api
from dicast.daemon.asking import check_options
from dicast.daemon.config_schema import Settings
from dicast.daemon.files import check_writable, write_file
from dicast.daemon.private_network import topic_in
from dicast.protocol.messages import Admission


@Parameter(name="*", group=FRAME)
@dataclass(frozen=True)
class FrameFlags:
    """The security frame; what is left out comes from the preset."""

    preset: str | None = None
    "A named frame: story (3 seats), default (9), careful (13), financial (31, labels only)."
    quorum: int | None = None
    "Seats that must commit; without --seats also the number of seats. 1 asks your own node alone."
    seats: int | None = None
    "Nodes that are asked, one seat each."
    sec_distance: float | None = None
    "How far apart answers may be and still agree, as a share of the embedder's bits (0 to 0.34)."
    sec_percentage: float | None = None
    "The share of the seats that must agree (0 to 1)."
    label: Annotated[tuple[str, ...], Repeated] = ()
    "Allow only these answers; may be given several times."
    timeout: float | None = None
    "Seconds until answers must be committed."
    reveal_timeout: float | None = None
    "Seconds that revealing may take."
    admission: Admission = Admission.LISTED
    "Who answers: listed (you name them), drawn (by a beacon, see beacon_file), open (whoever comes)."
    attempts: int | None = None
    "Ask again after an undetermined round, up to so many rounds in all (at most 3)."


@Parameter(name="*", group=ASKING)
@dataclass(frozen=True)
class QuestionFlags:
    """The question beside its prompt."""

    models: tuple[str, ...] | None = None
    "Models that may answer; any if left out."
    system: str = ""
    "Instructions that go before the prompt."
    max_tokens: int | None = None
    "The longest answer, in tokens."
    temperature: float | None = None
    "How freely models choose their words (0 to 2)."
    certificate: Path | None = None
    "Write the certificate to this file."
    encrypted: Annotated[bool | None, Parameter(negative="--plain")] = None
    "Let only the members read question and answers, or, plain, everybody on the network."
    stream: Annotated[bool, Parameter(negative="")] = False
    "Show on the terminal what the most trusted node says while it says it, before the verdict."


READ_BYTES_MAX = ATTACHED_PROMPT_BYTES_MAX + 4096
"""Of standard input: enough to see that it is too long, whatever is stripped of it."""
NO_FRAME, NO_QUESTION = FrameFlags(), QuestionFlags()


def ask(
    prompt: OrStandardInput = "",
    /,
    *,
    meeting: Meeting = NOWHERE,
    frame: FrameFlags = NO_FRAME,
    question: QuestionFlags = NO_QUESTION,
    common: Common = DEFAULTS,
) -> int:
    """Ask the network one question. Exit 0 accepted, 3 undetermined, 4 nobody to ask.

    Parameters
    ----------
    prompt
        The question; - or nothing reads it from standard input.
    """
    text = _read_prompt(prompt)
    settings = common.load(**meeting.flags()).settings
    options = _options(frame, question)
    check_options(api.Ask(prompt=text, **options), settings.ask)
    if question.certificate is not None:
        check_writable(question.certificate, "certificate")
    return asyncio.run(_ask(_Wish(text, options, meeting, question.certificate), settings, common))


def frame_options(frame: FrameFlags) -> AskKeywords:
    """The frame as it is asked with: what was given."""
    given: dict[str, object] = {
        "preset": frame.preset,
        "quorum": frame.quorum,
        "seats": frame.seats,
        "sec_distance": frame.sec_distance,
        "sec_percentage": frame.sec_percentage,
        "labels": frame.label,
        "admission": frame.admission,
        "timeout_s": frame.timeout,
        "reveal_s": frame.reveal_timeout,
        "attempts": frame.attempts,
    }
    return _given(given)


def _options(frame: FrameFlags, question: QuestionFlags) -> AskKeywords:
    given: dict[str, object] = {
        "models": question.models,
        "system": question.system,
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "encrypted": question.encrypted,
        "stream": question.stream or None,
    }
    return AskKeywords(**frame_options(frame), **_given(given))  # type: ignore[typeddict-item]


def _given(options: dict[str, object]) -> AskKeywords:
    return AskKeywords(**{name: value for name, value in options.items() if value is not None})  # type: ignore[typeddict-item]


@dataclass(frozen=True)
class _Wish:
    """A question, how it is to be asked, and where its certificate goes."""

    prompt: str
    options: AskKeywords
    meeting: Meeting
    certificate: Path | None


async def _ask(wish: _Wish, settings: Settings, common: Common) -> int:
    options = wish.options
    alone = (options.get("seats") or options.get("quorum")) == 1
    runs_here = await is_running(common)
    async with channel_to_node(common, settings, alone=alone) as channel:
        client = AsyncClient(channel=channel)
        if runs_here:
            _check_meeting(wish.meeting, settings, await client.status())
        explain_plan(await client.plan(wish.prompt, **options))
        progress = Progress()
        try:
            answer = await client.ask(wish.prompt, on_event=progress.show, **options)
        finally:
            progress.end()
    failure = _write_certificate(wish.certificate, answer)
    explain_answer(answer, progress.declined)
    _say_where(answer, None if failure else wish.certificate, runs_here=runs_here)
    _print_answer(answer, None if failure else wish.certificate, common.json)
    if failure is not None:
        raise failure
    return Exit.DONE if answer.is_accepted else Exit.UNDETERMINED


def _check_meeting(meeting: Meeting, settings: Settings, status: api.StatusResult) -> None:
    """A running node asks where it is; it must not be somewhere else than the caller says."""
    other_secret = meeting.passphrase_file is not None and topic_in(settings) != status.topic
    if meeting.network not in (None, status.network) or meeting.relay or other_secret:
        raise ConfigurationError(
            "node_elsewhere",
            f"The node that runs here is on the network {status.network!r} and uses its own relays.",
            "Leave --network, --passphrase-file and --relay out, or name another --state-dir.",
        )
    note(f"Asking through the node that runs here, on the network {status.network!r}.")


def _write_certificate(certificate: Path | None, answer: api.Answer) -> AdapterError | None:
    """Why the certificate could not be written: the answer was paid for, and is printed first."""
    if certificate is None or not answer.certificate:
        return None
    try:
        write_file(certificate, answer.certificate)
    except AdapterError as error:
        return error
    return None


def _say_where(answer: api.Answer, certificate: Path | None, *, runs_here: bool) -> None:
    """Where the certificate is, or how to get it."""
    if not answer.certificate:
        return
    if certificate is not None:
        note(f"certificate: {certificate}  (dicast verify {certificate})")
    elif runs_here:
        note(f"The certificate is kept: dicast rounds {answer.request_id[:12]} --certificate FILE")
    else:
        note("To keep the certificate of an answer, say --certificate FILE when you ask.")


def _print_answer(answer: api.Answer, certificate: Path | None, as_json: bool) -> None:
    if as_json:
        written = str(certificate) if certificate is not None and answer.certificate else None
        fields = {name: value for name, value in fields_of(answer).items() if name != "reveals"}
        print_result({**fields, "certificate": written}, "", as_json=True)
    elif answer.answer is not None:
        shown = printable(answer.answer) if sys.stdout.isatty() else answer.answer
        print_result(None, shown, as_json=False)


def _read_prompt(given: str) -> str:
    if given and given != "-":
        return given
    if not given and sys.stdin.isatty():
        raise ConfigurationError(
            "prompt_missing", "There is no question.", 'For example: dicast ask "Who wrote Hamlet?"'
        )
    content = sys.stdin.buffer.read(READ_BYTES_MAX)
    try:
        whole = len(content) < READ_BYTES_MAX  # else a character may be cut in two, and all of it is too long
        return codecs.getincrementaldecoder("utf-8")().decode(content, whole).strip("\n")
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            "prompt_not_text", "Standard input is not UTF-8 text.", "Give the question as UTF-8."
        ) from error
