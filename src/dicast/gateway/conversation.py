"""The turns of a request as one question: what every dialect's messages are made into."""

from __future__ import annotations

from typing import Any

import msgspec

from dicast.base.limits import ATTACHED_PROMPT_BYTES_MAX
from dicast.gateway.errors import GatewayError, invalid, unsupported
from dicast.gateway.tools import written_call
from dicast.protocol.messages import Message

TURNS_MAX = 250
"""A request holds 256 messages; a few are left for instructions."""


class Part(msgspec.Struct, frozen=True):
    """A piece of a message's content: text, or (Anthropic) a tool's use and what came of it."""

    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: dict[str, Any] | None = None
    tool_use_id: str = ""
    content: str | list[Part] | None = None
    is_error: bool | None = None


Content = str | list[Part] | None


class CalledFunction(msgspec.Struct, frozen=True):
    """A function that was called in an earlier turn, its arguments as JSON."""

    name: str
    arguments: str = "{}"


class ToolCall(msgspec.Struct, frozen=True):
    """One call of an earlier turn."""

    function: CalledFunction
    id: str = ""
    type: str = "function"


class Turn(msgspec.Struct, frozen=True):
    """One turn of a conversation, in the words of both dialects."""

    role: str
    content: Content = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    function_call: Any = None
    refusal: str | None = None


class Conversation(msgspec.Struct, frozen=True):
    """The question, the turns before it, and instructions before those."""

    system: str
    history: tuple[Message, ...]
    prompt: str
    place: str = "messages"
    """The field that the turns stand in, as the dialect calls it."""


_TEXTS = frozenset({"text", "input_text", "output_text"})
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def text_of(content: Content, field: str) -> str:
    """The text of a content; images, documents and the like are refused."""
    return _Reader().text(content, field)


def conversation(turns: list[Turn], instructions: str = "", place: str = "messages") -> Conversation:
    """The conversation of these turns of the field `place`, the last the user's. Raises GatewayError."""
    if not turns:
        raise invalid(place, "there are none.")
    if len(turns) > TURNS_MAX:
        raise too_long(f"The conversation has {len(turns)} messages; at most {TURNS_MAX} travel.", place)
    reader = _Reader()
    messages = [reader.message(turn, f"{place}[{number}]") for number, turn in enumerate(turns)]
    *earlier, last = messages
    if last.role != "user":
        raise unsupported(f"{place}[{len(earlier)}]", "The last message must be the user's.")
    if not instructions and earlier and earlier[0].role == "system":
        instructions, earlier = earlier[0].content, earlier[1:]
    check_size([*earlier, last, Message("system", instructions)], place)
    return Conversation(instructions, tuple(earlier), last.content, place)


def too_long(message: str, place: str) -> GatewayError:
    """The refusal of what does not fit, instead of cutting it."""
    return GatewayError("context_length_exceeded", f"{message} Shorten it.", field=place)


class _Reader:
    """Reads turns in order; `called` remembers which function each call was of."""

    def __init__(self) -> None:
        self._called: dict[str, str] = {}

    def message(self, turn: Turn, field: str) -> Message:
        """A turn as a message that travels: calls and what came of them become text."""
        if turn.function_call:
            raise unsupported(f"{field}.function_call", "Write it as tool_calls, which replaced it.")
        if turn.role in {"tool", "function"}:
            text = self.text(turn.content, f"{field}.content")
            return Message("user", self._returned(turn.tool_call_id or "", text))
        role = _ROLES.get(turn.role)
        if role is None:
            raise invalid(f"{field}.role", f"there is no role {turn.role[:64]!r}.")
        if turn.name is not None:
            raise unsupported(f"{field}.name", "Messages carry no names.")
        said = [self.text(turn.content, f"{field}.content"), turn.refusal or ""]
        for call in turn.tool_calls or ():
            self._called[call.id] = call.function.name
            said.append(written_call(call.function.name, call.function.arguments))
        return Message(role, "\n".join(filter(None, said)))  # type: ignore[arg-type]

    def text(self, content: Content, field: str) -> str:
        """The text of a content."""
        if content is None:
            return ""
        if isinstance(content, str):
            return content
        parts = [(part.type in _TEXTS, self._part(part, field)) for part in content]
        if all(is_text for is_text, _ in parts):
            return "".join(text for _, text in parts)
        return "\n".join(text for _, text in parts if text)

    def _part(self, part: Part, field: str) -> str:
        match part.type:
            case "text" | "input_text" | "output_text":
                return part.text
            case "tool_use":
                self._called[part.id] = part.name
                return written_call(part.name, part.input or {})
            case "tool_result":
                failed = "It failed: " if part.is_error else ""
                return self._returned(part.tool_use_id, failed + self.text(part.content, field))
            case _:
                raise unsupported(
                    field, f"Content of the type {part.type[:64]!r} does not travel; text does."
                )

    def _returned(self, call_id: str, text: str) -> str:
        name = self._called.get(call_id, "")
        return f"The function {name} returned: {text}" if name else f"The function returned: {text}"


def check_size(messages: list[Message], place: str) -> None:
    """Refuse more than a request can carry; raises GatewayError."""
    try:
        size = sum(len(message.content.encode()) for message in messages)
    except UnicodeEncodeError as error:
        raise invalid(place, "a text holds half a character (a lone surrogate).") from error
    if size > ATTACHED_PROMPT_BYTES_MAX:
        told = f"The messages have {size} bytes; at most {ATTACHED_PROMPT_BYTES_MAX} travel."
        raise too_long(told, place)
