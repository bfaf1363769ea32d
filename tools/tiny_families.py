"""The families of questions whose answers are looked up: templates of questions and of agreeing answers.

In a template `{a}` is the left side of a fact, `{b}` the right side, `{A}` and `{B}` the same with a capital.
The answer wordings of one family were chosen so that any two are at most 90 of 381 embedding bits apart.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

import tiny_facts as facts
import tiny_words as words


@dataclass(frozen=True)
class Item:
    """One question: `key` decides on which side of the split it falls; every one of `answers` is right."""

    key: str
    prompt: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class TableFamily:
    """Questions about one table of facts; the last question is only asked when measuring."""

    name: str
    weight: float
    table: tuple[facts.Pair, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]

    def draw(self, source: random.Random, *, unseen: bool = False) -> Item:
        """A random fact in a random wording of the question."""
        left, right = source.choice(self.table)
        question = self.questions[-1] if unseen else source.choice(self.questions[:-1])
        return Item(f"{self.name}|{left}|{question}", fill(question, left, right), self.render(left, right))

    def render(self, left: str, right: str) -> tuple[str, ...]:
        """Every wording of one fact."""
        return tuple(fill(answer, left, right) for answer in self.answers)


def fill(template: str, left: str, right: str) -> str:
    """A template with a fact in it."""
    return template.format(
        a=left, b=right, A=_capital(left), B=_capital(right), bare=left.removeprefix("the ")
    )


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _creation(verb: str, maker: str, extra: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *(f"who {verb} {{a}}", f"{{a}} was {verb} by", f"who is the {maker} of {{a}}", f"{maker} of {{a}}"),
        *(f"by whom was {{a}} {verb}", f"{{a}} was {verb} by whom", f"who was the {maker} of {{a}}"),
        *(f"name the {maker} of {{a}}", f"the {maker} of {{a}} is", f"tell me who {verb} {{a}}"),
        *(f"do you know who {verb} {{a}}", f"which person {verb} {{a}}", f"{{a}}, who {verb} it"),
        *(
            f"what is the name of the {maker} of {{a}}",
            *extra,
            f"what's the name of the person who {verb} {{a}}",
            f"who was it that {verb} {{a}}",
        ),
    )


def _created(verb: str, maker: str) -> tuple[str, ...]:
    return (
        f"{{A}} was {verb} by {{b}}.",
        f"The {maker} of {{a}} is {{b}}.",
        f"{{b}} is the {maker} of {{a}}.",
        f"It was {{b}} who {verb.replace('written', 'wrote')} {{a}}.",
    )


CAPITAL_QUESTIONS = (
    *("what is the capital of {a}", "what's the capital of {a}", "capital of {a}", "{bare} capital"),
    *("which city is the capital of {a}", "name the capital of {a}", "what is the capital city of {a}"),
    *("tell me the capital of {a}", "what city is the capital of {a}", "what is {a}'s capital"),
    *("do you know the capital of {a}", "the capital of {a} is", "give me the capital city of {a}"),
    *("i want to know the capital of {a}", "{a}: what is its capital", "which city is {a}'s capital"),
    *("what is the name of the capital of {a}", "which capital does {a} have", "the capital of {a}"),
    "could you say what the capital city of {a} is called",
    "what would be the capital of {a}",
)
CAPITAL_ANSWERS = (
    *("The capital of {a} is {b}.", "{b} is the capital of {a}.", "{A}'s capital is {b}."),
    *("The capital city of {a} is {b}.", "{b} is the capital city of {a}."),
)

WORD_FAMILIES = (
    TableFamily(
        "opposites",
        4,
        words.OPPOSITES,
        (
            *(
                "what is the opposite of {a}",
                "opposite of {a}",
                "give the opposite of {a}",
                "name the opposite of {a}",
            ),
            *("what's the opposite of {a}", "what is the opposite of the word {a}", "the opposite of {a} is"),
            *("which word is the opposite of {a}", "what word means the opposite of {a}", "antonym of {a}"),
            *("what is the antonym of {a}", "tell me the opposite of {a}", "do you know the opposite of {a}"),
            "which word has the opposite meaning of {a}",
            "what would be the opposite of {a}",
        ),
        (
            *("The opposite of {a} is {b}.", "{B} is the opposite of {a}."),
            *("The word opposite to {a} is {b}.", "The opposite of the word {a} is {b}."),
        ),
    ),
    TableFamily(
        "colours",
        3,
        words.COLOURS,
        (
            *(
                "what colour is {a}",
                "what color is {a}",
                "which colour is {a}",
                "colour of {a}",
                "color of {a}",
            ),
            *("what is the colour of {a}", "what is the color of {a}", "name the colour of {a}"),
            *("which color does {a} have", "what colour does {a} have", "tell me the colour of {a}"),
            *("the colour of {a} is", "do you know the color of {a}", "which color is {a} usually"),
            "what is the usual colour of {a}",
        ),
        (
            *("The colour of {a} is {b}.", "The usual colour of {a} is {b}.", "{A} is {b} in colour."),
            "{A} is usually {b} in colour.",
        ),
    ),
    TableFamily(
        "young animals",
        2,
        words.YOUNG_ANIMALS,
        (
            *("what is a young {a} called", "what is a baby {a} called", "what do you call a young {a}"),
            *("what do you call a baby {a}", "name for a baby {a}", "a young {a} is called", "baby {a} name"),
            *(
                "how is a young {a} called",
                "what is the young of a {a} called",
                "tell me what a baby {a} is called",
            ),
            *("what is the name of a young {a}", "which word names a baby {a}"),
            "what is the word for a baby {a}",
        ),
        (
            *("A young {a} is called a {b}.", "A baby {a} is called a {b}."),
            "The young of a {a} is called a {b}.",
        ),
    ),
    TableFamily(
        "plurals",
        3,
        words.PLURALS,
        (
            *(
                "what is the plural of {a}",
                "plural of {a}",
                "give the plural of {a}",
                "what's the plural of {a}",
            ),
            *("what is the plural form of {a}", "the plural of {a} is", "name the plural of {a}"),
            *(
                "what is the plural of the word {a}",
                "tell me the plural of {a}",
                "do you know the plural of {a}",
            ),
            *("write the plural of {a}", "which word is the plural of {a}"),
            "what would be the plural of {a}",
        ),
        (
            *("The plural of {a} is {b}.", "{B} is the plural of {a}.", "The plural form of {a} is {b}."),
            "The plural of the word {a} is {b}.",
        ),
    ),
    TableFamily(
        "chemical symbols",
        4,
        words.CHEMICAL_SYMBOLS,
        (
            *("what is the chemical symbol for {a}", "what is the chemical symbol of {a}", "symbol for {a}"),
            *("chemical symbol for {a}", "chemical symbol of {a}", "what is the symbol for {a}"),
            *(
                "which symbol does {a} have",
                "give the chemical symbol for {a}",
                "the chemical symbol for {a} is",
            ),
            *("what's the chemical symbol for {a}", "what is the symbol of the element {a}"),
            *(
                "tell me the chemical symbol of {a}",
                "name the symbol of {a}",
                "which chemical symbol stands for {a}",
            ),
            "what would be the chemical symbol for {a}",
        ),
        (
            *("The chemical symbol for {a} is {b}.", "{b} is the chemical symbol for {a}."),
            *("The chemical symbol of {a} is {b}.", "The symbol for the element {a} is {b}."),
        ),
    ),
)

PLACE_FAMILIES = (
    TableFamily("capitals", 13, facts.CAPITALS, CAPITAL_QUESTIONS, CAPITAL_ANSWERS),
    TableFamily(
        "continents",
        5,
        facts.CONTINENTS,
        (
            *("on which continent is {a}", "which continent is {a} on", "what continent is {a} in"),
            *(
                "in which continent is {a}",
                "continent of {a}",
                "what is the continent of {a}",
                "{bare} continent",
            ),
            *(
                "on what continent does {a} lie",
                "which continent does {a} belong to",
                "the continent of {a} is",
            ),
            *(
                "tell me the continent of {a}",
                "name the continent of {a}",
                "to which continent does {a} belong",
            ),
            "what continent can {a} be found on",
            "on what continent is {a} located",
        ),
        (
            *("{A} lies on the continent of {b}.", "{A} is on the continent of {b}."),
            *("The continent of {a} is {b}.", "The continent where {a} lies is {b}."),
        ),
    ),
    TableFamily(
        "languages",
        4,
        facts.LANGUAGES,
        (
            *("what language is spoken in {a}", "which language is spoken in {a}", "language of {a}"),
            *("what language do people speak in {a}", "which language do people in {a} speak"),
            *("what is the language of {a}", "what is the main language of {a}", "the language of {a} is"),
            *("what is the official language of {a}", "name the language of {a}", "{bare} language"),
            *(
                "tell me the main language of {a}",
                "what do people speak in {a}",
                "which language is used in {a}",
            ),
            "what language do they speak in {a}",
        ),
        (
            *("The language of {a} is {b}.", "The main language of {a} is {b}."),
            *("{b} is the main language of {a}.", "The official language of {a} is {b}."),
        ),
    ),
    TableFamily(
        "currencies",
        5,
        facts.CURRENCIES,
        (
            *("what is the currency of {a}", "which currency does {a} use", "currency of {a}"),
            *("what currency is used in {a}", "what's the currency of {a}", "name the currency of {a}"),
            *("the currency of {a} is", "what money is used in {a}", "tell me the currency of {a}"),
            *("which currency is used in {a}", "what currency does {a} have", "{bare} currency"),
            "what is the money of {a} called",
            "what is the national currency of {a}",
        ),
        (
            *("The currency of {a} is the {b}.", "The {b} is the currency of {a}."),
            *("{A} uses the {b} as its currency.", "The currency used in {a} is the {b}."),
        ),
    ),
)

WORK_FAMILIES = (
    TableFamily(
        "authors",
        8,
        facts.AUTHORS,
        (
            *("who wrote {a}", "who is the author of {a}", "author of {a}", "by whom was {a} written"),
            *(
                "who was the author of {a}",
                "{a} was written by",
                "who wrote the book {a}",
                "name the author of {a}",
            ),
            *("the author of {a} is", "tell me who wrote {a}", "do you know who wrote {a}", "{a} author"),
            *("which author wrote {a}", "which writer wrote {a}", "what is the name of the author of {a}"),
            *(
                "{a}, who wrote it",
                "who is {a} by",
                "{a} was written by whom",
                "i want to know who wrote {a}",
            ),
            "what's the name of the person who wrote {a}",
            "who is it that wrote {a}",
        ),
        _created("written", "author"),
    ),
    TableFamily(
        "painters",
        5,
        facts.PAINTERS,
        _creation("painted", "painter", ("which painter painted {a}", "which artist painted {a}")),
        _created("painted", "painter"),
    ),
    TableFamily(
        "composers",
        4,
        facts.COMPOSERS,
        _creation("composed", "composer", ("who wrote the music of {a}", "which composer composed {a}")),
        _created("composed", "composer"),
    ),
    TableFamily(
        "inventors",
        4,
        facts.INVENTORS,
        _creation("invented", "inventor", ("which inventor invented {a}", "who came up with {a}")),
        _created("invented", "inventor"),
    ),
    TableFamily(
        "scientists",
        8,
        facts.SCIENTISTS,
        _creation("discovered", "discoverer", ("which scientist discovered {a}", "who first discovered {a}")),
        _created("discovered", "discoverer"),
    ),
)

TABLE_FAMILIES = (*PLACE_FAMILIES, *WORK_FAMILIES, *WORD_FAMILIES)
