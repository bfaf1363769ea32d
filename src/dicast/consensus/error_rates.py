"""Chances that a frame errs, for people to see before they ask; display only, floats never leave it.

Model: seats are drawn at random; a share f of the nodes is dishonest and colludes on one lie; honest answers
land in one ball with probability 0.9. A lie is accepted when the dishonest hold `need` seats.
"""

from __future__ import annotations

from math import exp, fsum, lgamma, log, log1p

HONEST_AGREEMENT = 0.9
"""Chance that an honest answer lands in the common ball, as measured on paraphrases at the default radius."""


def at_least(successes: int, trials: int, chance: float) -> float:
    """P(X ≥ successes) of a binomial distribution; summed in logarithms, so that thousands of seats work."""
    if chance <= 0 or chance >= 1:
        return float(successes <= (trials if chance > 0 else 0))
    terms = (
        exp(
            lgamma(trials + 1)
            - lgamma(hits + 1)
            - lgamma(trials - hits + 1)
            + hits * log(chance)
            + (trials - hits) * log1p(-chance)
        )
        for hits in range(max(0, successes), trials + 1)
    )
    return min(1.0, fsum(terms))


def false_accept(seats: int, need: int, dishonest: float) -> float:
    """Chance that the dishonest alone hold `need` of the `seats` drawn."""
    return at_least(need, seats, dishonest)


def accept(seats: int, need: int, dishonest: float) -> float:
    """Chance that honest nodes in one ball hold `need` of the `seats` drawn."""
    return at_least(need, seats, (1 - dishonest) * HONEST_AGREEMENT)
