"""Makes this node known, and finds others: announced addresses, records, and asking peers whom they know."""

from __future__ import annotations

from collections.abc import Iterable

from dicast.base.expiring import ExpiringMap
from dicast.base.hashing import hmac_sha256
from dicast.base.types import NodeId, Now
from dicast.protocol.context import Context
from dicast.protocol.envelope import Packet
from dicast.protocol.inputs import LinksSeen, PlaceGiven, RecordFound
from dicast.protocol.messages import Places, Refusal, Seek
from dicast.protocol.node_record import (
    RECORD_LIFE_S,
    finder_key,
    finder_keys,
    is_record_live,
    is_record_signed,
    make_record,
    node_of,
    parse_record,
)
from dicast.protocol.outputs import Find, Provide, TryPlace
from dicast.protocol.peer_book import PeerBook, Source
from dicast.protocol.places import TRANSPORTS_MAX, is_tellable, places_of, tellable

PATHS_MIN = 3
"""Links kept alive at a time, where there are so many: one may lie and one may die."""
TRIES_AT_ONCE = 3
"""Addresses tried together while paths are missing: hearsay is mostly stale."""
LOOK_MS, LOOK_MS_MIN = 5_000, 1_000
"""While paths are missing, more is tried this often, and at most every second when something new is heard."""
FEEL_MS = 120_000
"""With paths enough, one address is tried this often, so that what is proven stays true."""
FEELERS_LINKS_MAX = 8
"""With so many links, nothing is tried any more: each carries everything once more."""
FIND_MS_FIRST, FIND_MS, FIND_MS_LONG = 2_000, 60_000, 600_000
"""Tables are searched after 2, 4, 8 s … a minute while paths are missing (others start too), else less."""
RENEW_MS = RECORD_LIFE_S * 1000 // 4
"""A record is renewed well before tables drop it."""
SEEK_MS, SEEK_MS_LONG = 60_000, 1_800_000
"""How often one peer is asked for addresses: every minute while paths are missing, else every half hour."""
ANSWER_MS = 60_000
"""After asking, an answer counts this long; and nobody is answered twice in this time."""
ANSWERS_A_MINUTE_MAX = 20
"""Each costs a signature and a packet to everybody."""
ASKERS_MAX = 1_024
"""Askers and asked that are remembered: as many as there are peers."""
MODELS_SOUGHT_MS = 60_000
"""The same missing model is searched for no sooner."""


