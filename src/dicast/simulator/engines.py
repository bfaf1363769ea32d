"""Simulated engines: honest nodes say the same thing in different words; the rest say something else."""

from __future__ import annotations

import hashlib

from dicast.protocol.messages import OfferedModel, prompt_text
from dicast.protocol.outputs import StartInference

MODEL = "simulated-1"
OFFERED = OfferedModel(name=MODEL, engine="simulated", context_tokens=8192)

TOPICS = (
    "alder", "birch", "cedar", "cherry", "elm", "fir", "hazel", "larch",
    "maple", "oak", "palm", "pine", "poplar", "rowan", "spruce", "willow",
)  # fmt: skip
"""Things an answer can say; any two lie about 190 bits apart."""

_OPENINGS = ("is the tree that", "is what people say", "must be the one that", "is named as the plant that")
_MIDDLES = ("grows along the river", "stands near the old bridge", "gives shade to the village")
_ENDINGS = ("and always did", "in every season", "as far as anyone knows", "without any doubt", "to this day")


def topic_of(prompt: str, flavour: str = "truth") -> str:
    """What an engine of this flavour believes about a prompt; each flavour believes one thing."""
    truth = _number(f"truth {prompt}") % len(TOPICS)
    if flavour == "truth":
        return TOPICS[truth]
    return TOPICS[(truth + 1 + _number(f"{flavour} {prompt}") % (len(TOPICS) - 1)) % len(TOPICS)]


def sentence(topic: str, wording: int) -> str:
    """One of many sentences that say `topic`."""
    opening = _OPENINGS[wording % len(_OPENINGS)]
    middle = _MIDDLES[wording // 7 % len(_MIDDLES)]
    return f"{topic} {opening} {middle} {_ENDINGS[wording // 31 % len(_ENDINGS)]}"


def answer(job: StartInference, flavour: str = "truth") -> str:
    """What an engine of this flavour answers; the sampling seed picks the wording."""
    return sentence(topic_of(prompt_text(job.messages), flavour), job.seed)


def spliced(prompt: str, spam_flavour: str, wording: int) -> str:
    """A text half-way between the honest answer and spam, within the usual radius of both."""
    tail = sentence("", wording).strip()
    return f"between {topic_of(prompt)} and {topic_of(prompt, spam_flavour)} {tail}"


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
