"""The turns of a request as one question: what every dialect's messages are made into."""

from __future__ import annotations

from typing import Any

import msgspec

from dicast.base.limits import PROMPT_BYTES_MAX
from dicast.gateway.errors import GatewayError, invalid, unsupported
from dicast.protocol.messages import Message

TURNS_MAX = 250
"""A request holds 256 messages; a few are left for instructions."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a message's content; only text travels."""

    type: str
    text: str = ""


Content = str | list[Part] | None


class Turn(msgspec.Struct, frozen=True):
    """One turn of a conversation, in the words of both dialects."""

    role: str
    content: Content = None
    name: str | None = None
    tool_calls: Any = None
    function_call: Any = None


class Conversation(msgspec.Struct, frozen=True):
    """The question, the turns before it, and instructions before those."""

    system: str
    history: tuple[Message, ...]
    prompt: str


_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def text_of(content: Content, field: str) -> str:
    """The text of a content; images, documents and the like are refused."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    for part in content:
        if part.type not in {"text", "input_text"}:
            raise unsupported(field, f"Content of the type {part.type[:64]!r} does not travel; text does.")
    return "".join(part.text for part in content)


def conversation(turns: list[Turn], instructions: str = "") -> Conversation:
    """The conversation of these turns, the last of them the user's. Raises GatewayError."""
    if not turns:
        raise invalid("messages", "there are none.")
    if len(turns) > TURNS_MAX:
        raise too_long(f"The conversation has {len(turns)} messages; at most {TURNS_MAX} travel.")
    messages = [_message(turn, f"messages[{number}]") for number, turn in enumerate(turns)]
    *earlier, last = messages
    if last.role != "user":
        raise unsupported(f"messages[{len(earlier)}]", "The last message must be the user's.")
    if not instructions and earlier and earlier[0].role == "system":
        instructions, earlier = earlier[0].content, earlier[1:]
    _check_size([*earlier, last, Message("system", instructions)])
    return Conversation(instructions, tuple(earlier), last.content)


def too_long(message: str) -> GatewayError:
    """The refusal of what does not fit, instead of cutting it."""
    return GatewayError("context_length_exceeded", f"{message} Shorten it.", field="messages")


def _message(turn: Turn, field: str) -> Message:
    role = _ROLES.get(turn.role)
    if turn.role in {"tool", "function"} or turn.tool_calls or turn.function_call:
        raise unsupported(field, "Tool calls do not travel.")
    if role is None:
        raise invalid(f"{field}.role", f"there is no role {turn.role[:64]!r}.")
    if turn.name is not None:
        raise unsupported(f"{field}.name", "Messages carry no names.")
    return Message(role, text_of(turn.content, f"{field}.content"))  # type: ignore[arg-type]


def _check_size(messages: list[Message]) -> None:
    try:
        size = sum(len(message.content.encode()) for message in messages)
    except UnicodeEncodeError as error:
        raise invalid("messages", "a text holds half a character (a lone surrogate).") from error
    if size > PROMPT_BYTES_MAX:
        raise too_long(f"The messages have {size} bytes; at most {PROMPT_BYTES_MAX} fit into a request.")
