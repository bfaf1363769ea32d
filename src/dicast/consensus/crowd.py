"""Puts valid members with one answer and one set of bits together, and weighs what is left."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from dicast.consensus.bits import packed_words
from dicast.consensus.case import CaseRequest
from dicast.consensus.objections import numbered, objections
from dicast.consensus.opening import Valid
from dicast.consensus.support import Counts, Crowd, Layer


class Gathered(msgspec.Struct, frozen=True):
    """A crowd, and the index in it of each valid member's answer."""

    crowd: Crowd
    places: Counts


def gather(valid: Sequence[Valid], request: CaseRequest) -> Gathered:
    """The distinct answers of a round; the order of `valid` decides their order."""
    radii = sorted(request.frame.sec_distance_bits.items())
    places = numbered(
        [(member.reveal.answer, *(member.reveal.embeddings[name] for name, _ in radii)) for member in valid]
    )
    distinct: dict[int, Valid] = {}
    for place, member in zip(places.tolist(), valid, strict=True):
        distinct.setdefault(place, member)
    seats = np.zeros(len(distinct), np.int64)
    np.add.at(seats, places, np.array([member.seats for member in valid], np.int64))
    layers = tuple(
        Layer(packed_words([member.reveal.embeddings[name] for member in distinct.values()]), radius)
        for name, radius in radii
    )
    readings = [member.reading for member in distinct.values()]
    groups = numbered([reading.group for reading in readings])
    compared = np.array([reading.compared for reading in readings], np.bool_)
    crowd = Crowd(
        seats=seats,
        groups=groups,
        compared=compared,
        layers=layers,
        objections=objections(request.frame.gates, readings, request.prompt),
        is_uniform=bool(compared.all()) and len(set(groups.tolist())) == len(readings),
    )
    return Gathered(crowd, places)
