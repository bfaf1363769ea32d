"""Token streams of all rounds: what a packet means for whom we speak to and whom we listen to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dicast.base.types import NodeId, Now, RequestId
from dicast.protocol.context import Context
from dicast.protocol.envelope import Packet
from dicast.protocol.listener import Listener
from dicast.protocol.messages import Body, Commit, Continue, Quorum, Refusal, Stream, WorkState, WorkStatus
from dicast.protocol.round import Round
from dicast.protocol.speaker import Speaker, line_between
from dicast.protocol.stream_seal import StreamText, opened_text, opened_wish


class Streams:
    """A stream changes no verdict: nothing of a round reads what is kept here."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._listener = Listener(context)
        self.speaker = Speaker(context, self._hear_own)

    def opened(self, round_: Round, ask_id: str, now: Now) -> None:
        """A request of ours is out."""
        self._listener.begin(round_, ask_id, now)

    def hear(self, round_: Round, packet: Packet, body: Body, now: Now) -> Refusal | None:
        """A packet of a round; refuses those of streams that are not for us now."""
        match body:
            case Stream():
                return self._hear_chunk(round_, packet, body, now)
            case Continue():
                return self._hear_wish(round_, packet, body, now)
            case Commit():
                self._time(round_, packet, now)
            case Quorum():
                self.end(round_.id)
            case WorkStatus(state=WorkState.DECLINED):
                self._listener.hear_gone(round_, packet.author, now)
            case WorkStatus(state=WorkState.CANCELLED) if packet.author == round_.requester:
                self.end(round_.id)
            case _:
                pass
        return None

    def take_due(
        self, rounds: Mapping[RequestId, Round], is_working: Callable[[Round], bool], now: Now
    ) -> None:
        """Say what waits, replace who fell silent."""
        self.speaker.take_due(rounds, is_working, now)
        self._listener.take_due(rounds, now)

    @property
    def deadline_ms(self) -> int | None:
        """The earliest of both sides."""
        times = (self.speaker.deadline_ms, self._listener.deadline_ms)
        return min((one for one in times if one is not None), default=None)

    def end(self, request_id: RequestId) -> None:
        """Sealed, cancelled or forgotten."""
        self.speaker.end(request_id)
        self._listener.end(request_id)

    def _hear_own(self, round_: Round, chunk: StreamText, now: Now) -> None:
        self._listener.hear(round_, self._context.own_id, chunk, now)

    def _hear_chunk(self, round_: Round, packet: Packet, body: Stream, now: Now) -> Refusal | None:
        if packet.author not in round_.seats or round_.requester != self._context.own_id:
            return Refusal.NOT_MEMBER
        if not self._listener.is_open(round_.id):
            return Refusal.LATE
        line = line_between(self._context, round_, packet.author, packet.author)
        chunk = opened_text(line, body) if line is not None else None
        if chunk is None:
            return Refusal.BODY
        self._listener.hear(round_, packet.author, chunk, now)
        return None

    def _hear_wish(self, round_: Round, packet: Packet, body: Continue, now: Now) -> Refusal | None:
        if packet.author != round_.requester:
            return Refusal.NOT_REQUESTER
        if round_.quorum is not None:
            return Refusal.LATE
        line = line_between(self._context, round_, round_.requester, round_.requester)
        wish = opened_wish(line, body) if line is not None else None
        if wish is None:
            return Refusal.BODY
        self.speaker.hear_wish(round_, wish, now)
        return None

    def _time(self, round_: Round, packet: Packet, now: Now) -> None:
        """How soon a member commits to an answer in a round of ours."""
        if round_.requester == self._context.own_id:
            taken_ms = max(1, now.monotonic_ms - round_.opened_ms)
            self._context.directory.note_speed(NodeId(packet.author), 1_000_000_000 // taken_ms)
