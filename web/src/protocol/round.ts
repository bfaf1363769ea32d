/** What has been said in one round, and which packets fit (`spec/11-rounds.md`). */
import { compareTexts, fromHex, tagged, taggedHex, toHex, toUtf8, u32 } from "../base/hashing.ts";
import { checkForm } from "../consensus/case.ts";
import { need } from "../consensus/judge.ts";
import { parseSchema } from "../consensus/schema.ts";
import type { Panel, Request, Reveal } from "./bodies.ts";
import type { Packet } from "./packets.ts";

const PROMPT_BYTES_MAX = 32 * 1024;
const MEMBERS_MAX = 256;
const DISTANCE_BITS_MAX = 130;
const UNITS_MAX = 64;
const UNPROVEN_SHARE = 8;

export interface Said<T> {
  packet: Packet;
  body: T;
}

/** What a round has heard. A second packet of one kind by one key contradicts the first. */
export interface Round {
  key: Uint8Array | null;
  opening: Said<Request>;
  seats: Map<string, number>;
  panel: Said<Panel> | null;
  commits: Map<string, Said<{ digest: string }>>;
  quorum: Said<{ commits: string[] }> | null;
  reveals: Map<string, Said<Reveal>>;
  close: Said<{ reveals: string[]; selection_salt: string }> | null;
  signatures: Map<string, Said<{ digest: string }>>;
}

/** A round that has heard its request. */
export function opened(packet: Packet, body: Request, key: Uint8Array | null): Round {
  const members = body.admission === "listed" ? body.members : [];
  return {
    key,
    opening: { packet, body },
    seats: new Map(members.map((member) => [member, 1])),
    panel: null,
    commits: new Map(),
    quorum: null,
    reveals: new Map(),
    close: null,
    signatures: new Map(),
  };
}

/** Votes of a member; one for whoever's commit an open round's quorum holds. */
export function seatsOf(round: Round, key: string): number {
  if (round.opening.body.admission !== "open") return round.seats.get(key) ?? 0;
  const commit = round.commits.get(key);
  if (commit === undefined) return 0;
  return Number(round.quorum === null || round.quorum.body.commits.includes(commit.packet.id));
}

/** The text the gates compare answers with. */
export function promptText(request: Request): string {
  return request.messages.map(({ content }) => content).join("\n");
}

/** May this request be answered at all? */
export function isPossible(request: Request, promptBytesMax = PROMPT_BYTES_MAX): boolean {
  const { frame, seats, members, admission, streamer } = request;
  const isListed = admission === "listed";
  if (isListed && (new Set(members).size !== members.length || members.length !== seats)) return false;
  if (!isListed && members.length) return false;
  if (streamer && !members.includes(streamer)) return false;
  if ((admission === "drawn") !== Boolean(request.candidates_root && request.beacon_round)) return false;
  if (!Object.keys(frame.sec_distance_bits).every((name) => bitsOf(name) > 0)) return false;
  try {
    if (request.schema) parseSchema(request.schema);
    checkForm(frame);
  } catch {
    return false;
  }
  return isHolding(request) && toUtf8(promptText(request)).length <= promptBytesMax;
}

/** The bounds of a frame (`spec/03-frame.md`). */
function isHolding({ frame, seats, admission }: Request): boolean {
  const { quorum, sec_percentage_bp: percentage } = frame;
  const within = (value: number, least: number, most: number) => value >= least && value <= most;
  const tolerated = Math.max(0, 2 * need(percentage, seats) - seats - 1);
  return (
    within(seats, 1, MEMBERS_MAX) &&
    within(quorum, 1, seats) &&
    within(percentage, admission === "drawn" ? 5_001 : 1, 10_000) &&
    Object.values(frame.sec_distance_bits).every((bits) => within(bits, 0, DISTANCE_BITS_MAX)) &&
    within(frame.faults, 0, tolerated) &&
    within(frame.deadline_ms, 1_000, 3_600_000) &&
    within(frame.reveal_ms, 1, 600_000) &&
    within(frame.grace_ms, 0, 600_000)
  );
}

/** The bit length that an embedder's name ends in (`minilm-l6-v2/381`); 0 when it names none. */
function bitsOf(embedder: string): number {
  const digits = embedder.slice(embedder.lastIndexOf("/") + 1);
  return /^[0-9]{1,5}$/.test(digits) ? Number(digits) : 0;
}

/** Whether a reveal carries exactly the frame's embedders, each with as many bits as its name says. */
export function hasBits(reveal: Reveal, { frame }: Request): boolean {
  const names = Object.keys(frame.sec_distance_bits);
  if (Object.keys(reveal.embeddings).length !== names.length) return false;
  return names.every((name) => {
    const bits = Object.hasOwn(reveal.embeddings, name) ? reveal.embeddings[name]! : null;
    return bits !== null && /^[0-9a-f]*$/.test(bits) && bits.length === 2 * Math.ceil(bitsOf(name) / 8);
  });
}

/** Does the panel follow from the request and its own beacon value (`spec/07-draw.md`)? */
export function isDrawn(requestId: string, request: Request, panel: Panel): boolean {
  const keys = Object.keys(panel.candidates).sort();
  if (keys.some((key) => panel.candidates[key]! < 0 || panel.candidates[key]! > UNITS_MAX)) return false;
  const parts = keys.flatMap((key) => [fromHex(key), u32(panel.candidates[key]!)]);
  if (toHex(tagged("dicast/candidates/1", ...parts)) !== request.candidates_root) return false;
  const drawn = draw(panel.candidates, request.seats, taggedHex("dicast/randomness/1", requestId, panel.beacon));
  const told = new Map(Object.entries(panel.members));
  return drawn.size === told.size && Array.from(drawn).every(([key, seats]) => told.get(key) === seats);
}

/** Seats by key: the lowest unit tickets, at most one seat in eight from unproven keys. */
export function draw(candidates: Record<string, number>, seats: number, randomness: string): Map<string, number> {
  const tickets = (units: [string, number][]) =>
    units.flatMap(([key, count]) => Array.from({ length: count }, (_, k) => [ticket(randomness, key, k), key] as const));
  const lowest = (all: (readonly [string, string])[], most: number) =>
    all.sort(([one, left], [other, right]) => compareTexts(one, other) || compareTexts(left, right)).slice(0, most);
  const entries = Object.entries(candidates);
  const proven = lowest(tickets(entries), seats);
  const fresh = entries.filter(([, units]) => units === 0).map(([key]): [string, number] => [key, 1]);
  const unproven = lowest(tickets(fresh), Math.floor(seats / UNPROVEN_SHARE));
  const found = new Map<string, number>();
  for (const [, key] of lowest([...proven, ...unproven], seats)) found.set(key, (found.get(key) ?? 0) + 1);
  return found;
}

function ticket(randomness: string, key: string, k: number): string {
  return toHex(tagged("dicast/ticket/1", fromHex(randomness), fromHex(key), u32(k)));
}
