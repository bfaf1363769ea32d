/** Who is right: `judge(case) -> verdict`, the same bytes as in every other language (`spec/06-judge.md`). */
import { encode } from "../base/codec.ts";
import { fromHex, sha256, tagged, taggedHex, toHex, toUtf8 } from "../base/hashing.ts";
import { type Reading, reader } from "./agreement.ts";
import type { Case, CaseReveal } from "./case.ts";
import { conflict, type Features, features } from "./gates.ts";

export type Status =
  | "silent" | "unrevealed" | "digest_mismatch" | "model_refused" | "malformed" | "embedding_mismatch"
  | "core" | "accepted" | "conflict" | "outside" | "undecided";

/** What a round ends with; `digest` covers all other fields. */
export interface Verdict {
  v: 1;
  outcome: "accepted" | "undetermined";
  reason: "agreed" | "quorum_not_reached" | "too_few_reveals" | "no_agreement";
  n: number;
  need: number;
  statuses: Record<string, Status>;
  support: Record<string, number>;
  center: string | null;
  ball_size: number;
  runner_up_size: number;
  unique: boolean;
  winner: string | null;
  answer: string | null;
  digest: string;
}

interface Valid {
  pubkey: string;
  seats: number;
  digest: string;
  reveal: CaseReveal;
  reading: Reading;
}

interface Pair {
  near: boolean;
  agrees: boolean;
  apart: number;
}

/** Seats that must agree: the percentage of the seats drawn, rounded up. */
export function need(percentageBp: number, seats: number): number {
  return Math.ceil((percentageBp * seats) / 10_000);
}

/** What a commit promises: this key's answer and model for this request, hidden by the salt. */
export function commitDigest(requestId: string, reveal: CaseReveal): string {
  const hashes = [reveal.answer, reveal.model].map((text) => sha256(toUtf8(text)));
  return toHex(tagged("dicast/commit/1", ...[requestId, reveal.pubkey, reveal.salt].map(fromHex), ...hashes));
}

/** The verdict of a case that holds together (`checkCase` saw it). */
export function judge(subject: Case): Verdict {
  const { seats, committedSeats, fallen, valid } = openCase(subject);
  const seed = taggedHex("dicast/selection/1", subject.request.id, subject.selection_salt, subject.selection_beacon);
  const ball = ballOf(valid, subject, seed);
  const n = Object.values(seats).reduce((sum, one) => sum + one, 0);
  const needed = need(subject.request.frame.sec_percentage_bp, n);
  const reason = reasonOf(subject, committedSeats, valid, ball.support, needed);
  const accepted = reason === "agreed";
  const statuses: Record<string, Status> = { ...fallen };
  valid.forEach(({ pubkey }, at) => {
    statuses[pubkey] = accepted ? statusOf(ball.pairs[at]!, ball.support[at]! >= needed) : "undecided";
  });
  const core = valid.filter(({ pubkey }) => statuses[pubkey] === "core");
  const winner = accepted ? lowest(core, ({ digest, pubkey }) => taggedHex("dicast/select/1", seed, digest) + pubkey) : null;
  const rest = {
    v: 1 as const,
    outcome: accepted ? ("accepted" as const) : ("undetermined" as const),
    reason,
    n,
    need: needed,
    statuses,
    support: Object.fromEntries(valid.map(({ pubkey }, at) => [pubkey, ball.support[at]!])),
    center: ball.center,
    ball_size: ball.size,
    runner_up_size: ball.runnerUp,
    unique: ball.runnerUp < needed,
    winner: winner?.pubkey ?? null,
    answer: winner ? (winner.reading.value ?? winner.reveal.answer) : null,
  };
  return { ...rest, digest: toHex(tagged("dicast/verdict/1", toUtf8(encode(rest)))) };
}

/** What became of each member before agreement is looked at: rules 1 to 3. */
function openCase(subject: Case) {
  const digests = new Map(subject.commits.map(({ pubkey, digest }) => [pubkey, digest]));
  const reveals = new Map(subject.reveals.map((reveal) => [reveal.pubkey, reveal]));
  const seats = subject.panel ?? Object.fromEntries(Array.from(digests.keys(), (key) => [key, 1]));
  const read = reader(subject.request);
  const fallen: Record<string, Status> = {};
  const valid: Valid[] = [];
  for (const pubkey of Object.keys(seats).sort()) {
    const digest = digests.get(pubkey);
    const reveal = reveals.get(pubkey);
    const found = digest === undefined ? "silent" : reveal === undefined ? "unrevealed" : checked(subject, reveal, digest, read);
    if (typeof found === "string") fallen[pubkey] = found;
    else valid.push({ pubkey, seats: seats[pubkey]!, digest: digest!, reveal: reveal!, reading: found });
  }
  const committedSeats = Array.from(digests.keys()).reduce((sum, key) => sum + seats[key]!, 0);
  return { seats, committedSeats, fallen, valid };
}

