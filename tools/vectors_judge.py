"""Vectors of the judge: cases are written here, verdicts are computed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from msgspec.structs import replace

from dicast.base.codec import decode, encode
from dicast.base.types import Json, NodeId, RequestId
from dicast.consensus.case import Case, CaseCommit, CaseRequest, CaseReveal
from dicast.consensus.frame import JudgedFrame
from dicast.consensus.judge import judge, parse_case
from dicast.consensus.selection import commit_digest

REQUEST = RequestId(hashlib.sha256(b"dicast vectors: request").hexdigest())
SALT = hashlib.sha256(b"dicast vectors: selection salt").hexdigest()
Member = dict[str, Any]


def generate() -> dict[str, Json]:
    """File name -> content."""
    groups: dict[str, Callable[[], list[Json]]] = {
        "prose": prose,
        "gates": gates,
        "statuses": statuses,
        "labels": labels,
        "json": json_answers,
        "seats": seats,
        "attacks": attacks,
    }
    return {f"judge/{name}.json": make() for name, make in groups.items()}


def key(index: int) -> NodeId:
    """The key of member number `index`: the judge checks no signatures, so any 32 bytes do."""
    return NodeId(hashlib.sha256(b"dicast vectors: member %d" % index).hexdigest())


def says(answer: str, bits: str | dict[str, str] = "0000", **rest: Any) -> Member:
    """A member with its answer; `rest`: seats, model, silent, unrevealed, digest, recomputed, salt."""
    return {"answer": answer, "bits": {"toy": bits} if isinstance(bits, str) else bits, **rest}


def frame(need_bp: int = 6_000, radius: int = 4, quorum: int = 1, **rest: Any) -> JudgedFrame:
    """A frame over the embedder `toy` of 16 bits."""
    radii: dict[str, int] = rest.pop("sec_distance_bits", {"toy": radius})
    gates: tuple[str, ...] = rest.pop("gates", ())
    return JudgedFrame(quorum, need_bp, radii, gates, **rest)


def case(members: Sequence[Member], frame: JudgedFrame, **rest: Any) -> Case:
    """A case; `rest`: prompt, models, schema of the request, panel (False: none), selection_beacon."""
    commits: list[CaseCommit] = []
    reveals: list[CaseReveal] = []
    for index, member in enumerate(members):
        salt = hashlib.sha256(b"dicast vectors: salt %d" % index).hexdigest()
        opened = (salt, member.get("answer", ""), member.get("model", "m"))
        digest = member.get("digest", commit_digest(REQUEST, key(index), *opened))
        if not member.get("silent"):
            commits.append(CaseCommit(key(index), digest))
            if not member.get("unrevealed"):
                reveals.append(CaseReveal(key(index), opened[1], opened[2], salt, member["bits"]))
    has_panel = rest.pop("panel", True)
    seats: dict[str, int] = {key(index): member.get("seats", 1) for index, member in enumerate(members)}
    return Case(
        v=1,
        selection_beacon=rest.pop("selection_beacon", ""),
        request=CaseRequest(id=REQUEST, frame=frame, **rest),
        selection_salt=SALT,
        commits=tuple(commits),
        reveals=tuple(reveals),
        panel=seats if has_panel else None,
        recomputed={
            key(i): member["recomputed"] for i, member in enumerate(members) if "recomputed" in member
        },
    )


def row(name: str, about: Case) -> Json:
    """A case with its verdict; the verdict's bytes are the canonical JSON of the value here."""
    data = encode(about)
    return {"name": name, "case": decode(data), "verdict": decode(judge(parse_case(data)).encode())}


PARIS = "The capital of that country is the city of Paris."
PLAIN = "As everybody knows, the river is long and wide"
SPAM = "Buy cheap watches now in our wonderful online shop"
SILENT: Member = {"silent": True}


def numbered(text: str, bits: Sequence[str | dict[str, str]]) -> list[Member]:
    """One member for each bits, with texts that differ in their last word."""
    return [says(f"{text} {'abcdefghijklmnopqrst'[index]}", value) for index, value in enumerate(bits)]


