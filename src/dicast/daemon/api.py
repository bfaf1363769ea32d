"""What one may say to a node and what it answers: the records behind socket, command line and `Client`."""

from __future__ import annotations

from typing import Annotated, Any, get_args

import msgspec

from dicast.consensus.verdict import Verdict
from dicast.daemon import history
from dicast.daemon.settings_view import SettingRecord
from dicast.daemon.tellings import DownloadMoved, LogLine, Told
from dicast.protocol.messages import Admission, Message, OfferedModel, Usage


class Call(msgspec.Struct, frozen=True, tag_field="method", forbid_unknown_fields=True):
    """A request to a node; `method` names its kind."""


class Status(Call, frozen=True, tag="status"):
    """How is the node doing?"""


class Peers(Call, frozen=True, tag="peers"):
    """Whom does it know?"""


class Rounds(Call, frozen=True, tag="rounds"):
    """Which rounds is it in, which certificates has it?"""


class Certificate(Call, frozen=True, tag="certificate"):
    """The certificate of one of its rounds."""

    request_id: str


class History(Call, frozen=True, tag="history"):
    """The rounds that are wanted, newest first."""

    wanted: history.Wanted = history.Wanted()


class Round(Call, frozen=True, tag="round"):
    """Everything about one round: its signed packets."""

    request_id: str


class Logs(Call, frozen=True, tag="logs"):
    """The newest lines of its log, at least of this level."""

    limit: int = 200
    level: str = "debug"


class Embed(Call, frozen=True, tag="embed"):
    """The bits that this node's embedder reads in texts; empty names the embedder of votes."""

    texts: tuple[str, ...]
    embedder: str = ""


class SettingsInForce(Call, frozen=True, tag="settings"):
    """What is it set to?"""


class Events(Call, frozen=True, tag="events"):
    """Tell me what happens from now on; `noisy` includes refused packets, `logs` the lines of the log.

    `slim` leaves the certificates themselves out, and begins with `listening`.
    """

    noisy: bool = False
    logs: bool = False
    slim: bool = False


class AskOptions(Call, frozen=True, kw_only=True):
    """How to ask; None takes the node's own setting. `stream`: events carry a provisional text."""

    prompt: str
    system: str = ""
    history: tuple[Message, ...] = ()
    preset: str | None = None
    quorum: int | None = None
    seats: int | None = None
    sec_distance: float | None = None
    sec_percentage: float | None = None
    timeout_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    reveal_s: Annotated[float, msgspec.Meta(gt=0)] | None = None
    attempts: int | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    models: tuple[str, ...] | None = None
    members: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    fuzzy: tuple[str, ...] = ()
    schema: str = ""
    admission: Admission = Admission.LISTED
    encrypted: bool | None = None
    stream: bool = False


class Plan(AskOptions, frozen=True, tag="plan"):
    """What would asking this mean? Nothing is sent."""


class Ask(AskOptions, frozen=True, tag="ask"):
    """Ask it; events follow, then the answer."""


AnyCall = (
    Status
    | Peers
    | Rounds
    | Certificate
    | History
    | Round
    | Logs
    | Embed
    | SettingsInForce
    | Events
    | Plan
    | Ask
)


class TransportStatus(msgspec.Struct, frozen=True):
    """One transport of the node: `first` packets came by it before any other, `copies` after.

    `lag` is how long after the first copy a packet comes by it, over the last 512.
    """

    name: str
    state: str
    detail: str
    peers: tuple[str, ...]
    sent: int
    received: int
    dropped: int
    first: int = 0
    copies: int = 0
    oversized: int = 0
    failed: int = 0
    lag_median_ms: int | None = None
    lag_p95_ms: int | None = None
    round_trip_ms: int | None = None


class EngineStatus(msgspec.Struct, frozen=True):
    """One engine of the node and what it offers; `problem` says why it offers nothing."""

    name: str
    models: tuple[OfferedModel, ...]
    problem: str = ""


class StatusResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a node is doing."""

    node_id: str
    network: str
    version: str
    pid: int
    uptime_s: int
    roles: tuple[str, ...]
    models: tuple[str, ...]
    embedders: tuple[str, ...]
    peers: int
    open_rounds: int
    transports: tuple[TransportStatus, ...]
    inputs: int
    packets_received: int
    packets_dropped: int
    packets_sent: int
    refused: dict[str, int]
    reports_dropped: int
    memory_mb: int
    topic: str = ""
    """What the packets of its network are tagged with."""
    private: bool = False
    """Whether the network has a passphrase."""
    paths: dict[str, int] = {}
    """Transport -> connections that a packet could go over now; a node looks for more below three."""
    addresses: dict[str, tuple[str, ...]] = {}
    """Transport -> where others reach this node."""
    on_this_machine: bool = False
    """Whether it meets others by what is on this machine alone."""
    slots: int = 0
    load: int = 0
    engines: tuple[EngineStatus, ...] = ()
    downloads: tuple[DownloadMoved, ...] = ()
    packets: dict[str, dict[str, tuple[int, int]]] = {}
    """Transport -> kind -> (received, sent)."""


class PeerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One node that announced itself."""

    node_id: str
    roles: tuple[str, ...]
    models: tuple[str, ...]
    embedders: tuple[str, ...]
    slots: int
    load: int
    software: str
    is_self: bool = False
    addresses: dict[str, tuple[str, ...]] = {}
    contexts: dict[str, int] = {}  # model -> tokens in all; 0 where its engine does not say
    announced_unix_s: int = 0
    agreed: int = 0
    """Verdicts of rounds here that it agreed with; `unrevealed`, `malformed` and `banned` as well."""
    unrevealed: int = 0
    malformed: int = 0
    banned: str = ""


class RoundRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One round that is open here or whose certificate is stored here."""

    request_id: str
    state: str
    role: str = ""
    seats: int = 0
    commits: int = 0
    reveals: int = 0
    signatures: int = 0
    has_certificate: bool = False


class PlanResult(msgspec.Struct, frozen=True, kw_only=True):
    """What asking means: seats, and the chance that a lie is accepted if so many nodes were dishonest."""

    seats: int
    quorum: int
    need: int
    known_nodes: int
    known_workers: int
    error_rates: dict[str, float]
    own_only: bool
    deadline_ms: int
    models: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    encrypted: bool = False


class CertificateResult(msgspec.Struct, frozen=True):
    """A stored certificate."""

    request_id: str
    certificate: bytes


class LogResult(msgspec.Struct, frozen=True):
    """Lines of the log, oldest first."""

    lines: tuple[LogLine, ...]


class EmbedResult(msgspec.Struct, frozen=True):
    """The packed bits of each text as hex, most significant bit first, and its word pieces."""

    embedder: str
    bits: int
    embeddings: tuple[str, ...]
    tokens: tuple[int, ...]


class SettingsResult(msgspec.Struct, frozen=True):
    """Every setting, secrets hidden."""

    settings: tuple[SettingRecord, ...]


class Done(msgspec.Struct, frozen=True):
    """Nothing more will come."""


class RevealRecord(msgspec.Struct, frozen=True):
    """What one member revealed, as far as it is shown."""

    answer: str
    model: str
    usage: Usage


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How a question ended: `outcome` is `accepted` or `undetermined`.

    `verified`: more than one node had to agree; `checked`: this node recomputed the embeddings itself.
    """

    outcome: str
    reason: str
    answer: str | None
    request_id: str
    verdict: Verdict
    verified: bool
    checked: bool
    signed_seats: int
    attempts: int
    certificate: bytes = b""
    reveals: dict[str, RevealRecord] = {}
    """By key, opened: on a private network the certificate itself is sealed."""

    @property
    def is_accepted(self) -> bool:
        """Whether there is an answer that enough seats agree with."""
        return self.outcome == "accepted"


_REPORT_TYPES: tuple[type[Any], ...] = get_args(Told)


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


EVENT_TYPES: dict[str, type[Any]] = {_snake(kind.__name__): kind for kind in _REPORT_TYPES}
"""The name of an event on the wire -> the report it carries."""
EVENT_NAMES: dict[type[Any], str] = {kind: name for name, kind in EVENT_TYPES.items()}


class ReportsDropped(msgspec.Struct, frozen=True):
    """This listener was too slow: so many events are missing here."""

    count: int
