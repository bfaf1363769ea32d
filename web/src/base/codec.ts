/** Canonical JSON: one value has one encoding, and only that one decodes (`spec/01-encoding.md`). */
import { hasLoneSurrogate } from "./hashing.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

const DEPTH_MAX = 16;

export class CodecError extends Error {}

/** The one canonical encoding of a value. */
export function encode(value: unknown): string {
  return written(value, 1);
}

/** The value of canonical text; any other spelling of it is refused. */
export function decode(text: string): Json {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw new CodecError("The text is not JSON.");
  }
  if (encode(value) !== text) throw new CodecError("The text differs from the canonical encoding of what it says.");
  return value;
}

/** The text of UTF-8 bytes; raises where they are none. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new CodecError("The bytes are not UTF-8.");
  }
}

function written(value: unknown, depth: number): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") return integer(value);
  if (typeof value === "string") return quoted(value);
  if (typeof value !== "object") throw new CodecError("The value has no canonical form.");
  if (depth > DEPTH_MAX) throw new CodecError(`The nesting is deeper than ${DEPTH_MAX}.`);
  if (Array.isArray(value)) return `[${value.map((item) => written(item, depth + 1)).join(",")}]`;
  const members = value as Record<string, unknown>;
  const pairs = Object.keys(members).sort().map((key) => {
    if (!/^[\x00-\x7f]*$/.test(key)) throw new CodecError("A key holds a character outside ASCII.");
    return `${quoted(key)}:${written(members[key], depth + 1)}`;
  });
  return `{${pairs.join(",")}}`;
}

function integer(value: number): string {
  if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new CodecError("A number is no integer within 2^53 - 1.");
  return String(value);
}

function quoted(text: string): string {
  if (hasLoneSurrogate(text)) throw new CodecError("A string holds a lone surrogate.");
  return JSON.stringify(text);
}
