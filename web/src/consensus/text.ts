/** Texts as consensus reads them: canonical, in the domain (`spec/04-text.md`). */
import { isAscii, isControl, nfc, WHITE_SPACE } from "../base/unicode.ts";
import { asciiLower } from "./gate_text.ts";
import { withoutMarkup } from "./marks.ts";

const QUOTES = new Map([
  ['"', '"'], ["'", "'"], ["\u201c", "\u201d"], ["\u2018", "\u2019"], ["\u201e", "\u201c"], ["\u00ab", "\u00bb"],
]);
const LAYOUT = /(?:^|\n) {0,3}(?:```|~~~)|\n(?:  | ?\t)[ \t]*[^ \t\n\r]/;

/** The answer less what carries no meaning: emphasis, headings, white space, quotes, a full stop, case. */
export function canonicalText(answer: string): string {
  const text = nfc(answer);
  if (isLayout(text)) return text;
  const bare = withoutMarkup(text.replace(/(^|\n) ?#{1,6}[ \t]+/g, "$1")).replace(/[\t-\r ]+/g, " ");
  return asciiLower(trimmed(bare));
}

/** Whether white space or marks may carry meaning: a code fence, or an indented line below the first. */
export function isLayout(text: string): boolean {
  return (text.includes("```") || text.includes("~~~") || text.includes("\n")) && LAYOUT.test(text);
}

/** Whether a text leaves the domain: Unicode 13 without controls and formats but line feed and tab. */
export function hasUnassigned(text: string): boolean {
  if (isAscii(text)) return /[\x00-\x08\x0b-\x1f\x7f]/.test(text);
  for (const one of new Set(text)) {
    if (one !== "\n" && one !== "\t" && isControl(one)) return true;
  }
  return false;
}

function trimmed(outer: string): string {
  let text = trim(outer);
  const hadStop = text.endsWith(".");
  if (hadStop) text = trim(text.slice(0, -1));
  const all = Array.from(text);
  const closing = QUOTES.get(all[0] ?? "");
  if (closing === undefined || all.length < 2 || all[all.length - 1] !== closing) return text;
  const inside = all.slice(1, -1);
  if (inside.includes(all[0]!) || inside.includes(closing)) return text;
  const inner = trim(inside.join(""));
  return hadStop || !inner.endsWith(".") ? inner : trim(inner.slice(0, -1));
}

function trim(text: string): string {
  const all = Array.from(text);
  let start = 0;
  let end = all.length;
  while (start < end && WHITE_SPACE.has(all[start]!)) start++;
  while (end > start && WHITE_SPACE.has(all[end - 1]!)) end--;
  return all.slice(start, end).join("");
}
