/** A case: everything the judge reads, and whether its parts fit together (`spec/06-judge.md`). */
import { GATES } from "./gates.ts";
import { parseSchema, SchemaError } from "./schema.ts";
import { canonicalText } from "./text.ts";

const SEATS_MAX = 16_384;
const POINTERS_MAX = 64;
const LABELS_MAX = 256;
const EMBEDDING_BYTES_MAX = 4096;
const POINTER = /^(\/([^~]|~[01])*)?$/su;

export interface JudgedFrame {
  quorum: number;
  sec_percentage_bp: number;
  sec_distance_bits: Record<string, number>;
  gates: string[];
  exact: string[];
  fuzzy: string[];
  labels: string[];
}

export interface CaseRequest {
  id: string;
  frame: JudgedFrame;
  prompt: string;
  models: string[];
  schema: string;
}

export interface CaseCommit {
  pubkey: string;
  digest: string;
}

export interface CaseReveal {
  pubkey: string;
  answer: string;
  model: string;
  salt: string;
  embeddings: Record<string, string>;
}

export interface Case {
  request: CaseRequest;
  selection_salt: string;
  selection_beacon: string;
  commits: CaseCommit[];
  reveals: CaseReveal[];
  panel: Record<string, number> | null;
  recomputed: Record<string, Record<string, string>>;
}

/** The field and what is wrong with it. */
export class CaseError extends Error {
  constructor(field: string, reason: string) {
    super(`${field}: ${reason}`);
  }
}

/** Raise `CaseError` unless the parts of a well-formed case fit together. */
export function checkCase(subject: Case): void {
  checkForm(subject.request.frame);
  checkSchema(subject.request.schema);
  const committed = distinct("commits", subject.commits);
  distinct("reveals", subject.reveals);
  checkSeats(subject, committed);
  for (const { pubkey } of subject.reveals) if (!committed.has(pubkey)) throw new CaseError("reveals", "has no commit");
  for (const key of Object.keys(subject.recomputed)) {
    if (!committed.has(key)) throw new CaseError(`recomputed.${key}`, "has no commit");
  }
  checkEmbeddings(subject);
}

/** Raise `CaseError` if the frame asks for a form of answers that cannot be. */
export function checkForm(frame: JudgedFrame): void {
  const { gates, exact, fuzzy, labels } = frame;
  for (const gate of gates) if (!GATES.includes(gate)) throw new CaseError("gates", `no gate is named ${gate}`);
  if (new Set(gates).size < gates.length) throw new CaseError("gates", "a gate is named twice");
  if (gates.includes("json") && !exact.length && !fuzzy.length) throw new CaseError("gates", "json needs pointers in exact or fuzzy");
  for (const [field, pointers] of [["exact", exact], ["fuzzy", fuzzy]] as const) {
    if (pointers.length > POINTERS_MAX) throw new CaseError(field, `${pointers.length} pointers, at most ${POINTERS_MAX}`);
    for (const pointer of pointers) if (!POINTER.test(pointer)) throw new CaseError(field, `${pointer} is not a JSON pointer`);
    if (new Set(pointers).size < pointers.length) throw new CaseError(field, "a pointer is named twice");
  }
  checkLabels(frame);
  if (fuzzy.length && !Object.keys(frame.sec_distance_bits).length) {
    throw new CaseError("sec_distance_bits", "fuzzy texts need an embedder");
  }
}

function checkLabels({ labels, exact, fuzzy }: JudgedFrame): void {
  if (!labels.length) return;
  if (exact.length || fuzzy.length) throw new CaseError("labels", "labels and JSON pointers exclude each other");
  if (labels.length > LABELS_MAX) throw new CaseError("labels", `${labels.length} labels, at most ${LABELS_MAX}`);
  const canonical = labels.map(canonicalText);
  if (canonical.includes("")) throw new CaseError("labels", "a label has an empty canonical text");
  if (new Set(canonical).size < canonical.length) throw new CaseError("labels", "two labels have one canonical text");
}

function checkSchema(text: string): void {
  if (!text) return;
  try {
    parseSchema(text);
  } catch (error) {
    if (error instanceof SchemaError) throw new CaseError("request.schema", error.message);
    throw error;
  }
}

function distinct(field: string, members: { pubkey: string }[]): Set<string> {
  const keys = new Set(members.map(({ pubkey }) => pubkey));
  if (keys.size < members.length) throw new CaseError(field, "a second one of a key");
  return keys;
}

function checkSeats(subject: Case, committed: Set<string>): void {
  let seats = committed.size;
  if (subject.panel !== null) {
    seats = Object.values(subject.panel).reduce((sum, one) => sum + one, 0);
    for (const key of committed) if (!Object.hasOwn(subject.panel, key)) throw new CaseError("commits", `${key} is not in the panel`);
  }
  if (seats > SEATS_MAX) throw new CaseError("panel", `${seats} seats, at most ${SEATS_MAX}`);
}

function checkEmbeddings({ request, reveals, recomputed }: Case): void {
  const radii = request.frame.sec_distance_bits;
  const lengths = new Map<string, number>();
  const all = [...reveals.map((reveal) => reveal.embeddings), ...Object.values(recomputed)];
  for (const found of all) {
    for (const name of Object.keys(radii)) if (!Object.hasOwn(found, name)) throw new CaseError(name, "missing");
    for (const [name, bits] of Object.entries(found)) {
      if (!Object.hasOwn(radii, name)) throw new CaseError(name, "no such embedder in sec_distance_bits");
      if (!bits.length || bits.length > 2 * EMBEDDING_BYTES_MAX) throw new CaseError(name, `must be 1…${EMBEDDING_BYTES_MAX} bytes of hex`);
      if (lengths.has(name) && lengths.get(name) !== bits.length) throw new CaseError(name, "lengths differ");
      lengths.set(name, bits.length);
    }
  }
  for (const [name, length] of lengths) {
    if (radii[name]! > 4 * length) throw new CaseError(name, `must be within 0…${4 * length}, is ${radii[name]}`);
  }
}
