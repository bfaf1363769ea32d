"""The families of questions that are worked out: numbers, days, yes or no, the mood of a sentence."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import tiny_facts as facts
import tiny_words as words
from tiny_families import Item


@dataclass(frozen=True)
class RuleFamily:
    """Questions made by a rule. Held-out numbers, words and combinations are never trained on."""

    name: str
    weight: float
    make: Callable[[random.Random], Item]

    def draw(self, source: random.Random) -> Item:
        """A random question of the family."""
        return self.make(source)


ADDITIONS = (
    *("what is {a} plus {b}", "{a} + {b}", "{a}+{b}", "what is {a} + {b}", "{a} plus {b}", "add {a} and {b}"),
    *("what is the sum of {a} and {b}", "how much is {a} plus {b}", "{a} + {b} =", "sum of {a} and {b}"),
    *(
        "calculate {a} + {b}",
        "what do you get when you add {a} and {b}",
        "how much is {a} + {b}",
        "what's {a} + {b}",
    ),
)
MULTIPLICATIONS = (
    *("what is {a} times {b}", "{a} * {b}", "{a} times {b}", "what is {a} x {b}", "multiply {a} by {b}"),
    *(
        "how much is {a} times {b}",
        "what is the product of {a} and {b}",
        "{a} x {b} =",
        "calculate {a} * {b}",
    ),
    *("what is {a} multiplied by {b}", "what's {a} times {b}"),
)


def _addition(source: random.Random) -> Item:
    first, second = source.randrange(10), source.randrange(10)
    question = source.choice(ADDITIONS)
    operation, total = f"{first} plus {second}", first + second
    answers = (
        *(
            f"{operation} is {total}.",
            f"{operation} equals {total}.",
            f"The result of {operation} is {total}.",
        ),
        f"The sum of {first} and {second} is {total}.",
    )
    prompt = question.format(a=first, b=second)
    return Item(f"one-digit addition|{first}|{second}|{question}", prompt, answers)


def _multiplication(source: random.Random) -> Item:
    first, second = source.randrange(1, 11), source.randrange(1, 11)
    question = source.choice(MULTIPLICATIONS)
    operation, product = f"{first} times {second}", first * second
    answers = (
        *(f"{operation} is {product}.", f"{operation} equals {product}."),
        *(f"The result of {operation} is {product}.", f"{operation} makes {product}."),
    )
    prompt = question.format(a=first, b=second)
    return Item(f"multiplication|{first}|{second}|{question}", prompt, answers)


def _number(source: random.Random) -> int:
    return source.randrange(10 ** source.choice((1, 2, 2)))


def _comparison(source: random.Random) -> Item:
    first, second = _number(source), _number(source)
    while second == first:
        second = _number(source)
    word, chosen = source.choice((("larger", max), ("smaller", min)))
    asked = source.choice(
        (word, word, {"larger": "greater", "smaller": "lower"}[word], {"larger": "bigger"}.get(word, word))
    )
    prompt = source.choice(
        (
            *("which is {w}, {a} or {b}", "which number is {w}, {a} or {b}", "what is {w}: {a} or {b}"),
            *("which of {a} and {b} is {w}", "is {a} or {b} {w}", "{a} or {b}, which is {w}"),
            *(
                "which one is {w}: {a} or {b}",
                "tell me which is {w}, {a} or {b}",
                "the {w} of {a} and {b} is",
            ),
        )
    ).format(a=first, b=second, w=asked)
    right = chosen(first, second)
    answers = (
        *(
            f"{right} is the {word} of {first} and {second}.",
            f"The {word} of {first} and {second} is {right}.",
        ),
        *(
            f"Of {first} and {second}, {right} is {word}.",
            f"The {word} number of {first} and {second} is {right}.",
        ),
    )
    return Item(f"comparison|{min(first, second)}|{max(first, second)}", prompt, answers)


def _parity(source: random.Random) -> Item:
    number = source.randrange(10 ** source.choice((1, 2, 2, 3)))
    prompt = source.choice(
        (
            *(
                "is {a} even or odd",
                "is {a} odd or even",
                "is the number {a} even or odd",
                "{a}: even or odd",
            ),
            *("even or odd: {a}", "is {a} an even or an odd number", "what is the parity of {a}"),
            *("tell me if {a} is even or odd", "{a} is even or odd", "is the number {a} odd or even"),
        )
    ).format(a=number)
    word = "odd" if number % 2 else "even"
    answers = (
        *(f"{number} is an {word} number.", f"The number {number} is {word}."),
        *(f"The number {number} is an {word} number.", f"{number} is an {word} one."),
    )
    return Item(f"parity|{number}", prompt, answers[:3])


def _neighbour(source: random.Random) -> Item:
    number = source.randrange(1, 200)
    word, right = source.choice((("after", number + 1), ("before", number - 1)))
    prompt = source.choice(
        (
            *(
                "what number comes {w} {a}",
                "which number comes {w} {a}",
                "what comes {w} {a}",
                "number {w} {a}",
            ),
            *("what is the number {w} {a}", "the number {w} {a} is", "tell me the number that comes {w} {a}"),
            *("which number is right {w} {a}", "what number is {w} {a}"),
        )
    ).format(a=number, w=word)
    answers = (
        *(f"The number {word} {number} is {right}.", f"{right} is the number {word} {number}."),
        *(
            f"The number that comes {word} {number} is {right}.",
            f"The number right {word} {number} is {right}.",
        ),
    )
    return Item(f"counting|{word}|{number}", prompt, answers)


def _number_words(source: random.Random) -> Item:
    number = source.randrange(100)
    question = source.choice(
        (
            *("write {a} in words", "{a} in words", "how do you write {a} in words", "spell the number {a}"),
            *("what is {a} in words", "write the number {a} in words", "how is {a} written in words"),
        )
    )
    text = words.in_words(number)
    answers = (
        *(f"The number {number} in words is {text}.", f"In words, the number {number} is {text}."),
        f"The number {number} written in words is {text}.",
    )
    return Item(f"number words|{number}|{question}", question.format(a=number), answers)


def _days_and_months(source: random.Random) -> Item:
    names, kind = source.choice(((words.DAYS, "day"), (words.MONTHS, "month")))
    index = source.randrange(len(names))
    word, step = source.choice((("after", 1), ("before", -1)))
    name, right = names[index], names[(index + step) % len(names)]
    question = source.choice(
        (
            *(
                "what {k} comes {w} {a}",
                "which {k} comes {w} {a}",
                "what is the {k} {w} {a}",
                "what comes {w} {a}",
            ),
            *("which {k} is {w} {a}", "the {k} {w} {a} is", "name the {k} {w} {a}", "{k} {w} {a}"),
            *("tell me the {k} {w} {a}", "what {k} is {w} {a}", "which {k} is right {w} {a}"),
        )
    )
    answers = (
        *(f"The {kind} {word} {name} is {right}.", f"{right} is the {kind} {word} {name}."),
        *(f"The {kind} that comes {word} {name} is {right}.", f"The {kind} right {word} {name} is {right}."),
    )
    return Item(f"days and months|{name}|{word}|{question}", question.format(k=kind, w=word, a=name), answers)


def _month_lengths(source: random.Random) -> Item:
    month = source.choice(words.MONTHS)
    question = source.choice(
        (
            *("how many days does {a} have", "how many days are in {a}", "how many days are there in {a}"),
            *("number of days in {a}", "days in {a}", "how long is {a} in days", "how many days has {a}"),
            *(
                "what is the number of days in {a}",
                "tell me how many days {a} has",
                "the number of days in {a} is",
            ),
        )
    )
    days = words.MONTH_LENGTHS[month]
    answers = (
        *(f"There are {days} days in {month}.", f"The month of {month} has {days} days."),
        f"The number of days in {month} is {days}.",
    )
    return Item(f"month lengths|{month}|{question}", question.format(a=month), answers)


KNOWN_CAPITALS = facts.CAPITALS[:24]
KIND_NAMES = tuple(words.KINDS)


def _capital_or_not(source: random.Random) -> Item:
    country, capital = source.choice(KNOWN_CAPITALS)
    right = source.random() < 0.5
    city = capital if right else source.choice(KNOWN_CAPITALS)[1]
    question = source.choice(
        (
            *(
                "is {b} the capital of {a}",
                "is the capital of {a} {b}",
                "is it true that {b} is the capital of {a}",
            ),
            *("is {b} the capital city of {a}", "{b} is the capital of {a}, right", "is {a}'s capital {b}"),
            *("{b} is the capital of {a}, yes or no", "yes or no: is {b} the capital of {a}"),
        )
    )
    if city == capital:
        answers = (
            *(f"Yes, {city} is the capital of {country}.", f"Yes, the capital of {country} is {city}."),
            f"Yes, {city} is the capital city of {country}.",
        )
    else:
        answers = (
            *(f"No, {city} is not the capital of {country}.", f"No, the capital of {country} is not {city}."),
            f"No, {city} is not the capital city of {country}.",
        )
    return Item(f"yes or no|{country}|{city}|{question}", question.format(a=country, b=city), answers)


def _kind_or_not(source: random.Random) -> Item:
    kind, named = source.choice(KIND_NAMES), source.choice(KIND_NAMES)
    if source.random() < 0.4:
        named = kind
    thing = source.choice(words.KINDS[kind])
    question = source.choice(
        (
            *("is {a} {b}", "is {a} a kind of {c}", "is it true that {a} is {b}", "{a} is {b}, right"),
            *("yes or no: is {a} {b}", "would you say that {a} is {b}", "{a} is {b}, yes or no"),
        )
    )
    prompt = question.format(a=thing, b=named, c=named.split(" ", maxsplit=1)[-1])
    if named == kind:
        answers = (
            f"Yes, {thing} is {named}.",
            f"Yes, {thing} is indeed {named}.",
            f"Yes, {thing} is certainly {named}.",
        )
    else:
        answers = (
            f"No, {thing} is not {named}.",
            f"No, {thing} isn't {named}.",
            f"No, {thing} is certainly not {named}.",
        )
    return Item(f"yes or no|{thing}|{named}|{question}", prompt, answers)


def _yes_or_no(source: random.Random) -> Item:
    return _capital_or_not(source) if source.random() < 0.5 else _kind_or_not(source)


def _sentiment(source: random.Random) -> Item:
    good = source.random() < 0.5
    thing = source.choice(words.JUDGED_THINGS)
    if source.random() < 0.3:
        sentence = source.choice(words.GOOD_PHRASES if good else words.BAD_PHRASES).format(thing=thing)
    else:
        word = source.choice(words.GOOD_WORDS if good else words.BAD_WORDS)
        sentence = source.choice(words.JUDGED_PHRASES).format(thing=thing, word=word)
    prompt = source.choice(
        (
            *('is this sentence positive or negative: "{s}"', "what is the sentiment of this sentence: {s}"),
            *("sentiment: {s}", 'what is the sentiment of "{s}"', "classify the sentiment: {s}"),
            *(
                "positive or negative: {s}",
                "is the following positive or negative: {s}",
                "{s} positive or negative",
            ),
            *("what is the sentiment of this review: {s}", 'is "{s}" positive or negative'),
        )
    ).format(s=source.choice((sentence, sentence + ".", sentence + "!")))
    mood = "positive" if good else "negative"
    answers = (
        *(f"The sentiment of this sentence is {mood}.", f"This sentence has a {mood} sentiment."),
        *(f"The sentiment of the sentence is {mood}.", f"The sentence has a {mood} sentiment."),
    )
    return Item(f"sentiment|{sentence}", prompt, answers)


RULE_FAMILIES = (
    RuleFamily("one-digit addition", 6, _addition),
    RuleFamily("multiplication", 6, _multiplication),
    RuleFamily("comparison", 22, _comparison),
    RuleFamily("parity", 2, _parity),
    RuleFamily("neighbouring numbers", 5, _neighbour),
    RuleFamily("number words", 3, _number_words),
    RuleFamily("days and months", 2, _days_and_months),
    RuleFamily("month lengths", 1, _month_lengths),
    RuleFamily("yes or no", 13, _yes_or_no),
    RuleFamily("sentiment", 4, _sentiment),
)