def prose() -> list[Json]:
    """Distance, equality and ties."""
    twins = [{"toy": "0000", "twin": "00"}, {"toy": "000f", "twin": "03"}, {"toy": "0001", "twin": "07"}]
    both = frame(5_000, sec_distance_bits={"toy": 4, "twin": 2})
    live = [{"minilm-l6-v2/381": (b"\0" * 36 + bytes([filled] * 12)).hex()} for filled in (0, 255, 15, 1)]
    profile = frame(5_000, sec_distance_bits={"minilm-l6-v2/381": 100})
    accents = [says("the long cafe\u0301 road"), says("the long caf\u00e9 road", "ffff")]
    fenced = [says("```\nA b c d e\n```"), says("```\na b c d e\n```", "0001")]
    short = [says("Paris"), says("**paris**.", "ffff"), says("Lyon")]
    signs = [
        says("北京 ☃"),
        says("**北京** ☃."),
        says("東京 ☃"),
        says("done ✅ as you said, every file ✅✅"),
    ]
    plain = pairs(PLAIN, f"*{PLAIN}*", PARIS)
    equal = [says(PLAIN), says(f"{PLAIN}.", "ffff")]
    return [
        row("all agree", case(numbered(PLAIN, ["0000", "0001", "0003"]), frame())),
        row("one is outside", case(numbered(PLAIN, ["0000", "0001", "ffff"]), frame())),
        row("at the radius and one bit beyond", case(numbered(PLAIN, ["0000", "000f", "f001"]), frame())),
        row("radius 0", case(numbered(PLAIN, ["0000", "0000", "0001"]), frame(radius=0))),
        row("no agreement", case(numbered(PLAIN, ["0000", "00ff", "ff00", "ffff"]), frame())),
        row("need is every seat", case(numbered(PLAIN, ["0000", "0001"]), frame(10_000))),
        row("half decides, two values: not unique", case(numbered(PLAIN, ["0000", "ffff"]), frame(5_000))),
        row(
            "a chain: only the middle is core", case(numbered(PLAIN, ["0000", "000f", "00ff"]), frame(10_000))
        ),
        row("the tie goes to the least spread", case(numbered(PLAIN, ["0003", "0000", "0300"]), frame())),
        row("the tie goes to the ticket", case(numbered(PLAIN, ["0000"] * 5), frame())),
        row("equal texts agree, whatever bits say", case(equal, frame())),
        row("equal after NFC", case(accents, frame())),
        row("a code fence keeps its case", case(fenced, frame(10_000, 0))),
        row("short answers agree when equal", case(short, frame())),
        row("answers of signs that no embedding knows agree when equal", case(signs, frame(5_000))),
        row("a short and a long answer are apart", case([says("Paris"), says(PARIS)], frame())),
        row("near under every embedder", case(numbered(PLAIN, twins), both)),
        row("no embedder: equal texts only", case(plain, frame(sec_distance_bits={}))),
        row("48 bytes of the profile", case(numbered(PLAIN, live), profile)),
    ]


def gates() -> list[Json]:
    """A gate objects inside the radius; its strict twin objects more often."""
    rows: list[Json] = []
    texts = {
        "numbers": [
            "The bridge was opened in the year 1932 there",
            "The bridge was opened in the year 1933 there",
        ],
        "entities": [PARIS, PARIS.replace("Paris", "Lyon")],
        "polarity": ["The bridge is open to traffic all day", "The bridge is not open to traffic all day"],
    }
    for name, (one, other) in texts.items():
        members = [says(one), says(f"*{one}*"), says(other, "0001")]
        rows.append(row(f"{name}: a conflict", case(members, frame(gates=(name,)))))
        rows.append(row(f"{name}: the same without the gate", case(members, frame())))
    more = [says("It opened in 1932 and is used today"), says("It opened in 1932 and is 503 metres long")]
    rows.append(row("numbers: one contains the other", case(more, frame(10_000, gates=("numbers",)))))
    rows.append(row("numbers_strict: then too", case(more, frame(10_000, gates=("numbers_strict",)))))
    names = [
        says("The bridge stands in Sydney by the sea"),
        says("The bridge stands in Sydney, Australia, by the sea"),
    ]
    rows.append(row("entities: one contains the other", case(names, frame(10_000, gates=("entities",)))))
    rows.append(row("entities_strict: then too", case(names, frame(10_000, gates=("entities_strict",)))))
    asked = [says("In 1932 they opened the bridge at last"), says("In 1933 they opened the bridge at last")]
    prompt = "Was it 1932 or 1933 when they opened it?"
    prompted = case(asked, frame(10_000, gates=("numbers",)), prompt=prompt)
    rows.append(row("numbers of the prompt count where no other is left", prompted))
    return rows


