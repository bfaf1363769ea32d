// Documents as signed events, as in spec/40-queries.md. Needs https, or a page from this machine (crypto.subtle).

import { readObject } from "./query.js";
import { schnorr, utils } from "./secp256k1.js";

export const KIND = 4140;
const AGE_S_MAX = 600;
const AHEAD_S_MAX = 60;
const EVENT_BYTES_MAX = 40 * 1024;
const STORED = "dicast-page-key";

// The key of this browser, made once and kept in it.
export function ownKey() {
  let hex = localStorage.getItem(STORED);
  if (!/^[0-9a-f]{64}$/.test(hex ?? "")) {
    hex = toHex(utils.randomSecretKey());
    localStorage.setItem(STORED, hex);
  }
  const secret = fromHex(hex);
  return { secret, author: toHex(schnorr.getPublicKey(secret)) };
}

// The event of a document. Throws QueryError when the text is no object.
export async function makeDocument(key, topic, text) {
  readObject(text);
  const event = { pubkey: key.author, created_at: now(), kind: KIND, tags: [["t", topic]], content: text };
  const digest = await digestOf(event);
  return { ...event, id: toHex(digest), sig: toHex(await schnorr.signAsync(digest, key.secret)) };
}

// The document in an event, or null when it is none of this topic, is too old, or is not signed.
export async function readDocument(event, topic) {
  try {
    const isShaped = event.kind === KIND && JSON.stringify(event.tags) === JSON.stringify([["t", topic]])
      && Number.isInteger(event.created_at) && typeof event.content === "string"
      && /^[0-9a-f]{64}$/.test(event.pubkey) && /^[0-9a-f]{64}$/.test(event.id) && /^[0-9a-f]{128}$/.test(event.sig)
      && Object.keys(event).length === 7;
    const age = now() - event.created_at;
    if (!isShaped || age > AGE_S_MAX || -age > AHEAD_S_MAX || JSON.stringify(event).length > EVENT_BYTES_MAX) return null;
    const value = readObject(event.content);
    const digest = await digestOf(event);
    if (toHex(digest) !== event.id) return null;
    if (!(await schnorr.verifyAsync(fromHex(event.sig), digest, fromHex(event.pubkey)))) return null;
    return { id: event.id, author: event.pubkey, created_at: event.created_at, value, event };
  } catch (error) {
    if (error instanceof Error) return null; // whatever a stranger sends
    throw error;
  }
}

async function digestOf(event) {
  const text = JSON.stringify([0, event.pubkey, event.created_at, event.kind, event.tags, event.content]);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}

function now() {
  return Math.floor(Date.now() / 1000);
}

function toHex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function fromHex(hex) {
  return Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
}
