"""The member's side of a token stream: says its answer to the requester while it is being made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from dicast.base.agenda import Agenda
from dicast.base.limits import REVEAL_BYTES_MAX
from dicast.base.nip44 import SealError, conversation_key
from dicast.base.types import EventId, NodeId, Now, RequestId
from dicast.consensus.text import WHITE_SPACE, clean_output, clean_piece
from dicast.protocol.context import Context
from dicast.protocol.round import Round
from dicast.protocol.stream_seal import PIECE_CHARS_MAX, Line, StreamFrom, StreamText, sealed_text

CHUNK_MS = 50
"""Pieces are said at most so often: twenty times a second reads as flowing."""
CHUNKS_A_SECOND = 48
"""All streams of a node together: a tenth of what others hear of one key; nine tenths are for its rounds."""
BEAT_MS = 400
"""Who has nothing to say says so: two beats may be lost before it is taken for gone."""
WISH_MS = 200
"""The requester's wishes are followed at most so often."""
STREAM_BYTES_MAX = 4 * REVEAL_BYTES_MAX
"""Of one round, what is said again included: a requester cannot make its members flood the network."""

HearOwn = Callable[[Round, StreamText, Now], None]


class Voice:
    """The answer so far, and what was said of it."""

    __slots__ = (
        "bytes",
        "held",
        "is_on",
        "is_whole",
        "line",
        "said",
        "said_ms",
        "sequence",
        "text",
        "wished_ms",
    )

    def __init__(self, line: Line | None, is_on: bool, now_ms: int) -> None:
        self.line = line
        self.is_on = is_on
        self.is_whole = False
        self.text = ""
        self.held = ""
        self.said = 0
        self.said_ms = now_ms
        self.sequence = 0
        self.bytes = 0
        self.wished_ms = now_ms - WISH_MS

    def add(self, piece: str) -> None:
        """White space at the end waits: the answer may end there, and is trimmed."""
        raw = self.held + piece
        body = raw.rstrip(WHITE_SPACE)
        self.held = raw[len(body) :]
        body = body if self.text else body.lstrip(WHITE_SPACE)
        self.text += clean_piece(body)

    def finish(self, answer: str) -> None:
        """The whole answer; its rest can be said if it begins as it was said."""
        if answer.startswith(self.text[: self.said]):
            self.text = answer
        self.is_whole = True


