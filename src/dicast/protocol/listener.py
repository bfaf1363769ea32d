"""The requester's side of a token stream: one member is heard; when it falls silent another goes on."""

from __future__ import annotations

from collections.abc import Mapping

from dicast.base.agenda import Agenda
from dicast.base.limits import REVEAL_BYTES_MAX
from dicast.base.types import EventId, NodeId, Now, RequestId
from dicast.protocol.admission import by_trust
from dicast.protocol.context import Context
from dicast.protocol.outputs import StreamRestarted, Token
from dicast.protocol.round import Round
from dicast.protocol.speaker import line_between
from dicast.protocol.stream_seal import Line, StreamFrom, StreamText, sealed_wish

SILENCE_MS = 1_000
"""Of who was heard before: two beats and a half. With the way there and back another goes on within 2 s."""
FIRST_MS = 2_500
"""Of who was not heard yet: a request that was lost comes again after a second."""
GAP_MS = 250
"""After a lost chunk the rest is asked for so often."""
WISHES_MAX = 24
"""Of one round: a stream that many wishes do not mend is left to the verdict."""
RESTARTS_MAX = 4
"""Of one round: who is told four texts reads none."""
AHEAD_MAX = 64
"""Chunks kept beyond a gap: three seconds of a stream."""


class Hearing:
    """One round of ours: whom we listen to, what it said, and what was told."""

    __slots__ = (
        "ahead", "ask_id", "began_ms", "due_ms", "is_whole", "line", "member", "others", "restarts", "said",
        "told", "wished_ms", "wishes",
    )  # fmt: skip

    def __init__(self, ask_id: str, others: list[NodeId], now_ms: int) -> None:
        self.ask_id = ask_id
        self.others = others
        self.member = others.pop(0)
        self.line: Line | None = None
        self.said = ""
        self.told = ""
        self.ahead: dict[int, StreamText] = {}
        self.is_whole = False
        self.restarts = 0
        self.wishes = 0
        self.wished_ms = now_ms - GAP_MS
        self.began_ms = now_ms
        self.due_ms: int | None = now_ms + FIRST_MS

    def take(self, chunk: StreamText) -> None:
        """What was said first holds; only a text from its beginning on may take another's place."""
        room = REVEAL_BYTES_MAX - len(self.said.encode())
        if chunk.offset > len(self.said):
            if len(self.ahead) < AHEAD_MAX and chunk.offset <= REVEAL_BYTES_MAX:
                self.ahead.setdefault(chunk.offset, chunk)
            return
        end = chunk.offset + len(chunk.text)
        known = self.said[chunk.offset : end]
        if chunk.text.startswith(known):
            if len(chunk.text[len(known) :].encode()) <= room:
                self.said = self.said[: chunk.offset] + chunk.text if end > len(self.said) else self.said
                self.is_whole = self.is_whole or (chunk.last and end == len(self.said))
        elif not chunk.offset:
            self.said, self.is_whole = chunk.text, chunk.last
            self.ahead.clear()

    def catch_up(self) -> None:
        """Take what came too early and fits now."""
        while fitting := [offset for offset in self.ahead if offset <= len(self.said)]:
            self.take(self.ahead.pop(min(fitting)))


