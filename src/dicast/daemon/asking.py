"""From what a person wants to a question the node can ask: frame, seats, members, and what they are worth."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property

import msgspec

from dicast.base.errors import ConfigurationError, Rejection
from dicast.base.limits import (
    ATTACHED_PROMPT_BYTES_MAX,
    ATTEMPTS_MAX,
    DEADLINE_MS_MAX,
    DEADLINE_MS_MIN,
    MAX_TOKENS_MAX,
    PROMPT_BYTES_MAX,
    REVEAL_MS_MAX,
    TEMPERATURE_MILLI_MAX,
)
from dicast.base.types import NodeId
from dicast.consensus.constants import EMBEDDER, EMBEDDER_BITS
from dicast.consensus.frame import (
    PRESETS,
    Frame,
    Preset,
    check_frame,
    check_preset,
    error_rate,
    frame_from_shares,
    is_minority,
    largest_frame,
    need,
)
from dicast.daemon.api import AskOptions, PeerRecord, PlanResult
from dicast.daemon.config_schema import AskSettings
from dicast.protocol.attached import SERVING
from dicast.protocol.inputs import Question
from dicast.protocol.messages import ENCRYPTED_MEMBERS_MAX, Admission, Message, prompt_text

DISHONEST_SHARES = (0.1, 0.2, 0.3)
"""Shares of dishonest nodes for which people are shown the chance of a false answer."""
THREE_WAYS = (
    "Three ways on: start a node on another machine (`dicast up --relay URL`) and ask over the same relay; "
    "see seven local nodes at work (`make demo` or `dicast demo`); "
    "or ask your own node alone (`dicast ask --quorum 1 …`), which verifies nothing."
)


class Known:
    """Whom one could ask: this node, and others. They may be thousands: seen where it matters."""

    def __init__(self, own: PeerRecord, others: Callable[[], tuple[PeerRecord, ...]]) -> None:
        self.own = own
        self._others = others

    @cached_property
    def others(self) -> tuple[PeerRecord, ...]:
        """All but this node."""
        return self._others()


def check_options(options: AskOptions, settings: AskSettings) -> tuple[Frame, int]:
    """Frame and seats, checked as far as they can be without knowing anybody. Raises Rejection and others."""
    _check_prompt(options)
    _check_ranges(options)
    preset = _preset(options.preset or settings.preset)
    seats = _seats(options, preset)
    base = preset.frame
    quorum = options.quorum if options.quorum is not None else min(base.quorum, seats)
    distance = options.sec_distance
    percentage = options.sec_percentage
    frame = frame_from_shares(
        quorum,
        distance if distance is not None else base.sec_distance_bits[EMBEDDER] / EMBEDDER_BITS[EMBEDDER],
        percentage if percentage is not None else base.sec_percentage_bp / 10_000,
        seats,
        base,
    )
    timeout_s = options.timeout_s if options.timeout_s is not None else settings.timeout_s
    frame = msgspec.structs.replace(
        frame,
        labels=options.labels,
        exact=options.exact,
        fuzzy=options.fuzzy,
        deadline_ms=round(timeout_s * 1000),
        reveal_ms=round(options.reveal_s * 1000) if options.reveal_s is not None else frame.reveal_ms,
    )
    if seats == 1:  # one answer is compared with nothing: no embedder is asked to read it
        frame = msgspec.structs.replace(frame, sec_distance_bits={}, gates=())
    check_frame(frame, seats, options.admission is not Admission.DRAWN)
    is_encrypted(options, settings, seats)
    check_preset(preset, frame)
    return frame, seats


def question_of(options: AskOptions, settings: AskSettings, known: Known) -> Question:
    """The question, once enough nodes are known. Raises ConfigurationError `no_peers`, Rejection, …"""
    frame, seats = check_options(options, settings)
    models = options.models if options.models is not None else settings.models
    members = tuple(NodeId(member) for member in options.members)
    if members:
        _check_members(options.members, seats)
    elif seats == 1 and options.admission is Admission.LISTED and _can_answer(known.own, models, frame):
        members = (NodeId(known.own.node_id),)
    else:
        able = _able(known, models, frame)
        if len(able) < seats:
            raise _too_few(frame, seats, able, known, models)
    return Question(
        messages=_messages(options),
        frame=frame,
        seats=seats,
        models=models,
        admission=options.admission,
        members=members,
        max_tokens=settings.max_tokens if options.max_tokens is None else options.max_tokens,
        temperature_milli=round(
            1000 * (settings.temperature if options.temperature is None else options.temperature)
        ),
        attempts=_attempts(options, settings),
        schema=options.schema,
        encrypted=is_encrypted(options, settings, seats),
        stream=options.stream,
    )


def plan(options: AskOptions, settings: AskSettings, known: Known) -> PlanResult:
    """What asking means. Raises what `question_of` raises."""
    question = question_of(options, settings, known)
    frame, seats = question.frame, question.seats
    return PlanResult(
        seats=seats,
        quorum=frame.quorum,
        need=need(frame.sec_percentage_bp, seats),
        known_nodes=len(known.others),
        known_workers=len(_able(known, question.models, frame)),
        error_rates={f"{share:.0%}": error_rate(frame, seats, share) for share in DISHONEST_SHARES},
        own_only=not options.members and question.members == (known.own.node_id,),
        deadline_ms=frame.deadline_ms,
        models=question.models,
        warnings=tuple(_warnings(question, known.own)),
        encrypted=question.encrypted,
    )


def may_be_attached(options: AskOptions) -> bool:
    """Could its messages be too long for a packet, once they are sealed?"""
    earlier = sum(len(message.content) for message in options.history)
    return len(options.prompt) + len(options.system) + earlier > PROMPT_BYTES_MAX // 8


def is_encrypted(options: AskOptions, settings: AskSettings, seats: int) -> bool:
    """Whether the round will be encrypted: what was asked for, else the setting, where it can be."""
    can = options.admission != Admission.OPEN and seats <= ENCRYPTED_MEMBERS_MAX
    if options.encrypted and not can:
        raise Rejection(
            "not_encryptable",
            f"Only listed and drawn rounds of at most {ENCRYPTED_MEMBERS_MAX} seats can be encrypted.",
            "Leave --encrypted out: everybody on the network can read question and answers then.",
        )
    return can and (settings.encrypted if options.encrypted is None else options.encrypted)


def _check_prompt(options: AskOptions) -> None:
    try:
        earlier = sum(len(message.content.encode()) for message in options.history)
        size = len(options.prompt.encode()) + len(options.system.encode()) + earlier
    except UnicodeEncodeError:
        raise Rejection(
            "prompt_not_text", "The prompt holds bytes that are not UTF-8.", "Write it as UTF-8 text."
        ) from None
    if not options.prompt.strip():
        raise Rejection("prompt_empty", "The prompt is empty.", 'For example: dicast ask "Who wrote Hamlet?"')
    if size > ATTACHED_PROMPT_BYTES_MAX:
        raise Rejection(
            "prompt_too_large",
            f"The prompt has {size} bytes; at most {ATTACHED_PROMPT_BYTES_MAX} travel.",
            "Shorten it, or ask about its parts one by one.",
        )


def _check_ranges(options: AskOptions) -> None:
    """Numbers that are no part of the frame, or would be named there by another name and in another unit."""
    for key, value, least, most, example in (
        ("temperature", options.temperature, 0, TEMPERATURE_MILLI_MAX / 1000, "0.7"),
        ("max_tokens", options.max_tokens, 1, MAX_TOKENS_MAX, "256"),
        ("timeout", options.timeout_s, DEADLINE_MS_MIN / 1000, DEADLINE_MS_MAX / 1000, "60 (seconds)"),
        ("reveal_timeout", options.reveal_s, 0.001, REVEAL_MS_MAX / 1000, "10 (seconds)"),
    ):
        if value is not None and not least <= value <= most:  # also refuses what is no number
            raise Rejection(
                "option_range",
                f"{key}: {value} is outside {least:g}…{most:g}.",
                f"For example {key} {example}.",
            )


def _preset(name: str) -> Preset:
    preset = PRESETS.get(name)
    if preset is None:
        raise ConfigurationError(
            "preset_unknown",
            f"preset: there is none called {name!r}.",
            f"Take one of: {', '.join(PRESETS)}.",
        )
    return preset


def _seats(options: AskOptions, preset: Preset) -> int:
    if options.seats is not None:
        return options.seats
    if options.members:
        return len(options.members)
    return preset.seats if options.quorum is None else max(1, options.quorum)


def _attempts(options: AskOptions, settings: AskSettings) -> int:
    attempts = settings.attempts if options.attempts is None else options.attempts
    if not 1 <= attempts <= ATTEMPTS_MAX:
        raise Rejection(
            "attempts_range",
            f"attempts: {attempts} is outside 1…{ATTEMPTS_MAX}.",
            "Asking until the answer pleases proves nothing.",
        )
    return attempts


def _messages(options: AskOptions) -> tuple[Message, ...]:
    system = (Message("system", options.system),) if options.system else ()
    return (*system, *options.history, Message("user", options.prompt))


def _able(known: Known, models: tuple[str, ...], frame: Frame) -> list[PeerRecord]:
    """Those who can answer, this node among them."""
    return [peer for peer in (known.own, *known.others) if _can_answer(peer, models, frame)]


def _can_answer(peer: PeerRecord, models: tuple[str, ...], frame: Frame) -> bool:
    serves = any(not models or model in models for model in peer.models)
    return (
        "worker" in peer.roles and serves and all(name in peer.embedders for name in frame.sec_distance_bits)
    )


def _check_members(members: tuple[str, ...], seats: int) -> None:
    if len(members) != seats:
        raise Rejection(
            "frame_seats",
            f"{len(members)} members are named for {seats} seats.",
            f"The largest that works is --seats {len(members)}.",
        )


def _too_few(
    frame: Frame, seats: int, able: list[PeerRecord], known: Known, models: tuple[str, ...]
) -> ConfigurationError | Rejection:
    asks_itself = seats == 1 and "worker" in known.own.roles
    if not known.others and not asks_itself:
        return ConfigurationError("no_peers", "No other node is known.", THREE_WAYS)
    if not able:
        return _no_model(known, models, asks_itself)
    quorum, agreeing = largest_frame(len(able), frame)
    return Rejection(
        "too_few_nodes",
        f"{seats} seats are asked for, but only {_counted(len(able))} known that can answer.",
        f"The largest that works is --seats {len(able)} --quorum {quorum} (of which {agreeing} must agree). "
        "Or wait for more nodes.",
    )


def _no_model(known: Known, models: tuple[str, ...], asks_itself: bool) -> ConfigurationError:
    wanted = ", ".join(models) or "a model"
    own, others = known.own.models, {model for peer in known.others for model in peer.models}
    who = "Your own node does not answer"
    if known.others:
        who = f"{_counted(len(known.others))} known, but none answers"
    offered = sorted(others | set(own)) if asks_itself else sorted(others)
    hint = f"Offered here: {', '.join(offered)}." if offered else "No model is offered: see `dicast doctor`."
    return ConfigurationError("no_model", f"{who} with {wanted}.", hint)


def _counted(nodes: int) -> str:
    return "1 node is" if nodes == 1 else f"{nodes} nodes are"


def _warnings(question: Question, own: PeerRecord) -> Iterable[str]:
    frame, seats = question.frame, question.seats
    is_long = len(prompt_text(question.messages).encode()) > PROMPT_BYTES_MAX
    if is_long and question.members != (own.node_id,) and SERVING not in own.addresses:
        yield (
            f"The prompt is over {PROMPT_BYTES_MAX} bytes: members fetch it from this node, which gives it "
            "only where its WebSocket transport listens (transports.websocket.listen)."
        )
    if seats == 1:
        yield "One node answers: the answer is not verified."
    elif is_minority(frame):
        yield "Half of the seats or fewer decide: two answers that differ could both be accepted."
