/** Hashes and hex, as `spec/01-encoding.md` writes them. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, hexToBytes, utf8ToBytes } from "@noble/hashes/utils.js";

export { bytesToHex as toHex, hexToBytes as fromHex, sha256, utf8ToBytes as toUtf8 };

/** SHA-256(tag | parts…), the tag in ASCII. */
export function tagged(tag: string, ...parts: Uint8Array[]): Uint8Array {
  return sha256(concatBytes(utf8ToBytes(tag), ...parts));
}

/** The same over parts given as hex, as hex. */
export function taggedHex(tag: string, ...parts: string[]): string {
  return bytesToHex(tagged(tag, ...parts.map(hexToBytes)));
}

/** Four bytes, most significant first. */
export function u32(value: number): Uint8Array {
  return new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
}

/** Texts in the order of their code points (JavaScript's own order is that of UTF-16 units). */
export function compareTexts(one: string, other: string): number {
  const left = Array.from(one);
  const right = Array.from(other);
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const difference = (left[at] as string).codePointAt(0)! - (right[at] as string).codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** How many characters (code points) a text has. */
export function characters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Whether a text holds a surrogate without its other half. */
export function hasLoneSurrogate(text: string): boolean {
  return /[\ud800-\udfff]/u.test(text);
}