def statuses() -> list[Json]:
    """Each way to fall, and the four reasons."""
    copied = commit_digest(REQUEST, key(0), hashlib.sha256(b"dicast vectors: salt 0").hexdigest(), "yes", "m")
    forms = [
        "",
        " \n",
        '"."',
        "a bell \x07 rings",
        "unassigned \U0001fae8 face",
        "word " * 4_100,
    ]
    broken = [says(text) for text in forms]
    fallen = [
        SILENT,
        says(PARIS, unrevealed=True, digest="00" * 32),
        says("", digest="00" * 32, model="other"),
        says("", model="other"),
        says("", recomputed={"toy": "0001"}),
        says(PARIS, recomputed={"toy": "0001"}),
        says(PARIS, recomputed={"toy": "0000"}),
        says(PARIS),
    ]
    votes = [says("yes"), says("yes", unrevealed=True), says("yes", unrevealed=True), SILENT]
    return [
        row("every status before agreement, in order", case(fallen, frame(2_500), models=("m",))),
        row("malformed answers", case([*broken, says(PARIS)], frame(1_000))),
        row("any model will do", case([says("yes", model="a"), says("yes", model="b")], frame())),
        row("quorum not reached, though need is", case([*votes[:1], *[SILENT] * 2], frame(3_000, quorum=2))),
        row("too few reveals", case(votes, frame())),
        row("nobody revealed", case(votes[1:], frame())),
        row("no seats at all", case([], frame(), panel=False)),
        row("a copied commit cannot be opened", case([says("yes"), says("yes", digest=copied)], frame())),
        row(
            "a broken schema",
            case(
                [says('{"a":1}'), says('{"a":"x"}')],
                frame(),
                schema='{"type":"object","properties":{"a":{"type":"integer"}}}',
            ),
        ),
    ]


def labels() -> list[Json]:
    """Answers that must name one of some labels; no embedder is needed."""
    asked = frame(labels=("Yes", "No", "perhaps"), sec_distance_bits={})
    agreed = [says("**Yes**", {}), says("yes.", {}), says('"YES"', {}), says("no", {})]
    return [
        row("agreed, in other spellings", case(agreed, asked)),
        row("a sentence names no label", case([says("The answer is yes", {}), says("yes", {})], asked)),
        row("split", case([says("yes", {}), says("no", {}), says("perhaps", {})], asked)),
        row(
            "bits do not matter but break ties",
            case([says("yes", "0000"), says("yes", "ffff"), says("yes", "0001")], frame(labels=("yes",))),
        ),
    ]


