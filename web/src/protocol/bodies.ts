/** What peers say in a round, and which JSON is such a body (`spec/10-messages.md`). */
import { CodecError, decode, decodeUtf8, encode, type Json } from "../base/codec.ts";
import { characters } from "../base/hashing.ts";
import type { JudgedFrame } from "../consensus/case.ts";
import { SealError, unseal } from "./seal.ts";

export interface Frame extends JudgedFrame {
  faults: number;
  deadline_ms: number;
  reveal_ms: number;
  grace_ms: number;
}

/** Names the blob that holds a request's messages. */
export interface Attachment {
  sha256: string;
  size: number;
  root: string;
  nodes: string[];
}

export interface Request {
  messages: { role: string; content: string }[];
  frame: Frame;
  admission: "listed" | "drawn" | "open";
  seats: number;
  selection_salt_hash: string;
  attempt: number;
  models: string[];
  members: string[];
  schema: string;
  candidates_root: string;
  beacon_round: number;
  previous: string;
  sealed: string;
  wraps: string[];
  streamer: string;
  attachment: Attachment | null;
}

export interface Panel {
  beacon: string;
  candidates: Record<string, number>;
  members: Record<string, number>;
  wraps: string[];
}

export interface Reveal {
  answer: string;
  model: string;
  salt: string;
  embeddings: Record<string, string>;
}

type Rule = (value: Json) => boolean;
/** A field's rule, and what it is where it is left out; a default that is spelled out is refused. */
type Fields = Record<string, { rule: Rule; otherwise?: Json }>;

const hex64: Rule = matches(/^[0-9a-f]{64}$/);
const hex64OrNone: Rule = matches(/^([0-9a-f]{64})?$/);
const count: Rule = integer(0, 2 ** 53 - 1);
const seatCount: Rule = integer(1, 256);
const whole: Rule = integer(-(2 ** 53 - 1), 2 ** 53 - 1);
const label: Rule = text(0, 256);
const word: Rule = text(1, 64);
const anyText: Rule = text(0, Infinity);
const version: Rule = integer(1, 1);
const payload: Rule = matches(/^(?=[\s\S]{0,87472}$)[A-Za-z0-9+/]*={0,2}$/);
const ENCRYPTED_MEMBERS_MAX = 64;
const ATTACHED_BYTES_MAX = 2 * 1024 * 1024;

