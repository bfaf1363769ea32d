/** How the word gates read a text: accents off, signs in ASCII, case kept. */
import { isAscii, isDigit, isLetter, nfc, withoutMarks } from "../base/unicode.ts";

/** For character classes: outside ASCII a plain text has only letters and digits of other scripts. */
export const OTHER = "\\u{80}-\\u{10ffff}";
const SIGNS = new Map(Array.from("’‘“”–—\u2010\u2011…。", (sign, at) => [sign, "''\"\"----.."[at]!]));

/** Latin accents dropped, quotes and dashes in ASCII, a space for any other sign. */
export function plainText(text: string): string {
  return isAscii(text) ? text : Array.from(nfc(text), plainCharacter).join("");
}

function plainCharacter(character: string): string {
  if (isAscii(character)) return character;
  const sign = SIGNS.get(character);
  if (sign !== undefined) return sign;
  return Array.from(withoutMarks(character), (one) => (isWordCharacter(one) ? one : " ")).join("");
}

/** A–Z in lower case and nothing else touched. */
export function asciiLower(text: string): string {
  return text.replace(/[A-Z]+/g, (run) => run.toLowerCase());
}

/** Whether it is a letter or a digit; nothing is neither. */
export function isWordCharacter(character: string): boolean {
  if (isAscii(character)) return /^[A-Za-z0-9]$/.test(character);
  return isLetter(character) || isDigit(character);
}
