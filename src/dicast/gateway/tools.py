"""Functions that a client offers: told to the model in words, called by an answer that is agreed as JSON.

The network agrees on texts, so a call is one: `{"tool": name or "", "arguments": {…}, "text": …}`. Name and
arguments must be equal among those who agree; the text beside them may be worded differently.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, NamedTuple

import msgspec

from dicast.gateway.errors import GatewayError, invalid, unsupported
from dicast.gateway.json_format import JsonForm, form_of_schema, plain_schema

TOOLS_MAX = 64
"""Each is described in every prompt, and a prompt has at most 32 KiB."""
NONE, AUTO, REQUIRED = "none", "auto", "required"


class Tool(msgspec.Struct, frozen=True):
    """A function: its name, what it is for, and the schema of its arguments."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}


class Call(NamedTuple):
    """A call that the network agreed on; `arguments` is a JSON object."""

    name: str
    arguments: dict[str, Any]


class Offer(msgspec.Struct, frozen=True):
    """The tools of a request, and which of them may or must be called."""

    tools: tuple[Tool, ...]
    choice: str = AUTO

    @property
    def is_open(self) -> bool:
        """Whether there is anything to call."""
        return bool(self.tools) and self.choice != NONE

    def callable_tools(self) -> tuple[Tool, ...]:
        """Those that the choice leaves."""
        if self.choice in (AUTO, REQUIRED):
            return self.tools
        return tuple(tool for tool in self.tools if tool.name == self.choice)

    def instructions(self) -> str:
        """What the model is told."""
        tools = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            for tool in self.callable_tools()
        ]
        may = "You may call one of these functions" if self.choice == AUTO else "Call one of these functions"
        none = ', "tool" is "" and "arguments" is {} when you call none' if self.choice == AUTO else ""
        return (
            f"{may}: {msgspec.json.encode(tools).decode()}\n"
            'Answer with one JSON object and nothing else: {"tool": the function\'s name, "arguments": '
            'an object, "text": "Calling " and the name when you call it, else your answer}' + none + "."
        )

    def form(self) -> JsonForm:
        """The schema of the answer, and how its parts are compared."""
        names = [tool.name for tool in self.callable_tools()]
        if len(names) == 1 and self.choice != AUTO:
            return form_of_schema(self._schema(names, self.callable_tools()[0].parameters))
        arguments: dict[str, Any] = {"type": "object"}
        form = form_of_schema(self._schema([*names, ""] if self.choice == AUTO else names, arguments))
        return JsonForm(form.schema, exact=("/arguments", "/tool"), fuzzy=("/text",))

    def _schema(self, names: list[str], arguments: dict[str, Any]) -> dict[str, Any]:
        """Keywords that no judge knows (`anyOf`, `pattern`) are left out: the model still reads them."""
        return {
            "type": "object",
            "properties": {
                "tool": {"type": "string", "enum": names},
                "arguments": plain_schema(arguments) or {"type": "object"},
                "text": {"type": "string"},
            },
            "required": ["tool", "arguments", "text"],
        }


def offer(tools: tuple[Tool, ...], choice: str) -> Offer:
    """The offer of a request. Raises GatewayError."""
    names = [tool.name for tool in tools]
    if len(names) > TOOLS_MAX:
        raise invalid("tools", f"there are {len(names)}, at most {TOOLS_MAX}.")
    if len(set(names)) < len(names) or "" in names:
        raise invalid("tools", "every function needs a name of its own.")
    if choice not in (NONE, AUTO, REQUIRED) and choice not in names:
        raise invalid("tool_choice", f"there is no function {choice[:64]!r} among the tools.")
    if choice == REQUIRED and not tools:
        raise invalid("tool_choice", "a function must be called, and there are none.")
    return Offer(tools, choice)


def openai_tools(written: Any) -> tuple[Tool, ...]:
    """Chat's `[{"type": "function", "function": {…}}]`, and the flat form of responses."""
    return tuple((one.function or one).tool() for one in _read(written, frozenset({"function"})))


def anthropic_tools(written: Any) -> tuple[Tool, ...]:
    """`[{"name": …, "input_schema": {…}}]`; tools that Anthropic runs itself are refused."""
    return tuple(one.tool() for one in _read(written, frozenset({"function", "custom"})))


def openai_choice(written: Any) -> str:
    """`none`, `auto`, `required`, or the one function that must be called."""
    match written:
        case None:
            return AUTO
        case "none" | "auto" | "required":
            return written
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return name
        case _:
            raise invalid("tool_choice", "it is none, auto, required, or one function by its name.")


def anthropic_choice(written: Any) -> str:
    """The same in Anthropic's words."""
    match written:
        case None | {"type": "auto"}:
            return AUTO
        case {"type": "none"}:
            return NONE
        case {"type": "any"}:
            return REQUIRED
        case {"type": "tool", "name": str(name)}:
            return name
        case _:
            raise invalid("tool_choice", "its type is auto, any, none, or tool with a name.")


def read_answer(text: str) -> tuple[str, Call | None]:
    """The text and the call of an agreed answer. Raises GatewayError `answer_malformed`."""
    try:
        found = msgspec.json.decode(text.encode(), type=_Said)
    except (msgspec.DecodeError, RecursionError) as error:
        raise GatewayError("answer_malformed", "The agreed answer is no call and no text.") from error
    return ("", Call(found.tool, found.arguments)) if found.tool else (found.text, None)


def written_call(name: str, arguments: Any) -> str:
    """An earlier call, as the model is shown it: in the form in which it answers."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments or "{}")
        except (ValueError, RecursionError) as error:
            raise invalid("tool_calls", "the arguments of a call are not JSON.") from error
    call = {"tool": name, "arguments": arguments, "text": f"Calling {name}"}
    return json.dumps(call, ensure_ascii=False)


class _Said(msgspec.Struct, frozen=True):
    tool: str
    text: str
    arguments: dict[str, Any] = {}


class _Written(msgspec.Struct, frozen=True):
    """A tool in any dialect's words; OpenAI's chat puts the function one level down."""

    type: str = "function"
    name: Annotated[str, msgspec.Meta(max_length=64)] = ""
    description: str | None = None
    parameters: dict[str, Any] | None = None
    input_schema: dict[str, Any] | None = None
    function: _Written | None = None

    def tool(self) -> Tool:
        return Tool(self.name, self.description or "", self.parameters or self.input_schema or {})


def _read(written: Any, kinds: frozenset[str]) -> list[_Written]:
    try:
        found = msgspec.convert([] if written is None else written, list[_Written])
    except msgspec.ValidationError as error:
        raise invalid("tools", f"{error}.") from error
    for number, one in enumerate(found):
        if one.type not in kinds:
            raise unsupported(f"tools[{number}].type", "There are the client's own functions, and no other.")
    return found
