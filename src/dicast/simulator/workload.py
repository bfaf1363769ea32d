"""Who asks what, and when: some questions amid the faults, one or two after them that must be answered."""

from __future__ import annotations

import msgspec

from dicast.base.limits import PROMPT_BYTES_MAX
from dicast.base.types import NodeId
from dicast.consensus.constants import EMBEDDER
from dicast.consensus.frame import Frame, need, tolerated_faults
from dicast.protocol.inputs import Question
from dicast.protocol.messages import Message
from dicast.simulator.adversary_requesters import REQUESTER_NAMES
from dicast.simulator.dice import Dice
from dicast.simulator.faults import Faults
from dicast.simulator.host import Host
from dicast.simulator.ledger import Ask

SEATS_MAX = 7
"""Members of a simulated round at most: small rounds, many worlds."""
ASKS_MAX = 2
FIRST_ASK_MS = 1_500
"""After every machine is up and announced itself."""
SETTLED_MS = 14_000
"""After the faults, rounds that were open then are over by this time and have given back their slots."""
BEACON_PERIOD_MS = 1_000
"""The simulated beacon is quicker than drand's three seconds, as the budgets here are shorter."""
BEACON_ROUNDS_AHEAD = 2
"""A round that is not public anywhere yet, whatever the clocks say."""
HEALTHY = 1_000
"""Number of the question after the faults."""
BATCH = 100
"""Number of the first question of a batch."""
PERCENTAGES_BP = (5_100, 5_700, 6_600, 7_000, 8_000)
CANCELLED_PM = 120
"""Questions in a thousand whose asker loses interest."""
LARGE_PM = 120
"""Questions in a thousand that are too long for a packet."""
LARGE_BYTES_MAX = 96 * 1024
"""Several sealed pieces; more would only take time."""
BATCHES_PM = 120
"""Worlds in a thousand in which somebody has more questions than the node that it asks has slots."""
BATCH_ASKS = 12
"""More than slots and places to wait for one, mostly."""
BATCH_AFTER_MS = 1_500
"""After the first of them, so that the node knows how long they take."""
ENCRYPTED_PM = 500
"""Listed and drawn questions in a thousand that are encrypted."""
GATES = ("numbers", "entities", "polarity")


def draw_asks(seed: int, hosts: list[Host], faults: Faults) -> list[Ask]:
    """The questions of world `seed`."""
    dice = Dice(seed, "workload")
    asks = [_troubled(dice, hosts, faults, number) for number in range(dice.between(1, ASKS_MAX))]
    impatient = Dice(seed, "cancel")
    discreet = Dice(seed, "encrypted")
    asks += _batch(Dice(seed, "batch"), hosts)
    asks = [*(_cancelled(impatient, asked) for asked in asks), _healthy(dice, hosts, faults)]
    verbose = Dice(seed, "large")
    return [_large(verbose, _encrypted(discreet, asked)) for asked in asks]


def _cancelled(dice: Dice, asked: Ask) -> Ask:
    """The same question, or one whose asker loses interest."""
    after_ms = dice.between(1, 6_000) if dice.chance(CANCELLED_PM) else 0
    return msgspec.structs.replace(asked, cancel_after_ms=after_ms)


def _encrypted(dice: Dice, asked: Ask) -> Ask:
    """The same question, or one that only its members shall read."""
    encrypted = dice.chance(ENCRYPTED_PM) and asked.question.admission != "open"
    changed = msgspec.structs.replace(asked.question, encrypted=encrypted)
    return msgspec.structs.replace(asked, question=changed)