class Acquaintance:
    """Nothing happens here until a driver says that there are transports that dial, or finders."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._secret = context.identity.chance_secret()
        self.book = PeerBook(self._secret)
        self._dialling: frozenset[str] = frozenset()
        self._finders: tuple[str, ...] = ()
        self._look_ms: int | None = None
        self._looked_ms = -LOOK_MS_MIN
        self._find_ms: int | None = None
        self._find_pause_ms = FIND_MS_FIRST // 2
        self._provide_ms: int | None = None
        self._seek_ms: int | None = None
        self._asked: ExpiringMap[NodeId, bool] = ExpiringMap(ASKERS_MAX)
        self._answered: ExpiringMap[NodeId, bool] = ExpiringMap(ASKERS_MAX)
        self._sought: ExpiringMap[str, bool] = ExpiringMap(ASKERS_MAX)
        self._seeks = 0

    def hear_links(self, seen: LinksSeen, now: Now) -> bool:
        """Links or our own addresses changed; whether that is worth an announcement."""
        self._dialling, self._finders = frozenset(seen.dialling), seen.finders
        self.book.see_links(seen.links, now)
        own = tellable(seen.own)
        is_changed = own != self._context.addresses
        self._context.addresses = own
        if self._dialling:
            self._look_ms = now.monotonic_ms + FEEL_MS if self._look_ms is None else self._look_ms
            self._hurry(now)
            self._seek_ms = self._seek_ms or now.monotonic_ms + LOOK_MS
        if self._finders:
            self._find_ms = self._find_ms or now.monotonic_ms
        if is_changed:
            self.renew(now)
        return is_changed

    def renew(self, now: Now) -> None:
        """What we offer or where we are changed: records say so soon."""
        if self._finders and self._context.addresses:
            self._provide_ms = now.monotonic_ms

    def hear_given(self, given: PlaceGiven, now: Now) -> None:
        """A person's word: tried first, and never forgotten."""
        self.book.hear(given.place, Source.GIVEN, "", now)

    def hear_announcement(self, packet: Packet, addresses: dict[str, tuple[str, ...]], now: Now) -> None:
        """A live announcement says where its author is."""
        self._hear(addresses, Source.ANNOUNCEMENT, packet.author, now)

    def hear_record(self, found: RecordFound, now: Now) -> None:
        """Bytes out of a table; raises `RemoteProtocolError` when they are no record."""
        record = parse_record(found.record)
        author = node_of(record)
        if author == self._context.own_id or not is_record_live(record, now):
            return
        if not self._context.directory.is_banned(author) and is_record_signed(record, self._context.topic):
            self._hear(record.addresses, Source.RECORD, author, now)

    def miss(self, models: Iterable[str], now: Now) -> None:
        """Somebody asks for models: where no peer that runs them is known, tables may know one."""
        for model in models:
            is_served = any(True for _ in self._context.directory.workers((model,), ()))
            if self._finders and not is_served and not self._sought.get(model, now.monotonic_ms):
                self._sought.put(model, True, now.monotonic_ms + MODELS_SOUGHT_MS)
                self._context.effects.send_out(Find(finder_key(self._context.topic, model)))

    def refusal_of(self, packet: Packet) -> Refusal | None:
        """Before the signature is checked: a seek or an answer that is not for us, or not awaited."""
        if packet.addressees != (self._context.own_id,) or self._context.directory.is_banned(packet.author):
            return Refusal.FOREIGN
        return None

    def hear_seek(self, packet: Packet, seek: Seek, now: Now) -> Refusal | None:
        """Answer with a few addresses that we have seen alive, each asker once a minute."""
        lately = [asker for asker, _ in self._answered.items() if self._answered.get(asker, now.monotonic_ms)]
        if packet.author in lately or len(lately) >= ANSWERS_A_MINUTE_MAX:
            return Refusal.RATE
        told = self.book.told(seek.transports, packet.author)
        self._answered.put(packet.author, True, now.monotonic_ms + ANSWER_MS)
        if told:
            self._context.effects.speak(Places(v=1, addresses=told), now, addressees=(packet.author,))
        return None

    def hear_places(self, packet: Packet, places: Places, now: Now) -> Refusal | None:
        """The answer of a peer that we asked, the first within its time."""
        if not self._asked.get(packet.author, now.monotonic_ms):
            return Refusal.FOREIGN
        self._asked.pop(packet.author)
        self._hear(places.addresses, Source.EXCHANGE, packet.author, now)
        return None

    def take_due(self, now: Now) -> None:
        """Try, search, provide and ask, as far as it is time."""
        self.book.expire(now)
        if _is_due(self._look_ms, now):
            self._look(now)
        if _is_due(self._find_ms, now):
            self._find_pause_ms = min(2 * self._find_pause_ms, FIND_MS) if self.needs_paths else FIND_MS_LONG
            self._find_ms = now.monotonic_ms + self._find_pause_ms
            self._context.effects.send_out(Find(finder_key(self._context.topic)))
        if _is_due(self._provide_ms, now):
            self._provide(now)
        if _is_due(self._seek_ms, now):
            self._seek(now)

    @property
    def needs_paths(self) -> bool:
        """Whether fewer links stand than a node should have."""
        return self.book.links < PATHS_MIN

    @property
    def deadline_ms(self) -> int | None:
        """When something of this is due."""
        times = (self._look_ms, self._find_ms, self._provide_ms, self._seek_ms, self.book.deadline_ms)
        return min((at_ms for at_ms in times if at_ms is not None), default=None)

    def _hear(self, addresses: dict[str, tuple[str, ...]], source: Source, teller: str, now: Now) -> None:
        """Hearsay about transports that we have; our own addresses are no news."""
        own = places_of(self._context.addresses)
        for place in places_of(addresses):
            if place.transport in self._dialling and place not in own:
                is_new = self.book.hear(place, source, teller, now)
                if is_new:
                    self._hurry(now)

    def _hurry(self, now: Now) -> None:
        """There is somebody new to try, or a link less."""
        if self.needs_paths and self._look_ms is not None:
            self._look_ms = min(self._look_ms, max(now.monotonic_ms, self._looked_ms + LOOK_MS_MIN))

    def _look(self, now: Now) -> None:
        asked = list(self.book.challenge(now, self._dialling))
        if self.needs_paths:
            asked += self.book.take(TRIES_AT_ONCE, now, self._dialling)
        elif self.book.links < FEELERS_LINKS_MAX:
            asked += self.book.take(1, now, self._dialling)
        for place in asked:
            self._context.effects.send_out(TryPlace(place))
        self._looked_ms = now.monotonic_ms
        self._look_ms = now.monotonic_ms + (LOOK_MS if self.needs_paths else FEEL_MS)

    def _provide(self, now: Now) -> None:
        context = self._context
        models = [model.name for model in context.models]
        record = make_record(context.identity.key, context.topic, context.addresses, models, now)
        context.effects.send_out(Provide(finder_keys(context.topic, models), record))
        self._provide_ms = now.monotonic_ms + RENEW_MS

    def _seek(self, now: Now) -> None:
        """Ask one peer: one that was not asked lately, drawn by a chance that nobody foresees."""
        self._seek_ms = now.monotonic_ms + (SEEK_MS if self.needs_paths else SEEK_MS_LONG)
        directory = self._context.directory
        peers = [peer.node_id for peer in directory.peers() if not directory.is_banned(peer.node_id)]
        self._seeks += 1
        drawn = min(
            peers, key=lambda peer: hmac_sha256(self._secret, f"{self._seeks}{peer}".encode()), default=None
        )
        transports = tuple(name for name in sorted(self._dialling) if is_tellable(name, "-"))[:TRANSPORTS_MAX]
        if drawn is not None and transports:
            self._asked.put(drawn, True, now.monotonic_ms + ANSWER_MS)
            self._context.effects.speak(Seek(v=1, transports=transports), now, addressees=(drawn,))


def _is_due(at_ms: int | None, now: Now) -> bool:
    return at_ms is not None and at_ms <= now.monotonic_ms