const FRAME: Fields = {
  quorum: { rule: whole },
  sec_percentage_bp: { rule: whole },
  sec_distance_bits: { rule: mapOf(anyText, whole, Infinity) },
  gates: { rule: listOf(anyText, 0, Infinity) },
  exact: { rule: listOf(anyText, 0, Infinity), otherwise: [] },
  fuzzy: { rule: listOf(anyText, 0, Infinity), otherwise: [] },
  labels: { rule: listOf(anyText, 0, Infinity), otherwise: [] },
  faults: { rule: whole, otherwise: 0 },
  deadline_ms: { rule: whole, otherwise: 60_000 },
  reveal_ms: { rule: whole, otherwise: 10_000 },
  grace_ms: { rule: whole, otherwise: 2_000 },
};
const MESSAGE: Fields = { role: { rule: matches(/^(system|user|assistant)$/) }, content: { rule: anyText } };
const ATTACHMENT: Fields = {
  sha256: { rule: hex64 },
  size: { rule: integer(1, ATTACHED_BYTES_MAX) },
  root: { rule: hex64 },
  nodes: { rule: listOf(text(1, 256), 0, 4), otherwise: [] },
};
/** What a blob says. */
const ATTACHED: Fields = { messages: { rule: listOf(record(MESSAGE), 1, 256) } };
const REQUEST: Fields = {
  v: { rule: version },
  messages: { rule: listOf(record(MESSAGE), 0, 256), otherwise: [] },
  frame: { rule: record(FRAME) },
  admission: { rule: matches(/^(listed|drawn|open)$/) },
  seats: { rule: seatCount },
  max_tokens: { rule: integer(1, 1_000_000) },
  temperature_milli: { rule: integer(0, 10_000) },
  selection_salt_hash: { rule: hex64 },
  sequence: { rule: count },
  attempt: { rule: integer(1, 3) },
  models: { rule: listOf(label, 0, 64), otherwise: [] },
  members: { rule: listOf(hex64, 0, 256), otherwise: [] },
  schema: { rule: text(0, 32_768), otherwise: "" },
  candidates_root: { rule: hex64OrNone, otherwise: "" },
  beacon_round: { rule: count, otherwise: 0 },
  previous: { rule: hex64OrNone, otherwise: "" },
  sealed: { rule: payload, otherwise: "" },
  wraps: { rule: listOf(payload, 0, ENCRYPTED_MEMBERS_MAX), otherwise: [] },
  streamer: { rule: hex64OrNone, otherwise: "" },
  attachment: { rule: record(ATTACHMENT), otherwise: null },
};
/** What an encrypted request seals. */
const QUESTION: Fields = {
  messages: { rule: listOf(record(MESSAGE), 0, 256), otherwise: [] },
  attachment: { rule: record(ATTACHMENT), otherwise: null },
  schema: { rule: text(0, 32_768), otherwise: "" },
  exact: { rule: listOf(anyText, 0, Infinity), otherwise: [] },
  fuzzy: { rule: listOf(anyText, 0, Infinity), otherwise: [] },
  labels: { rule: listOf(anyText, 0, Infinity), otherwise: [] },
};
const USAGE: Fields = Object.fromEntries(
  ["prompt_tokens", "completion_tokens", "first_token_ms", "total_ms"].map((name) => [name, { rule: count }]),
);

const REVEAL: Fields = {
  v: { rule: version },
  answer: { rule: anyText },
  model: { rule: label },
  salt: { rule: hex64 },
  embeddings: { rule: mapOf(label, anyText, 8) },
  usage: { rule: record(USAGE) },
  engine: { rule: word },
};
const SEALED_REVEAL: Fields = { v: { rule: version }, sealed: { rule: payload } };

const BODIES: Record<number, Fields> = {
  4110: REQUEST,
  4111: {
    v: { rule: version },
    beacon: { rule: matches(/^([0-9a-f]{2}){1,128}$/) },
    candidates: { rule: mapOf(hex64, whole, 512) },
    members: { rule: mapOf(hex64, seatCount, 256) },
    wraps: { rule: listOf(payload, 0, ENCRYPTED_MEMBERS_MAX), otherwise: [] },
  },
  4112: { v: { rule: version }, digest: { rule: hex64 } },
  4113: { v: { rule: version }, commits: { rule: listOf(hex64, 0, 256) } },
  4114: REVEAL,
  4115: { v: { rule: version }, reveals: { rule: listOf(hex64, 0, 256) }, selection_salt: { rule: hex64 } },
  4116: { v: { rule: version }, digest: { rule: hex64 } },
};

/** The body of an event of a round; raises `CodecError` unless the content is exactly one. */
export function bodyOf(kind: number, content: string): Record<string, Json> {
  const fields = BODIES[kind] === REVEAL && content.startsWith('{"sealed":') ? SEALED_REVEAL : BODIES[kind];
  if (fields === undefined) throw new CodecError("No message of a round has this kind.");
  const value = decode(content);
  if (!record(fields)(value)) throw new CodecError("The body is not of its kind.");
  const found = filled(fields, value as Record<string, Json>);
  if (fields === REQUEST) checkOpenOrSealed(found as unknown as Request);
  return found;
}