/** The reading of a valid reveal, or the first thing that is wrong with it. */
function checked(subject: Case, reveal: CaseReveal, digest: string, read: (answer: string) => Reading | null): Status | Reading {
  if (commitDigest(subject.request.id, reveal) !== digest) return "digest_mismatch";
  const { models } = subject.request;
  if (models.length && !models.includes(reveal.model)) return "model_refused";
  const reading = read(reveal.answer);
  if (reading === null) return "malformed";
  const own = Object.hasOwn(subject.recomputed, reveal.pubkey) ? subject.recomputed[reveal.pubkey]! : reveal.embeddings;
  return encode(own) === encode(reveal.embeddings) ? reading : "embedding_mismatch";
}

function reasonOf(subject: Case, committedSeats: number, valid: Valid[], support: number[], needed: number): Verdict["reason"] {
  if (committedSeats < subject.request.frame.quorum) return "quorum_not_reached";
  if (Math.max(-1, ...support) >= needed) return "agreed";
  return valid.reduce((sum, { seats }) => sum + seats, 0) < needed ? "too_few_reveals" : "no_agreement";
}

/** Rule 6: the support of every valid answer, the centre, and who agrees with it. */
function ballOf(valid: Valid[], subject: Case, seed: string) {
  if (!valid.length) return { center: null, support: [], pairs: [], size: 0, runnerUp: 0 };
  const compare = comparison(valid, subject);
  const rows = valid.map((_, row) => valid.map((_, column) => compare(row, column)));
  const over = (row: Pair[], weight: (pair: Pair) => number) => row.reduce((sum, pair, at) => sum + weight(pair) * valid[at]!.seats, 0);
  const support = rows.map((row) => over(row, (pair) => Number(pair.agrees)));
  const spread = rows.map((row) => over(row, (pair) => (pair.agrees ? pair.apart : 0)));
  const largest = Math.max(...support);
  const tightest = Math.min(...spread.filter((_, at) => support[at] === largest));
  const tied = valid.map((_, at) => at).filter((at) => support[at] === largest && spread[at] === tightest);
  const center = lowest(tied, (at) => taggedHex("dicast/tie/1", seed, valid[at]!.digest) + valid[at]!.pubkey)!;
  const pairs = rows[center]!;
  const outside = support.filter((_, at) => !pairs[at]!.agrees);
  return { center: valid[center]!.pubkey, support, pairs, size: support[center]!, runnerUp: Math.max(0, ...outside) };
}

/** How two valid answers compare: near, in agreement, and how far apart over all embedders. */
function comparison(valid: Valid[], { request }: Case): (one: number, other: number) => Pair {
  const radii = Object.entries(request.frame.sec_distance_bits);
  const bits = valid.map(({ reveal }) => radii.map(([name]) => fromHex(reveal.embeddings[name]!)));
  const gates = request.frame.gates.filter((name) => name !== "json");
  const remembered = new Map<string, Features>();
  const read = (gate: string, answer: string): Features => {
    const key = `${gate}\n${answer}`;
    const found = remembered.get(key) ?? features(gate, answer, request.prompt);
    remembered.set(key, found);
    return found;
  };
  return (one, other) => {
    const [left, right] = [valid[one]!.reading, valid[other]!.reading];
    const distances = radii.map((_, at) => hamming(bits[one]![at]!, bits[other]![at]!));
    const apart = distances.reduce((sum, distance) => sum + distance, 0);
    const isCompared = radii.length > 0 && left.compared && right.compared;
    const near = isCompared && distances.every((distance, at) => distance <= radii[at]![1]);
    const objects = () =>
      left.exact !== right.exact || gates.some((gate) => conflict(gate, read(gate, left.prose), read(gate, right.prose)));
    return { near, agrees: left.group === right.group || (near && !objects()), apart };
  };
}

function statusOf({ agrees, near }: Pair, isCore: boolean): Status {
  if (agrees) return isCore ? "core" : "accepted";
  return near ? "conflict" : "outside";
}

function hamming(one: Uint8Array, other: Uint8Array): number {
  let distance = 0;
  for (let at = 0; at < one.length; at++) {
    for (let differing = one[at]! ^ other[at]!; differing; differing &= differing - 1) distance++;
  }
  return distance;
}

function lowest<T>(items: T[], ticket: (item: T) => string): T | null {
  const tickets = items.map((item): [string, T] => [ticket(item), item]);
  return tickets.reduce<[string, T] | null>((best, next) => (best === null || next[0] < best[0] ? next : best), null)?.[1] ?? null;
}