class Speaker:
    """The answers that this node is making in rounds that stream. Ours are told without a packet."""

    def __init__(self, context: Context, hear_own: HearOwn) -> None:
        self._context = context
        self._hear_own = hear_own
        self._voices: dict[RequestId, Voice] = {}
        self._paced: Agenda[RequestId] = Agenda()
        """Who has something to say: by when it spoke last, which all wait as long after."""
        self._others: Agenda[RequestId] = Agenda()
        """Who speaks for the first time, or says that it is still at it."""

    def begin(self, round_: Round, now: Now) -> None:
        """Our seat began to work."""
        if round_.request.streamer and round_.id not in self._voices:
            is_on = round_.request.streamer == self._context.own_id
            voice = self._voices[round_.id] = Voice(self._line(round_), is_on, now.monotonic_ms)
            self._note(round_.id, voice)

    def hear_progress(self, round_: Round, piece: str, now: Now) -> None:
        """The engine made a piece. The first is said at once."""
        voice = self._voices.get(round_.id)
        if voice is None or voice.is_whole:
            return
        voice.add(piece)
        if now.monotonic_ms >= self._due_ms(voice):
            self._say(round_, voice, now)
        self._note(round_.id, voice)

    def hear_finished(self, round_: Round, text: str, now: Now) -> None:
        """The engine is done: what was not said yet is said at once."""
        voice = self._voices.get(round_.id)
        if voice is None or voice.is_whole:
            return
        voice.finish(clean_output(text))
        self._say_rest(round_, voice, now)
        self._note(round_.id, voice)

    def hear_wish(self, round_: Round, wish: StreamFrom, now: Now) -> None:
        """The requester wants to hear it from us, from an offset on."""
        voice = self._voices.get(round_.id)
        if voice is None or now.monotonic_ms < voice.wished_ms + WISH_MS:
            return
        voice.wished_ms = now.monotonic_ms
        voice.is_on = voice.bytes <= STREAM_BYTES_MAX
        voice.said = min(wish.offset, len(voice.text))
        if voice.is_whole:
            self._say_rest(round_, voice, now)
        else:
            self._say(round_, voice, now)
        self._note(round_.id, voice)

    def take_due(
        self, rounds: Mapping[RequestId, Round], is_working: Callable[[Round], bool], now: Now
    ) -> None:
        """Say what waits, or that we are still at it."""
        due = (*self._others.due(now.monotonic_ms), *self._paced.due(now.monotonic_ms - self._pause_ms))
        for request_id in due:
            voice = self._voices[request_id]
            voice.is_on = is_working(rounds[request_id])
            self._say(rounds[request_id], voice, now)
            self._note(request_id, voice)

    @property
    def deadline_ms(self) -> int | None:
        """When the next stream wants to say something."""
        first, paced = self._others.deadline_ms, self._paced.deadline_ms
        if paced is None:
            return first
        return paced + self._pause_ms if first is None else min(first, paced + self._pause_ms)

    def end(self, request_id: RequestId) -> None:
        """Nobody listens any more."""
        self._voices.pop(request_id, None)
        self._paced.drop(request_id)
        self._others.drop(request_id)

    @property
    def _pause_ms(self) -> int:
        speaking = len(self._paced) + len(self._others)
        return max(CHUNK_MS, 1_000 * speaking // CHUNKS_A_SECOND)

    def _is_paced(self, voice: Voice) -> bool:
        return bool(voice.sequence) and len(voice.text) > voice.said

    def _note(self, request_id: RequestId, voice: Voice) -> None:
        is_speaking, is_paced = voice.is_on and not voice.is_whole, self._is_paced(voice)
        if is_speaking and is_paced:
            self._paced.put(request_id, voice.said_ms)
        else:
            self._paced.drop(request_id)
        if is_speaking and not is_paced:
            self._others.put(request_id, self._due_ms(voice))
        else:
            self._others.drop(request_id)

    def _due_ms(self, voice: Voice) -> int:
        if self._is_paced(voice):
            return voice.said_ms + self._pause_ms
        return voice.said_ms + (BEAT_MS if len(voice.text) <= voice.said else 0)

    def _say_rest(self, round_: Round, voice: Voice, now: Now) -> None:
        while self._say(round_, voice, now):
            pass

    def _say(self, round_: Round, voice: Voice, now: Now) -> bool:
        """One chunk; whether more of a whole answer is left."""
        if not voice.is_on:
            return False
        piece = voice.text[voice.said : voice.said + PIECE_CHARS_MAX]
        last = voice.is_whole and voice.said + len(piece) == len(voice.text)
        chunk = StreamText(voice.sequence, voice.said, piece, last)
        voice.said += len(piece)
        voice.said_ms = now.monotonic_ms
        voice.sequence += 1
        voice.bytes += len(piece.encode())
        voice.is_on = voice.bytes <= STREAM_BYTES_MAX
        if round_.requester == self._context.own_id:
            self._hear_own(round_, chunk, now)
        elif voice.line is not None:
            body = sealed_text(voice.line, chunk)
            self._context.effects.speak(body, now, EventId(round_.id), (round_.requester,))
        return voice.is_whole and not last

    def _line(self, round_: Round) -> Line | None:
        return line_between(self._context, round_, round_.requester, self._context.own_id)


def line_between(context: Context, round_: Round, peer: NodeId, author: NodeId) -> Line | None:
    """The line on which `author` speaks to the other of `peer` and us; None for a peer that is no key."""
    try:
        key = conversation_key(context.identity.key, peer)
    except SealError:
        return None
    return Line(key, round_.id, author)