/** The request as its requester meant it; a plain one as it is. Raises `SealError`. */
export function openedRequest(request: Request, key: Uint8Array | null): Request {
  if (!request.sealed) return request;
  const { frame } = request;
  if (frame.exact.length || frame.fuzzy.length || frame.labels.length || request.schema) {
    throw new SealError("A part of the question stands outside of the seal.");
  }
  const wraps = request.admission === "listed" ? request.members.length : 0;
  if (request.admission === "open" || request.wraps.length !== wraps || request.seats > ENCRYPTED_MEMBERS_MAX) {
    throw new SealError("The wraps are not those of the members.");
  }
  if (key === null) throw new SealError("The round is encrypted, and its key is not known.");
  const question = sealedBody(request.sealed, key, QUESTION) as unknown as Pick<Request, "messages" | "schema" | "attachment"> & Frame;
  const { messages, attachment, schema, exact, fuzzy, labels } = question;
  if (messages.length > 0 === (attachment !== null)) throw new SealError("What was sealed is no question.");
  return { ...request, messages, attachment, schema, frame: { ...frame, exact, fuzzy, labels }, sealed: "", wraps: [] };
}

/** The reveal that was meant; null when it is open in an encrypted round, sealed in a plain one, or junk. */
export function heardReveal(body: Reveal | { sealed: string }, key: Uint8Array | null): Reveal | null {
  if (!("sealed" in body)) return key === null ? body : null;
  if (key === null) return null;
  try {
    return sealedBody(body.sealed, key, REVEAL) as unknown as Reveal;
  } catch (error) {
    if (error instanceof SealError) return null;
    throw error;
  }
}

/** The messages that an opened blob holds; raises `CodecError`. */
export function attachedMessages(opened: Uint8Array): Request["messages"] {
  const value = decode(decodeUtf8(opened));
  if (!record(ATTACHED)(value)) throw new CodecError("The attached bytes are no question.");
  return (value as unknown as Pick<Request, "messages">).messages;
}

function sealedBody(sealed: string, key: Uint8Array, fields: Fields): Record<string, Json> {
  const opened = unseal(sealed, key);
  try {
    const value = decode(decodeUtf8(opened));
    if (record(fields)(value)) return filled(fields, value as Record<string, Json>);
  } catch (error) {
    if (!(error instanceof CodecError)) throw error;
  }
  throw new SealError("What was sealed is not what it should be.");
}

function checkOpenOrSealed({ messages, sealed, wraps, attachment, admission }: Request): void {
  const ways = Number(messages.length > 0) + Number(Boolean(sealed)) + Number(attachment !== null);
  if (ways !== 1 || wraps.length > 0 !== (Boolean(sealed) && admission === "listed")) {
    throw new CodecError("A request is open, attached or sealed.");
  }
}

function filled(fields: Fields, value: Record<string, Json>): Record<string, Json> {
  const pairs = Object.entries(fields).map(([name, { otherwise }]) => [name, Object.hasOwn(value, name) ? value[name]! : otherwise!]);
  const found = Object.fromEntries(pairs) as Record<string, Json>;
  if (fields === REQUEST) found["frame"] = filled(FRAME, found["frame"] as Record<string, Json>);
  return found;
}

function record(fields: Fields): Rule {
  return (value) => {
    if (!isObject(value) || Object.keys(value).some((name) => !Object.hasOwn(fields, name))) return false;
    return Object.entries(fields).every(([name, { rule, otherwise }]) => {
      if (!Object.hasOwn(value, name)) return otherwise !== undefined;
      const given = value[name]!;
      return rule(given) && (otherwise === undefined || encode(given) !== encode(otherwise));
    });
  };
}

function listOf(rule: Rule, least: number, most: number): Rule {
  return (value) => Array.isArray(value) && value.length >= least && value.length <= most && value.every(rule);
}

function mapOf(key: Rule, rule: Rule, most: number): Rule {
  return (value) => isObject(value) && Object.keys(value).length <= most && Object.entries(value).every(([name, one]) => key(name) && rule(one));
}

function integer(least: number, most: number): Rule {
  return (value) => typeof value === "number" && value >= least && value <= most;
}

function text(least: number, most: number): Rule {
  return (value) => typeof value === "string" && characters(value) >= least && characters(value) <= most;
}

function matches(pattern: RegExp): Rule {
  return (value) => typeof value === "string" && pattern.test(value);
}

function isObject(value: Json): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