class Listener:
    """The streams of this node's own rounds."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._hearings: dict[RequestId, Hearing] = {}
        self._agenda: Agenda[RequestId] = Agenda()

    def begin(self, round_: Round, ask_id: str, now: Now) -> None:
        """Our request is out."""
        ranked = by_trust(self._context, tuple(round_.seats)) if round_.request.streamer else ()
        if ranked:
            streamer = NodeId(round_.request.streamer)
            others = [streamer, *(one for one in ranked if one != streamer)]
            self._hearings[round_.id] = hearing = Hearing(ask_id, others, now.monotonic_ms)
            self._connect(round_, hearing)
            self._note(round_, hearing)

    def is_open(self, request_id: RequestId) -> bool:
        """Is somebody listened to in this round?"""
        return request_id in self._hearings

    def hear(self, round_: Round, author: NodeId, chunk: StreamText, now: Now) -> None:
        """A chunk came; those of whom we do not listen to are passed over."""
        hearing = self._hearings.get(round_.id)
        if hearing is None or author != hearing.member:
            return
        hearing.take(chunk)
        hearing.catch_up()
        self._tell(round_, hearing)
        if hearing.is_whole:
            hearing.due_ms = None
        else:
            hearing.due_ms = now.monotonic_ms + SILENCE_MS
            if hearing.ahead or chunk.offset > len(hearing.said) or chunk.last:
                self._wish(round_, hearing, now)
        self._note(round_, hearing)

    def hear_gone(self, round_: Round, member: NodeId, now: Now) -> None:
        """A member will not answer: if it was the one that streamed, another goes on at once."""
        hearing = self._hearings.get(round_.id)
        if hearing is None:
            return
        hearing.others = [one for one in hearing.others if one != member]
        if hearing.member == member and hearing.due_ms is not None:
            self._switch(round_, hearing, now)
            self._note(round_, hearing)

    def take_due(self, rounds: Mapping[RequestId, Round], now: Now) -> None:
        """Who fell silent is replaced; who committed is only asked for what got lost."""
        for request_id in self._agenda.due(now.monotonic_ms):
            round_, hearing = rounds[request_id], self._hearings[request_id]
            if hearing.member in round_.commits_of and hearing.wishes < WISHES_MAX:
                hearing.due_ms = now.monotonic_ms + SILENCE_MS
                self._wish(round_, hearing, now)
            else:
                self._switch(round_, hearing, now)
            self._note(round_, hearing)

    @property
    def deadline_ms(self) -> int | None:
        """When the next of those we listen to has been silent for too long."""
        return self._agenda.deadline_ms

    def end(self, request_id: RequestId) -> None:
        """The quorum is sealed, or the round is over: nothing provisional is told any more."""
        self._hearings.pop(request_id, None)
        self._agenda.drop(request_id)

    def _note(self, round_: Round, hearing: Hearing) -> None:
        if hearing.due_ms is None:
            self._agenda.drop(round_.id)
        else:
            self._agenda.put(round_.id, hearing.due_ms)

    def _switch(self, round_: Round, hearing: Hearing, now: Now) -> None:
        """Listen to the next one, whose answer we know nothing of."""
        if not hearing.others or hearing.wishes >= WISHES_MAX:
            hearing.due_ms = None
            return
        hearing.member = hearing.others.pop(0)
        hearing.said, hearing.is_whole = "", False
        hearing.ahead.clear()
        hearing.due_ms = now.monotonic_ms + SILENCE_MS
        hearing.wished_ms = now.monotonic_ms - GAP_MS
        self._connect(round_, hearing)
        self._wish(round_, hearing, now)

    def _connect(self, round_: Round, hearing: Hearing) -> None:
        own = self._context.own_id
        hearing.line = line_between(self._context, round_, hearing.member, own)

    def _wish(self, round_: Round, hearing: Hearing, now: Now) -> None:
        """Ask for what comes after what was heard."""
        if now.monotonic_ms < hearing.wished_ms + GAP_MS or hearing.wishes >= WISHES_MAX:
            return
        hearing.wished_ms = now.monotonic_ms
        hearing.wishes += 1
        if hearing.line is not None and hearing.member != self._context.own_id:
            body = sealed_wish(hearing.line, StreamFrom(hearing.wishes, len(hearing.said)))
            self._context.effects.speak(body, now, EventId(round_.id), (hearing.member,))

    def _tell(self, round_: Round, hearing: Hearing) -> None:
        """Go on where the text stands, whoever said it; another text takes its place."""
        if hearing.told.startswith(hearing.said):
            return
        report = self._context.effects.report
        if not hearing.said.startswith(hearing.told):
            if hearing.restarts >= RESTARTS_MAX:
                return
            hearing.restarts += 1
            hearing.told = ""
            report(StreamRestarted(hearing.ask_id, round_.id, hearing.member))
        at = len(hearing.told)
        report(Token(hearing.ask_id, round_.id, hearing.member, at, hearing.said[at:]))
        hearing.told = hearing.said
