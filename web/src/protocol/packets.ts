/** Signed events as packets of one network (`spec/09-envelope.md`). */
import { schnorr } from "@noble/curves/secp256k1.js";
import { CodecError, encode, type Json } from "../base/codec.ts";
import { characters, fromHex, sha256, toHex, toUtf8 } from "../base/hashing.ts";

const PACKET_BYTES_MAX = 64 * 1024;
const UNIX_SECONDS_MAX = 253_402_300_799;
const HEX64 = /^[0-9a-f]{64}$/;
const STARTS = new Set([31411, 4110, 4117]);
/** Kinds of packets that a round's certificate may hold. */
const KINDS = new Set([4110, 4111, 4112, 4113, 4114, 4115, 4116]);
/** Control characters that JSON libraries escape in more than one way. */
const CONTROL = /[\x00-\x07\x0b\x0e-\x1f]/;

export interface Packet {
  id: string;
  author: string;
  kind: number;
  createdAt: number;
  topic: string;
  predecessor: string | null;
  content: string;
  signature: string;
}

/** The packet in an event's JSON, shape, tags and id checked, the signature not; raises `CodecError`. */
export function packetOf(event: Json): Packet {
  const { id, pubkey, created_at, kind, tags, content, sig } = shaped(event);
  if (toUtf8(encode(event)).length > PACKET_BYTES_MAX) throw new CodecError("The packet is larger than 64 KiB.");
  if (!HEX64.test(pubkey) || !/^[0-9a-f]{128}$/.test(sig)) throw new CodecError("The key or the signature is not hex.");
  if (CONTROL.test(content) || tags.flat().some((item) => CONTROL.test(item))) throw new CodecError("A control character.");
  if (toHex(sha256(toUtf8(encode([0, pubkey, created_at, kind, tags, content])))) !== id) {
    throw new CodecError("The id is not the hash of the event.");
  }
  if (!KINDS.has(kind)) throw new CodecError("No message of a round has this kind.");
  const { topic, predecessor } = addressed(tags, kind);
  return { id, author: pubkey, kind, createdAt: created_at, topic, predecessor, content, signature: sig };
}

/** Whether the author's Schnorr signature (BIP-340) holds for the id. */
export function isSigned(packet: Packet): boolean {
  try {
    return schnorr.verify(fromHex(packet.signature), fromHex(packet.id), fromHex(packet.author));
  } catch {
    return false;
  }
}

interface Event {
  id: string;
  pubkey: string;
  created_at: number;
  kind: number;
  tags: string[][];
  content: string;
  sig: string;
}

function shaped(value: Json): Event {
  const event = value as unknown as Event;
  const names = ["content", "created_at", "id", "kind", "pubkey", "sig", "tags"];
  const isShaped =
    typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.keys(value).sort().join() === names.join() &&
    [event.id, event.pubkey, event.content, event.sig].every((one) => typeof one === "string") &&
    isWithin(event.created_at, UNIX_SECONDS_MAX) && isWithin(event.kind, 65_535) &&
    Array.isArray(event.tags) && event.tags.length <= 64 && event.tags.every(isTag);
  if (!isShaped) throw new CodecError("Not an event.");
  return event;
}

function isTag(tag: unknown): boolean {
  return Array.isArray(tag) && tag.length >= 1 && tag.length <= 8 && tag.every((item) => typeof item === "string" && characters(item) <= 1024);
}

function isWithin(value: unknown, most: number): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

function addressed(tags: string[][], kind: number): { topic: string; predecessor: string | null } {
  let [topic, predecessor, expiry] = ["", "", ""];
  for (const tag of tags) {
    const [name, value] = tag.length === 2 ? [tag[0]!, tag[1]!] : ["", ""];
    if (name === "t" && !topic && HEX64.test(value)) topic = value;
    else if (name === "e" && !predecessor && HEX64.test(value)) predecessor = value;
    else if (name === "expiration" && !expiry && /^[1-9][0-9]{0,14}$/.test(value)) expiry = value;
    else if (!(name === "p" && HEX64.test(value))) throw new CodecError("A tag is unknown, repeated or malformed.");
  }
  if (!topic || STARTS.has(kind) === Boolean(predecessor)) throw new CodecError("The topic or the predecessor is missing.");
  return { topic, predecessor: predecessor || null };
}
