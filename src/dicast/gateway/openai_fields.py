"""The fields that OpenAI's two completion routes share."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request

from dicast.base.limits import MAX_TOKENS_MAX, TEMPERATURE_MILLI_MAX
from dicast.client import AskKeywords
from dicast.gateway.asking import Agreed
from dicast.gateway.frames import FrameFields, frame_of_headers, frame_options
from dicast.gateway.neutral import Neutral, check_neutral
from dicast.protocol.messages import Usage

Tokens = Annotated[int, msgspec.Meta(ge=1, le=MAX_TOKENS_MAX)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=TEMPERATURE_MILLI_MAX / 1000)]


class StreamOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`stream_options`; `dicast` says whether the stream waits for the verdict."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    dicast: Literal["optimistic", "verified"] | None = None


class Shared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What both routes take."""

    model: str
    models: tuple[str, ...] = ()
    dicast: FrameFields = FrameFields()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Tokens | None = None
    temperature: Temperature | None = None
    n: Any = None
    top_p: Any = None
    stop: Any = None
    seed: Any = None
    logprobs: Any = None
    logit_bias: Any = None
    presence_penalty: Any = None
    frequency_penalty: Any = None
    user: str | None = None

    def includes_usage(self) -> bool:
        """Whether the stream's last chunk tells the usage."""
        return self.stream_options is not None and bool(self.stream_options.include_usage)


SHARED_NEUTRAL: Neutral = {
    "n": (1,),
    "top_p": (1,),
    "stop": ([], ""),
    "seed": (),
    "logprobs": (False,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
}


def options_of(body: Shared, request: Request, neutral: Neutral, max_tokens: int | None) -> AskKeywords:
    """What to ask with. Raises GatewayError for what the network cannot do."""
    check_neutral(msgspec.structs.asdict(body), neutral)
    headers = frame_of_headers(request.headers.items())
    options = frame_options(body.model, body.models, body.dicast, headers)
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if body.temperature is not None:
        options["temperature"] = body.temperature
    return options


def usage_of(usage: Usage | None) -> dict[str, int] | None:
    """The winner's own count."""
    if usage is None:
        return None
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def frame_of_stream(body: FrameFields, options: StreamOptions | None) -> FrameFields:
    """The frame, with what `stream_options` says of it: the dialect's own place stands above ours."""
    if options is None or options.dicast is None:
        return body
    return msgspec.structs.replace(body, stream=options.dicast)


def envelope(prefix: str, kind: str, request_id: str, model: str) -> dict[str, Any]:
    """What every answer and every chunk begins with."""
    return {
        "id": f"{prefix}-{request_id}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
    }


def finish_of(agreed: Agreed) -> str:
    """Why the answer ends."""
    return "length" if agreed.cut else "stop"
