/** NIP-44, version 2: opening what an encrypted round's key sealed. */
import { chacha20 } from "@noble/ciphers/chacha.js";
import { hmac } from "@noble/hashes/hmac.js";
import { concatBytes } from "@noble/hashes/utils.js";
import { fromHex, sha256, toHex, toUtf8 } from "../base/hashing.ts";

const FRAME_BYTES = 67;
const PAD_MIN = 32;
const VERSION = 2;

/** A payload that is malformed, damaged, or sealed under another key. */
export class SealError extends Error {}

/** HMAC-SHA256. */
export function keyed(key: Uint8Array, ...parts: Uint8Array[]): Uint8Array {
  return hmac(sha256, key, concatBytes(...parts));
}

/** The text in a payload, as bytes. */
export function unseal(payload: string, key: Uint8Array): Uint8Array {
  const content = fromBase64(payload);
  if (content.length < FRAME_BYTES + PAD_MIN || content[0] !== VERSION) throw new SealError("The payload is not version 2 of NIP-44.");
  const nonce = content.subarray(1, 33);
  const sealed = content.subarray(33, -32);
  const first = keyed(key, nonce, new Uint8Array([1]));
  const second = keyed(key, first, nonce, new Uint8Array([2]));
  const third = keyed(key, second, nonce, new Uint8Array([3]));
  const macKey = concatBytes(second.subarray(12), third.subarray(0, 12));
  if (toHex(keyed(macKey, nonce, sealed)) !== toHex(content.subarray(-32))) throw new SealError("The payload is damaged, or sealed under another key.");
  const padded = chacha20(first, second.subarray(0, 12), sealed);
  const length = (padded[0]! << 8) | padded[1]!;
  const isPadded = length > 0 && padded.length === 2 + paddedBytes(length) && padded.subarray(2 + length).every((byte) => byte === 0);
  if (!isPadded) throw new SealError("The padding is not that of the text.");
  return padded.slice(2, 2 + length);
}

/** The nonce that a payload was sealed with. */
export function nonceOf(payload: string): Uint8Array {
  return fromBase64(payload).subarray(1, 33);
}

/** What a member of an encrypted round signs in the place of the verdict's digest. */
export function keyedVerdict(key: Uint8Array, digest: string): string {
  return toHex(keyed(key, toUtf8("dicast/sealed-verdict/1"), fromHex(digest)));
}

function paddedBytes(length: number): number {
  if (length <= PAD_MIN) return PAD_MIN;
  const power = 2 ** Math.ceil(Math.log2(length));
  const chunk = Math.max(PAD_MIN, power / 8);
  return chunk * Math.ceil(length / chunk);
}

function fromBase64(payload: string): Uint8Array {
  let bytes: Uint8Array;
  try {
    bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  } catch {
    throw new SealError("The payload is not base64.");
  }
  const again = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  if (again !== payload) throw new SealError("The payload is not in its one spelling.");
  return bytes;
}
