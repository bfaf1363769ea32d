/** Markdown emphasis: pairs of `*`, `_` and backtick around words. */
import { WHITE_SPACE } from "../base/unicode.ts";
import { isWordCharacter } from "./gate_text.ts";

const MARK_RUN_MAX = 3;
const DEPTH_MAX = 8;
type Span = [number, number];

/** A text without paired marks around words; one pass for each kind of mark. */
export function withoutMarkup(text: string): string {
  for (const mark of "*_`") {
    if (text.includes(mark)) text = without(text, mark);
  }
  return text;
}

function without(text: string, mark: string): string {
  const all = Array.from(text);
  const dropped: Span[] = [];
  let opened: Span[] = [];
  for (let start = 0; start < all.length; start++) {
    if (all[start] === "\n") opened = [];
    if (all[start] !== mark) continue;
    let end = start;
    while (all[end] === mark) end++;
    if (end - start <= MARK_RUN_MAX) {
      const opener = openerOf(all, [start, end], opened);
      if (opener) dropped.push(opener, [start, end]);
      else if (opens(all, start, end)) opened.push([start, end]);
    }
    start = end - 1;
  }
  for (const [start, end] of dropped) all.fill("", start, end);
  return all.join("");
}

/** The open run that this one closes, which leaves `opened` with everything above it. */
function openerOf(all: string[], [start, end]: Span, opened: Span[]): Span | null {
  if (start === 0 || WHITE_SPACE.has(all[start - 1]!) || isWordCharacter(all[end] ?? "")) return null;
  for (let depth = opened.length - 1; depth > Math.max(-1, opened.length - 1 - DEPTH_MAX); depth--) {
    const opener = opened[depth]!;
    if (opener[1] - opener[0] === end - start) {
      opened.splice(depth);
      return opener;
    }
  }
  return null;
}

function opens(all: string[], start: number, end: number): boolean {
  if (end === all.length || WHITE_SPACE.has(all[end]!)) return false;
  return !isWordCharacter(all[start - 1] ?? "");
}
