/** Word pieces of the embedding profile: the spec's own normaliser, then greedy WordPiece. */
import { characters } from "../base/hashing.ts";
import { once } from "../base/tables.ts";
import { category, isAscii, isIdeograph, isPunctuation, lower, nfd, withoutMarks } from "../base/unicode.ts";

const UNKNOWN_ID = 100;
const PIECES_MAX = 16 * 254;
const SHORT_PIECES_MAX = 4;
const UNKNOWN_PIECES_PER_MILLE_MAX = 100;
const WORD_CHARS_MAX = 100;
const SYMBOLS = new Set("$+<=>^`|~");

/** The ids of the word pieces of a text, without [CLS] and [SEP]. */
export function pieceIds(text: string): number[] {
  return words(text).flatMap(wordIds);
}

/** Whether no embedding says what a text says: it has at most 4 word pieces, or above one [UNK] in ten. */
export function isLiteral(text: string): boolean {
  const pieces = pieceIds(text);
  const unknown = pieces.filter((piece) => piece === UNKNOWN_ID).length;
  return pieces.length <= SHORT_PIECES_MAX || unknown * 1000 > pieces.length * UNKNOWN_PIECES_PER_MILLE_MAX;
}

/** Whether a text has more than 16 windows. */
export function isTooLong(text: string): boolean {
  return pieceIds(text).length > PIECES_MAX;
}

/** The normalised words and single marks of a text, in order. */
export function words(text: string): string[] {
  return Array.from(text, normalCharacter).join("").split(" ").filter((word) => word !== "");
}

const remembered = new Map<string, string>();

function normalCharacter(character: string): string {
  let found = remembered.get(character);
  if (found === undefined) {
    found = normalised(character);
    if (remembered.size < 8192) remembered.set(character, found);
  }
  return found;
}

function normalised(character: string): string {
  const kind = category(character);
  if ("\t\n\r".includes(character) || kind[0] === "Z") return " ";
  if (kind[0] === "C" || character === "\ufffd") return "";
  if (isIdeograph(character)) return ` ${nfd(character)} `;
  const plain = withoutMarks(lower(character));
  return Array.from(plain, (one) => (isPunctuation(one) || SYMBOLS.has(one) ? ` ${one} ` : one)).join("");
}

/** Greedy: the longest piece that starts the word, then the longest that goes on; else one [UNK]. */
function wordIds(word: string): number[] {
  const all = isAscii(word) ? word.split("") : Array.from(word);
  if (all.length > WORD_CHARS_MAX) return [UNKNOWN_ID];
  const { first, following, longest } = vocabulary();
  const pieces: number[] = [];
  let start = 0;
  while (start < all.length) {
    const table = start ? following : first;
    let end = Math.min(all.length, start + longest);
    let piece: number | undefined;
    for (; end > start; end--) {
      piece = table.get(all.slice(start, end).join(""));
      if (piece !== undefined) break;
    }
    if (piece === undefined) return [UNKNOWN_ID];
    pieces.push(piece);
    start = end;
  }
  return pieces;
}

const vocabulary = once(({ vocabulary: text }) => {
  const first = new Map<string, number>();
  const following = new Map<string, number>();
  let longest = 0;
  text.replace(/\n$/, "").split("\n").forEach((piece, number) => {
    if (/^##./u.test(piece)) following.set(piece.slice(2), number);
    else first.set(piece, number);
    longest = Math.max(longest, characters(piece));
  });
  return { first, following, longest };
});