def json_answers() -> list[Json]:
    """JSON, compared at `exact` pointers and by the distance of the strings at `fuzzy` ones."""
    only = frame(10_000, exact=("/a",), gates=("json",), sec_distance_bits={})
    lists = frame(10_000, exact=("/b", "/a/0"), sec_distance_bits={})
    whole = frame(10_000, exact=("/a~1b", "/c~0d", ""), sec_distance_bits={})
    fields = frame(exact=("/a",), fuzzy=("/t",))
    unlike = [("1", "1.0"), ("1", '"1"'), ("true", "1"), ('"X"', '"x"'), ("null", "[]"), ("1e2", "100")]
    note = "the market has been calm since the morning"
    they_say = noted("1", f"{note}, they say", "0001")
    dated = [noted("1", f"{note} of {day} May") for day in ("3", "the 3rd of", "4")]
    short = [noted("1", "calm"), noted("1", "Calm.", "ffff"), noted("1", "wild")]
    broken = pairs("yes", '{"a":1,"a":1}', '{"b":1}', '{"a":1}')
    spellings = pairs('{"a":[1.50],"b":"x"}', '{"b":"x","a":[1.50,2]}', ' {"a": [1.50], "b": "\\u0078"}')
    nested = pairs('{"a":{"x":1,"y":[2]}}', '{"a":{"y":[2],"x":1}}')
    escaped = pairs('{"a/b":1,"c~d":2}', '{"c~d":2,"a/b":1}')
    return [
        row("agreed values, in any spelling", case(spellings, lists)),
        *(
            row(f"{one} is not {two}", case(pairs(f'{{"a":{one}}}', f'{{"a":{two}}}'), only))
            for one, two in unlike
        ),
        row("objects are equal in any order", case(nested, only)),
        row("escaped pointers, and the whole document", case(escaped, whole)),
        row("not JSON, a key twice, a value missing", case(broken, replace(only, sec_percentage_bp=2_000))),
        row("fuzzy texts near, exact values equal", case([noted("1", note), they_say], fields)),
        row(
            "fuzzy texts near, exact values differ",
            case([noted("1", note), they_say, noted("2", note)], fields),
        ),
        row("short fuzzy texts agree when equal", case(short, fields)),
        row("a fuzzy value that is no string", case([says('{"a":1,"t":3}'), noted("1", note)], fields)),
        row("gates read the fuzzy texts", case(dated, replace(fields, gates=("numbers",)))),
    ]


def pairs(*texts: str) -> list[Member]:
    """Members without embeddings."""
    return [says(text, {}) for text in texts]


def noted(value: str, text: str, bits: str = "0000") -> Member:
    """A member whose answer has a value at `/a` and a text at `/t`."""
    return says(f'{{"a":{value},"t":"{text}"}}', bits)


def seats() -> list[Json]:
    """A key with several seats answers once and counts as often as it was drawn."""
    three = [says("yes", seats=3), says("no"), says("No.")]
    return [
        row("three seats outvote two", case(three, frame())),
        row("without a panel each key has one", case(three, frame(), panel=False)),
        row("silent seats count in n", case([says("yes"), says("yes"), SILENT, SILENT], frame(5_100))),
        row("seats of the quorum, not keys", case([says("yes", seats=4), SILENT], frame(quorum=4))),
        row(
            "spread is weighed by seats",
            case(
                [
                    says(f"{PLAIN} a", "0001"),
                    says(f"{PLAIN} b", "0000", seats=2),
                    says(f"{PLAIN} c", "0003", seats=5),
                ],
                frame(),
            ),
        ),
    ]


def attacks() -> list[Json]:
    """What the rules are for."""
    honest, spam = numbered(PARIS, ["0000"] * 7), numbered(SPAM, ["ffff"] * 3)
    bridge = [*honest, says(f"{PARIS} {SPAM}", "00ff"), *spam]
    halves = [*numbered(PARIS, ["0000"] * 5), says(f"{PARIS} {SPAM}", "00ff"), *numbered(SPAM, ["ffff"] * 5)]
    fewer = [halves[0] | {"unrevealed": True}, *halves[1:]]
    votes = [says("a")] * 5 + [says("b")] * 4
    withheld = [says("a", unrevealed=True)] * 2 + votes[2:]
    wide, open_round = frame(radius=8), frame(radius=0)
    copies = [says(PARIS)] * 3 + [says(SPAM, "ffff")] * 2
    return [
        row("a spliced bridge gathers spam, which is not core", case(bridge, wide)),
        row("five, one between, five: need 6 of 11", case(halves, frame(5_400, 8))),
        row("the same with one withheld", case(fewer, frame(5_400, 8))),
        row("the same, need 7 of 11", case(fewer, frame(6_300, 8))),
        row("two liars reveal", case(votes, frame(5_100))),
        row("two liars withhold: undetermined, not flipped", case(withheld, frame(5_100))),
        row("copies of one text", case(copies, open_round)),
        row("a beacon chooses another winner", case(copies, open_round, selection_beacon="d1ce")),
        row("a commit left out re-rolls nothing", case([*copies[:4], SILENT], open_round)),
    ]
