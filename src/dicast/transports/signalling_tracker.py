"""Meeting at a WebTorrent tracker: it hands our offers to others in the room, and theirs to us."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dicast.transports.signalling import Offer, Party, SocketSignaller
from dicast.transports.trystero import SEALED_CHARS_MAX, Signal, is_id, tracker_hash

PROBLEM_CHARS_MAX = 200  # what a tracker says about itself ends in a status line


class Description(msgspec.Struct, frozen=True):
    """An offer or an answer, sealed."""

    type: str
    sdp: str


class TrackerMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tracker and its peers say; fields by the names of the protocol."""

    action: str = ""
    info_hash: str = ""
    peer_id: str = ""
    to_peer_id: str = ""
    offer_id: str = ""
    offer: Description | None = None
    answer: Description | None = None
    failure: str = msgspec.field(default="", name="failure reason")


class _Offered(msgspec.Struct, frozen=True):
    offer_id: str
    offer: Description


class _Announcement(msgspec.Struct, frozen=True):
    info_hash: str
    peer_id: str
    numwant: int
    offers: list[_Offered]
    action: str = "announce"


class TrackerSignaller(SocketSignaller):
    """A tracker. It brings strangers too, if it likes: what they say does not open, and is dropped."""

    takes_offers = True

    def announce(self, offers: Sequence[Offer]) -> None:
        """Hand in offers; with none, stay in the room to get those of others."""
        if self._party is None:
            return
        offered = [_Offered(one.id, Description("offer", one.sealed)) for one in offers]
        room = tracker_hash(self._party.room.topic)
        self._say(_ENCODER.encode(_Announcement(room, self._party.peer_id, len(offered), offered)))

    def tell(self, peer_id: str, signal: Signal) -> None:
        """A tracker passes on answers and nothing else."""
        if self._party is None or not signal.answer:
            return
        answer = TrackerMessage(
            action="announce",
            info_hash=tracker_hash(self._party.room.topic),
            peer_id=self._party.peer_id,
            to_peer_id=peer_id,
            offer_id=signal.offer_id,
            answer=Description("answer", signal.answer),
        )
        self._say(_ENCODER.encode(answer))

    def _greeting(self, party: Party) -> list[bytes]:
        return []

    def _take(self, party: Party, text: bytes) -> None:
        message = parse_message(text)
        if message is None:
            return
        if message.failure:
            self.problem = message.failure[:PROBLEM_CHARS_MAX]
        elif message.info_hash == tracker_hash(party.room.topic):
            signal = signal_of(message)
            if signal is not None:
                party.heard(self, signal)


def parse_message(text: bytes) -> TrackerMessage | None:
    """What a tracker said, None when it is nothing a tracker says. Never raises, whatever the bytes."""
    try:
        return _MESSAGE.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def signal_of(message: TrackerMessage) -> Signal | None:
    """The signal in a tracker's message."""
    offer = message.offer.sdp if message.offer is not None else ""
    answer = message.answer.sdp if message.answer is not None else ""
    is_good = is_id(message.peer_id) and is_id(message.offer_id) and bool(offer) != bool(answer)
    if not is_good or len(offer) + len(answer) > SEALED_CHARS_MAX:
        return None
    return Signal(message.peer_id, offer=offer, answer=answer, offer_id=message.offer_id)


_MESSAGE = msgspec.json.Decoder(TrackerMessage)
_ENCODER = msgspec.json.Encoder()
