"""Eyes that see through seals: what a sealed question and a sealed reveal say to whoever holds the keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dicast.base.crypto import KeyPair
from dicast.base.errors import RemoteProtocolError
from dicast.base.types import EventId
from dicast.protocol.attached import attached_key, told_by
from dicast.protocol.envelope import Packet
from dicast.protocol.messages import Body, Panel, Quorum, Request, Reveal, SealedReveal
from dicast.protocol.network import NetworkSecret
from dicast.protocol.round_key import heard, member_key, opened, spoken


class Spyglass:
    """Holds keys of hosts, and learns the keys of the encrypted rounds that one of them is a member of."""

    def __init__(self, keys: Iterable[KeyPair]) -> None:
        self._keys: Mapping[str, KeyPair] = {key.node_id: key for key in keys}
        self._round_keys: dict[EventId, bytes] = {}
        self._rounds: dict[EventId, EventId] = {}
        self._drawn: dict[EventId, Request] = {}
        self.blobs: dict[str, bytes] = {}
        """Attached questions by their SHA-256, as their askers shared them."""

    def look(self, packet: Packet, body: Body) -> Body:
        """The body as it was meant; as it is where no key of ours opens it."""
        if isinstance(body, Request) and body.sealed:
            self._drawn[packet.id] = body
            return self._opened(packet, body)
        if isinstance(body, Panel) and body.wraps and packet.predecessor is not None:
            self._learn(packet, body, packet.predecessor)
        if isinstance(body, Quorum) and packet.predecessor is not None:
            self._rounds[packet.id] = packet.predecessor
        if isinstance(body, SealedReveal):
            return heard(body, self.key_after(packet.predecessor)) or body
        return body

    def told(self, request_id: EventId, request: Request, secret: NetworkSecret | None) -> Request | None:
        """The request with its messages; None where they are attached and nobody shared them."""
        try:
            request = opened(request, self.key_of(request_id))
        except RemoteProtocolError:
            return None
        if request.attachment is None:
            return request
        blob = self.blobs.get(request.attachment.sha256, b"")
        try:
            return told_by(request, blob, attached_key(self.key_of(request_id), secret))
        except RemoteProtocolError:
            return None

    def key_of(self, request_id: EventId) -> bytes | None:
        """The key of an encrypted round."""
        return self._round_keys.get(request_id)

    def key_after(self, quorum_id: EventId | None) -> bytes | None:
        """The key of the round that a quorum sealed."""
        request_id = self._rounds.get(quorum_id) if quorum_id is not None else None
        return self._round_keys.get(request_id) if request_id is not None else None

    def hide(self, body: Body, author: KeyPair, predecessor: EventId | None) -> Body:
        """The body as it is to be sent: reveals of encrypted rounds are sealed."""
        if not isinstance(body, Reveal):
            return body
        return spoken(body, author.node_id, self.key_after(predecessor)) or body

    def _learn(self, packet: Packet, panel: Panel, request_id: EventId) -> None:
        """The key of a drawn round, from the wrap for one of ours; the quorum names the panel."""
        for member in panel.members:
            own = self._keys.get(member)
            request = self._drawn.get(request_id)
            if own is None or request is None:
                continue
            key = member_key(own, packet.author, request, panel)
            if key is not None:
                self._round_keys[packet.id] = self._round_keys[request_id] = key
                return

    def _opened(self, packet: Packet, request: Request) -> Body:
        for member in request.members if packet.id not in self._round_keys else ():
            own = self._keys.get(member)
            key = member_key(own, packet.author, request) if own is not None else None
            if key is not None:
                self._round_keys[packet.id] = key
                break
        try:
            return opened(request, self._round_keys.get(packet.id))
        except RemoteProtocolError:
            return request
