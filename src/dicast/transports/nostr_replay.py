"""What a relay had stored: fetched page by page, and put into the order in which it happened."""

from __future__ import annotations

from dicast.base.limits import ANNOUNCEMENT_EXPIRY_MS, PEERS_MAX
from dicast.protocol.messages import Kind
from dicast.transports.nostr_frames import ALL_KINDS, Relayed, StoredFilter, live_frame, older_frame

ROUND_PACKETS_MAX = (
    1000  # asked for at once; most relays give 500 at the most, without saying that there is more
)
PAGE_PACKETS_MIN = 100  # a page with fewer was not cut: no relay in use cuts below
PAGES_MAX = 8  # with what came live in between, as much as is held
HELD_PACKETS_MAX = 4096
HELD_BYTES_MAX = 8 << 20


class Replay:
    """Holds the packets of one subscription until the relay has given all that it had stored.

    Relays send the newest first and cut each filter at a limit of their own, so announcements and rounds are
    asked for apart, and what is older than the oldest so far on another page.
    """

    def __init__(self, topic: str, unix_seconds: int, since: int) -> None:
        self.pages = 0
        self._topic = topic
        self._is_skipped = since >= unix_seconds
        in_force = unix_seconds - ANNOUNCEMENT_EXPIRY_MS // 1000
        rounds = tuple(kind for kind in ALL_KINDS if kind != Kind.ANNOUNCEMENT)
        self._pages = (
            _Page(StoredFilter((Kind.ANNOUNCEMENT,), max(since, in_force), PEERS_MAX)),
            _Page(StoredFilter(rounds, since, ROUND_PACKETS_MAX)),
        )
        self._held: list[Relayed] = []
        self._bytes = 0

    def first_page(self) -> bytes:
        """The frame that subscribes."""
        self.pages = 1
        since = self._pages[1].asked.since if self._is_skipped else None
        return live_frame(self._topic, tuple(page.asked for page in self._pages), since)

    def hold(self, packet: Relayed) -> bool:
        """Keep one more; False when that was the last that fits."""
        self._held.append(packet)
        self._bytes += len(packet.wire)
        self._pages[packet.kind != Kind.ANNOUNCEMENT].note(packet.created_at)
        return len(self._held) < HELD_PACKETS_MAX and self._bytes < HELD_BYTES_MAX

    def next_page(self) -> bytes | None:
        """The frame that asks for what is older, or None when this was all."""
        wanted = tuple(stored for page in self._pages if (stored := page.turn()) is not None)
        if not wanted or self.pages >= PAGES_MAX:
            return None
        self.pages += 1
        return older_frame(self._topic, wanted)

    def take(self) -> list[bytes]:
        """Everything held, announcements first, then by time; kinds break ties, for a round follows them."""
        held, self._held, self._bytes = self._held, [], 0
        held.sort(key=_moment)
        return [packet.wire for packet in held]


class _Page:
    """Where one filter stands."""

    def __init__(self, asked: StoredFilter) -> None:
        self.asked = asked
        self._count = 0
        self._oldest: int | None = None

    def note(self, created_at: int) -> None:
        self._count += 1
        if created_at >= self.asked.since:
            self._oldest = created_at if self._oldest is None else min(created_at, self._oldest)

    def turn(self) -> StoredFilter | None:
        """The filter of the next page; it repeats the oldest second, unless that was a page of its own."""
        count, self._count = self._count, 0
        if count < PAGE_PACKETS_MIN or self._oldest is None:
            return None
        until = self._oldest - (self._oldest == self.asked.until)
        if until < self.asked.since:
            return None
        self.asked = StoredFilter(self.asked.kinds, self.asked.since, self.asked.limit, until)
        return self.asked


def _moment(packet: Relayed) -> tuple[bool, int, int]:
    return (packet.kind != Kind.ANNOUNCEMENT, packet.created_at, packet.kind)
