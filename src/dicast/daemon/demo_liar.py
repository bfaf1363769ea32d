"""The demonstration's liar: the embedded model with other names in its answers; a plugin, no setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import msgspec

from dicast.daemon.builtin import tiny
from dicast.daemon.plugins import Surroundings
from dicast.ports import Engine, Generation
from dicast.protocol.messages import OfferedModel
from dicast.protocol.outputs import StartInference

FALSE_PEOPLE = ("Marlowe", "Salieri", "Hooke", "Bohr", "Vermeer", "Austen")
FALSE_PLACES = ("Lyon", "Porto", "Lima", "Oslo", "Graz", "Turin")
_WORD = re.compile(r"[A-Za-z]+")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and answer at by correct for he her his i in is it its no not of on she that the their there "
        "they this to was we were what when where which who why yes you",
    )
)


class LyingEngine:
    """Answers like the engine it wraps, and then swaps every proper name that the question does not hold."""

    name = "tiny"

    def __init__(self, honest: Engine) -> None:
        self._honest = honest

    async def models(self) -> tuple[OfferedModel, ...]:
        """It claims to offer what the honest engine offers."""
        return await self._honest.models()

    async def generate(self, job: StartInference, on_text: Callable[[str], None]) -> Generation:
        """A lie in an honest sentence."""
        made = await self._honest.generate(job, lambda _: None)
        prompt = "\n".join(message.content for message in job.messages)
        lie = with_false_names(made.text, prompt)
        on_text(lie)
        return msgspec.structs.replace(made, text=lie)

    async def close(self) -> None:
        """Give back what the honest engine holds."""
        await self._honest.close()


def lying(table: Mapping[str, object], surroundings: Surroundings) -> Engine:
    """The plugin `lying`; only the demonstration writes it into a configuration."""
    return LyingEngine(tiny(table, surroundings))


def with_false_names(answer: str, prompt: str) -> str:
    """`answer` with other names for the capitalised words that are neither common nor in the prompt."""
    asked = {word.lower() for word in _WORD.findall(prompt)}
    names = FALSE_PEOPLE if "who" in asked else FALSE_PLACES
    seen: dict[str, str] = {}

    def swapped(match: re.Match[str]) -> str:
        word = match.group()
        if not word[0].isupper() or word.lower() in asked or word.lower() in _COMMON:
            return word
        if word not in seen:
            seen[word] = next((name for name in names if name not in (word, *seen.values())), "Nemo")
        return seen[word]

    return _WORD.sub(swapped, answer)
