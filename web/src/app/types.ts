/** What the native API answers (docs/api.md); field names are those of its JSON. */

export interface RoundSummary {
  request_id: string;
  state: "open" | "decided" | "ended";
  step: string;
  role: string;
  opened_unix_ms: number;
  decided_unix_ms: number | null;
  requester: string;
  prompt: string;
  models: string[];
  seats: number;
  quorum: number;
  need: number;
  commits: number;
  reveals: number;
  signatures: number;
  attempt: number;
  outcome: "accepted" | "undetermined" | null;
  reason: string | null;
  answer: string | null;
  winner: string | null;
  ball: number | null;
  runner_up: number | null;
  has_certificate: boolean;
}

export interface Page<T> {
  items: T[];
  next_cursor?: string | null;
}

export interface Frame {
  seats: number;
  quorum: number;
  need: number;
  faults: number;
  sec_percentage: number;
  sec_distance: number;
  sec_distance_bits: Record<string, number>;
  gates: string[];
  labels: string[];
  exact: string[];
  fuzzy: string[];
  deadline_ms: number;
}

export interface Member {
  node_id: string;
  seats: number;
  committed_unix_ms: number | null;
  revealed_unix_ms: number | null;
  signed_unix_ms: number | null;
  sealed: boolean;
  status: string | null;
}

export interface Answer {
  node_id: string;
  seats: number;
  answer: string;
  model: string;
  engine: string;
  usage: { prompt_tokens: number; completion_tokens: number; first_token_ms: number; total_ms: number } | null;
  status: string | null;
  support: number | null;
  in_ball: boolean;
  is_winner: boolean;
  x: number | null;
  y: number | null;
  distance: number | null;
  ticket: string | null;
}

export interface RoundDetail {
  round: RoundSummary;
  requester: string;
  messages: { role: string; content: string }[];
  max_tokens: number;
  temperature: number;
  attempt: number;
  previous: string | null;
  frame: Frame;
  panel: { admission: string; members: Member[]; beacon_round: number; beacon: string; candidates: number };
  answers: Answer[];
  layout: { embedder: string | null; bits: number; shown: number };
  ball: { center: string; radius: number; size: number; runner_up: number; need: number; unique: boolean } | null;
  gates: { gate: string; count: number; pairs: [string, string][] }[];
  winner: { node_id: string; answer: string; support: number; core: number; why: string } | null;
  steps: { at_unix_ms: number | null; step: string; node_id: string; event_id: string }[];
  certificate_url: string | null;
}

export interface PeerDot {
  id: string;
  roles: string[];
  models: number;
  load: number;
  slots: number;
  is_self: boolean;
}

export interface NodeView {
  npub: string;
  node: {
    node_id: string;
    roles: string[];
    models: string[];
    embedders: string[];
    slots: number;
    load: number;
    software: string;
    is_self: boolean;
    addresses: Record<string, unknown>;
    agreed: number;
    unrevealed: number;
    malformed: number;
    banned: string;
    announced_unix_s: number | null;
  };
}

export interface TransportView {
  name: string;
  state: string;
  detail: string;
  peers: string[];
  sent: number;
  received: number;
  dropped: number;
  first?: number;
  copies?: number;
  round_trip_ms?: number | null;
}

export interface Download {
  name: string;
  state: string;
  done_bytes: number;
  total_bytes: number | null;
}

export interface Status {
  npub: string;
  node: {
    node_id: string;
    network: string;
    version: string;
    uptime_s: number;
    roles: string[];
    models: string[];
    embedders: string[];
    peers: number;
    open_rounds: number;
    transports: TransportView[];
    packets_received: number;
    packets_dropped: number;
    packets_sent: number;
    refused: Record<string, number>;
    memory_mb: number;
    engines: { name: string; models: { name: string; engine: string; context_tokens: number; quantization?: string; domain?: string }[]; problem: string }[];
    downloads: Download[];
    packets: Record<string, Record<string, [number, number]>>;
  };
  gateway: { version: string; uptime_s: number; asking: number; waiting: number; listeners: number; needs_key: boolean; draining: boolean };
}

export interface FrameReport {
  seats: number;
  quorum: number;
  need: number;
  faults: number;
  sec_percentage: number;
  sec_distance: number;
  sec_distance_bits: number;
  minority: boolean;
  rates: { dishonest: number; false_accept: number; accept: number }[];
  problem: { code: string; message: string; next_step: string } | null;
}

export interface Preset {
  name: string;
  gates: string[];
  checked_form: boolean;
  is_default: boolean;
  report: FrameReport;
}

export interface AskResult {
  answer: string | null;
  request_id: string;
  dicast: {
    outcome: string;
    reason: string;
    n: number;
    need: number;
    ball: number;
    runner_up: number;
    verified: boolean;
    signed_seats: number;
    model?: string | null;
    certificate: string | null;
  };
}

export interface KeyView {
  id: string;
  name: string;
  scopes: string[];
  requests_per_minute: number;
  tokens_per_day: number | null;
  rounds_per_day: number | null;
  created_unix_s: number;
  tokens_today: number;
  rounds_today: number;
}

export interface LogLine {
  at_unix_ms: number;
  level: string;
  event: string;
  fields: Record<string, unknown>;
}

export interface Setting {
  key: string;
  value: unknown;
  default: unknown;
  is_default: boolean;
  source: string;
  file: string;
  lines: string;
  variable: string;
  flag: string;
}

export interface Live {
  id: string;
  at_unix_ms: number;
  type: string;
  data: Record<string, unknown>;
}
