"""Named limits, each with the reason for its value. Milliseconds unless the name says otherwise."""

from __future__ import annotations

# Encoding
INTEGER_MAX = 2**53 - 1
"""JavaScript holds integers exactly up to here; the page reads the same bytes."""
JSON_DEPTH_MAX = 16
"""The deepest body (a JSON schema travels as a string) nests 6; recursive decoders stay shallow."""

# Packets
PACKET_BYTES_MAX = 64 * 1024
"""What public Nostr relays and MQTT brokers commonly accept; a full reveal with embeddings fits."""
REVEAL_BYTES_MAX = 48 * 1024
"""A packet less room for an envelope around it, so that a reveal that was committed to can always be sent."""
PROMPT_BYTES_MAX = 32 * 1024
"""Half a packet: the members list of a full round takes the rest. Longer prompts go by content hash."""
ATTACHED_PROMPT_BYTES_MAX = 1024 * 1024
"""A quarter of a million tokens, more than most models read; a slow line carries it in a few seconds."""
ATTACHED_BYTES_MAX = 2 * 1024 * 1024
"""Such a prompt as JSON, sealed and in base64, with room for escapes: what one question may cost a member."""
ATTACHED_ROUNDS_MAX = 64
"""Rounds of others with an attached question open at a time: 128 MiB of questions at the most."""
ATTACHED_ROUNDS_PER_REQUESTER_MAX = 16
"""As many as unfinished rounds of one requester: a batch of long questions, and no node filled by one key."""
ATTACHED_FETCH_MS_MAX = 60_000
"""For 2 MiB a line of 35 kB/s is enough; who never serves is given up on within a minute."""
TAGS_MAX = 64
"""Twelve times what any message needs; some relays add none, clients add few."""
TAG_ITEMS_MAX = 8
"""NIP-01 tags hold at most four items in use."""
TAG_ITEM_CHARS_MAX = 1024
"""An address or a topic is far shorter; a tag is indexed by relays."""
KIND_MAX = 65_535
"""NIP-01: a kind is an unsigned 16-bit number."""
UNIX_SECONDS_MAX = 253_402_300_799
"""The last second of the year 9999: what every calendar library can show."""

# Rounds
MEMBERS_MAX = 256
"""A quorum lists one 67-byte id a member: 256 of them fit a packet with room to spare."""
UNITS_MAX = 64
"""Tickets one key may hold: bounds the hashing of a draw and the weight of one key."""
DEADLINE_MS_MIN = 1_000
"""Below a second the network alone takes the time."""
DEADLINE_MS_MAX = 3_600_000
"""An hour: longer work belongs in several requests; open rounds hold memory."""
REVEAL_MS_MAX = 600_000
"""Revealing is one packet; ten minutes outlive a relay's restart."""
GRACE_MS_MAX = 600_000
"""Waiting for stragglers longer than this is a longer deadline, and should be written as one."""
ATTEMPTS_MAX = 3
"""Asking again and again until the answer pleases is grinding; a reader sees the chain."""
OPEN_ROUNDS_MAX = 512
"""Rounds a node keeps open at a time, a quarter of them of others: with a request of 64 KiB and 9 reveals of
48 KiB, the largest there are, these are below 300 MB; one of a usual size has 10 KiB."""
MODELS_MAX = 64
"""Models named in a request or an announcement: 64 at 100 bytes leave nine tenths of a packet."""
MAX_TOKENS_MAX = 32_768
"""More tokens than fit a reveal: 48 KiB of text is about 12,000 tokens; a budget beyond it wastes work."""
TEMPERATURE_MILLI_MAX = 2_000
"""The largest temperature that the common engines take."""

# Meeting
RELAYS_MAX = 16
"""Nostr relays of one node: each carries everything once more; beyond a handful nothing is gained."""

# Freshness
REQUEST_FRESHNESS_MS = 60_000
"""A request older than a minute may be a replay; clocks kept by NTP agree far better."""
ROUND_FRESHNESS_MS = 60_000
"""Packets of a round are taken this long after its budgets are over."""
EPHEMERAL_FRESHNESS_MS = 600_000
"""Status and token streams mean nothing after ten minutes."""
CLOCK_AHEAD_MS = 60_000
"""Stamps further ahead are dropped and reported, never penalised: one of the two clocks is wrong."""
ANNOUNCEMENT_PERIOD_MS_MIN = 60_000
"""At most one announcement a minute: a flood of them would drown rounds."""
ANNOUNCEMENT_PERIOD_MS_MAX = 600_000
"""At least one in ten minutes: three may be lost before one expires."""
ANNOUNCEMENT_EXPIRY_MS = 1_800_000
"""Thirty minutes: a peer that vanished is forgotten within the half hour."""
SEEN_WINDOW_MS = DEADLINE_MS_MAX + REVEAL_MS_MAX + ROUND_FRESHNESS_MS
"""Ids are remembered at least as long as any packet of a round stays fresh."""
SEEN_IDS_MAX = 500_000
"""Two generations of at most this many ids: about 150 MB if somebody signs a million packets an hour."""

# Peers
PEERS_MAX = 1_024
"""Announcements kept: 64 MiB at the worst, and more than a round can seat four times over."""
PACKETS_PER_KEY_AND_SECOND = 512
"""A batch of short questions: a hundred rounds a second with a node are four packets each from it. Checking
as many signatures takes a twentieth of a core, and a flood costs its sender more than us."""
WANT_PERIOD_MS = 2_000
"""A packet is fetched again by the same asker no sooner: longer than a round trip over a slow relay."""
RESEND_MS_FIRST = 1_000
"""Back-off of repeats starts at a second, then doubles."""
RESEND_MS_MAX = 16_000
"""A repeat at least each 16 s finds a relay that came back soon enough for the shortest reveal."""
CERTIFICATES_KEPT_MAX = 4_096
"""At 100 kB a certificate this is 400 MB on disk."""

# Cases
CASE_BYTES_MAX = 64 * 1024 * 1024
"""16,384 seats with answers of 4 kB."""
CASE_SEATS_MAX = 16_384
"""Pairwise agreement of the packed bits takes seconds here and minutes at four times as many."""
WINDOWS_MAX = 16
"""16 windows of 254 word pieces are about 16 kB of English prose."""