def _large(dice: Dice, asked: Ask) -> Ask:
    """The same question, or one that goes on for longer than a packet holds."""
    if not dice.chance(LARGE_PM):
        return asked
    [message] = asked.question.messages
    more = " and so on" * (dice.between(PROMPT_BYTES_MAX, LARGE_BYTES_MAX) // len(" and so on"))
    messages = (Message(message.role, message.content + more),)
    return msgspec.structs.replace(asked, question=msgspec.structs.replace(asked.question, messages=messages))


def streamed(asked: Ask) -> Ask:
    """The same question, read along."""
    return msgspec.structs.replace(asked, question=msgspec.structs.replace(asked.question, stream=True))


def beacon_round(at_ms: int) -> int:
    """The last beacon round that is public at a world time."""
    return at_ms // BEACON_PERIOD_MS


def ask(at_ms: int, host: int, number: int, question: Question, *, healthy: bool = False) -> Ask:
    """One question to one host."""
    return Ask(at_ms=at_ms, host=host, ask_id=f"ask-{number}", question=question, healthy=healthy)


def question(prompt: str, frame: Frame, seats: int, **more: object) -> Question:
    """A question with this prompt and frame."""
    return Question(messages=(Message("user", prompt),), frame=frame, seats=seats, **more)  # type: ignore[arg-type]


def frame_for(dice: Dice, seats: int) -> Frame:
    """A frame that `seats` can fill, with short budgets."""
    percentage_bp = dice.pick(PERCENTAGES_BP)
    quorum = max(1, need(percentage_bp, seats), seats - dice.below(3))
    most = tolerated_faults(percentage_bp, seats)
    return Frame(
        quorum=quorum,
        sec_percentage_bp=percentage_bp,
        sec_distance_bits={EMBEDDER: 100},
        gates=GATES if dice.chance(300) else (),
        faults=most if dice.chance(700) else dice.between(0, most),
        deadline_ms=dice.between(2_000, 5_000),
        reveal_ms=dice.between(1_000, 2_500),
        grace_ms=dice.between(0, 1_000),
    )


def _troubled(dice: Dice, hosts: list[Host], faults: Faults, number: int) -> Ask:
    at_ms = dice.between(FIRST_ASK_MS, faults.heal_ms - 1)
    askers = [host for host in hosts if host.conduct.name in REQUESTER_NAMES]
    host = dice.pick(askers) if askers and dice.chance(600) else dice.pick(hosts)
    admission = "listed" if dice.chance(650) else dice.pick(("drawn", "open"))
    seats = dice.between(1, min(SEATS_MAX, len(hosts)))
    frame = frame_for(dice, seats)
    members: tuple[NodeId, ...] = ()
    if admission == "listed" and dice.chance(500):
        members = tuple(member.machine.node_id for member in dice.sample(hosts, seats))
    return ask(
        at_ms,
        host.index,
        number,
        question(
            f"Which tree is it, number {dice.below(10_000)}?",
            frame,
            seats,
            admission=admission,
            members=members,
            attempts=1 if admission != "listed" else dice.between(1, 2),
            beacon_round=beacon_round(at_ms) + BEACON_ROUNDS_AHEAD if admission == "drawn" else 0,
        ),
    )


def _batch(dice: Dice, hosts: list[Host]) -> list[Ask]:
    """Many questions of one host to one member, at once."""
    if not dice.chance(BATCHES_PM):
        return []
    member = dice.pick([host for host in hosts if host.machine.settings.roles]).machine.node_id
    asker = dice.pick(hosts).index
    asks: list[Ask] = []
    for number in range(BATCH_ASKS):
        at_ms = FIRST_ASK_MS + (BATCH_AFTER_MS + dice.below(100) if number else 0)
        asked = question(f"Which tree is line {number}?", frame_for(dice, 1), 1, members=(member,))
        asks.append(ask(at_ms, asker, BATCH + number, asked))
    return asks


def _healthy(dice: Dice, hosts: list[Host], faults: Faults) -> Ask:
    """Every member honest and up, every packet arrives: this one has to be accepted."""
    honest = [host for host in hosts if not host.conduct.name]
    workers = [host for host in honest if host.machine.settings.roles]
    chosen = dice.sample(workers, dice.between(1, min(SEATS_MAX, len(workers))))
    return ask(
        faults.heal_ms + SETTLED_MS,
        dice.pick(honest).index,
        HEALTHY,
        question(
            f"Which healthy tree is it, number {dice.below(10_000)}?",
            frame_for(dice, len(chosen)),
            len(chosen),
            members=tuple(member.machine.node_id for member in chosen),
        ),
        healthy=True,
    )
