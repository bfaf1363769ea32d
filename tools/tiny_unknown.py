"""Questions that are none of the model's business, which it learns to turn down."""

from __future__ import annotations

import random

from tiny_families import TABLE_FAMILIES, Item, fill

UNKNOWN_ANSWERS = (
    "I do not know the answer to that.",
    "I don't know the answer to that.",
    "I do not know the answer to this question.",
)

TOPICS = (
    *(
        "a poem",
        "a story",
        "love",
        "football",
        "the stock market",
        "machine learning",
        "a recipe",
        "black holes",
    ),
    *(
        "politics",
        "my homework",
        "quantum physics",
        "a business plan",
        "the economy",
        "climate change",
        "health",
    ),
    *("a cover letter", "history", "the weather tomorrow", "bread", "a bicycle", "programming", "an email"),
    *("a song", "my dog", "yoga", "the internet", "a database", "taxes", "a house", "the moon", "dinosaurs"),
    *("chess", "a joke", "pasta", "insurance", "vaccines", "volcanoes", "marketing", "philosophy", "coffee"),
)
PLACES = (
    *("france", "germany", "japan", "brazil", "kenya", "india", "paris", "london", "new york", "the world"),
    *("china", "italy", "mexico", "europe", "africa", "the city", "my town", "norway", "canada", "peru"),
)
PEOPLE = (
    *(
        "napoleon",
        "albert einstein",
        "cleopatra",
        "the pope",
        "the king of spain",
        "my neighbour",
        "shakespeare",
    ),
    *(
        "julius caesar",
        "the president",
        "gandhi",
        "a famous actor",
        "my teacher",
        "isaac newton",
        "jane austen",
    ),
)
FOREIGN = (
    *(
        "write {t}",
        "write me {t} please",
        "explain {t}",
        "explain {t} to a child",
        "how does {t} work",
        "hello",
    ),
    *(
        "tell me about {t}",
        "what do you think about {t}",
        "how do i make {t}",
        "give me advice about {t}",
        "hi",
    ),
    *(
        "why is {t} important",
        "what is {t}",
        "summarize {t}",
        "help me with {t}",
        "who are you",
        "how are you",
    ),
    *(
        "how do i learn {t}",
        "translate {t} into spanish",
        "what is the history of {t}",
        "describe {t}",
        "thanks",
    ),
    *(
        "what is the population of {p}",
        "who is the president of {p}",
        "how big is {p}",
        "how far is {p}",
        "why",
    ),
    *("what time is it in {p}", "what is the weather in {p}", "what should i see in {p}", "is {p} expensive"),
    *("when was {p} founded", "what is the highest mountain in {p}", "what is the longest river in {p}"),
    *("how many people live in {p}", "who won the election in {p}", "what is the best restaurant in {p}"),
    *(
        "when was {n} born",
        "how old is {n}",
        "where does {n} live",
        "who is {n}",
        "what did {n} do",
        "who was {n}",
    ),
    *("when did {n} die", "who is the wife of {n}", "what is {n} famous for", "where was {n} born"),
    *("what is the meaning of life", "who won the world cup", "what should i eat today", "tell me a joke"),
    *("write a python function that sorts {t}", "fix this code", "how do i install {t}", "what is your name"),
    *(
        "what is the square root of {d}",
        "what is {d} minus {d}",
        "what is {d} divided by {d}",
        "solve x + {d} = {d}",
    ),
    *("{d} - {d}", "{d} / {d}", "how many miles are {d} kilometers", "in which year did {t} begin", "the"),
    *(
        "how tall is {n}",
        "how many legs does {t} have",
        "recommend {t}",
        "is {t} good for me",
        "can you {v} {t}",
    ),
    *(
        "should i {v} {t}",
        "how to {v} {t}",
        "when should i {v} {t}",
        "where can i {v} {t}",
        "who can {v} {t}",
    ),
    *("why do people {v} {t}", "what happens if i {v} {t}", "i want to {v} {t}", "let us {v} {t} in {p}"),
)
VERBS = (
    "buy",
    "sell",
    "build",
    "cook",
    "read",
    "find",
    "repair",
    "draw",
    "sing",
    "avoid",
    "study",
    "teach",
    "stop",
)
SYLLABLES = (
    *("ka", "mo", "ri", "ta", "lu", "ven", "dor", "zan", "bel", "qui", "sha", "pra", "gon", "ul", "ex", "th"),
    *(
        "ni",
        "wa",
        "fro",
        "mer",
        "stu",
        "ya",
        "hol",
        "bri",
        "cam",
        "dan",
        "ost",
        "eri",
        "land",
        "ia",
        "top",
        "is",
    ),
)


def _made_up(source: random.Random) -> str:
    name = "".join(source.choice(SYLLABLES) for _ in range(source.randrange(2, 5)))
    return source.choice(("", "", "", "the ", "a ")) + name


def _word_salad(source: random.Random) -> str:
    pool = (*TOPICS, *PLACES, *PEOPLE, *VERBS, *(question.split(" ", maxsplit=1)[0] for question in FOREIGN))
    length = source.choice((2, 3, 5, 8, 12, 30))
    return " ".join(source.choice(pool) if source.random() < 0.8 else _made_up(source) for _ in range(length))


def _foreign(source: random.Random) -> str:
    question = source.choice(FOREIGN)
    while "{d}" in question:
        question = question.replace("{d}", str(source.randrange(10 ** source.choice((1, 2, 3)))), 1)
    slots = {"t": TOPICS, "p": PLACES, "n": PEOPLE, "v": VERBS}
    return question.format(**{slot: source.choice(values) for slot, values in slots.items()})


def _about_nothing(source: random.Random) -> str:
    """A question of one of the tables about a thing that does not exist or belongs to another table."""
    family = source.choice(TABLE_FAMILIES)
    if source.random() < 0.8:
        thing = _made_up(source)
    else:
        other = source.choice(TABLE_FAMILIES)
        thing = source.choice(other.table)[0]
        if any(thing == left for left, _ in family.table):
            thing = _made_up(source)
        if {family.name, other.name} <= PLACE_LIKE:
            thing = _made_up(source)
    return fill(source.choice(family.questions[:-1]), thing, "")


PLACE_LIKE = {"capitals", "continents", "languages", "currencies"}


def draw_unknown(source: random.Random) -> Item:
    """A question to turn down."""
    kind = source.random()
    if kind < 0.6:
        prompt = _foreign(source)
    elif kind < 0.85:
        prompt = _about_nothing(source)
    else:
        prompt = _word_salad(source)
    return Item(f"unknown|{prompt}", prompt, UNKNOWN_ANSWERS)
