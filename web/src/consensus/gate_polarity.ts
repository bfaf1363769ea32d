/** What the polarity gate sees in a text: how it opens, what it denies, and the words that are left. */
import { mapOf, once } from "../base/tables.ts";
import { lower } from "../base/unicode.ts";
import { OTHER, plainText } from "./gate_text.ts";

const ENDED_CHARS_MIN = 3;
const OPENING = new RegExp(
  "[^a-z0-9]{0,8}(?:(?:well|oh|actually|so|answer|the answer is|in short|short answer)[,:]? )?" +
    `([a-z]+)(?![a-z0-9'${OTHER}])([^a-z0-9]{0,8})([a-z]*)`,
  "uy",
);
const WORD = new RegExp(`[a-z0-9${OTHER}]+(?:'[a-z]+)?`, "gu");

/** `opening`: 1 yes or true, -1 no or false; `denied`: words left before each denial; `words`: those left. */
export interface Polarity {
  opening: number;
  denied: number[];
  words: string;
}

const polarityWords = once(({ words: { polarity } }) => ({
  yes: new Set(polarity.yes),
  no: new Set(polarity.no),
  negations: mapOf(polarity.negations),
  negatives: mapOf(polarity.negatives),
  contractions: mapOf(polarity.contractions),
  tails: mapOf(polarity.tails),
  beforeIs: new Set(polarity.before_is),
  pasts: mapOf(polarity.pasts),
  fillers: new Set(polarity.fillers),
  afterNo: new Set(polarity.after_no),
}));

/** Read a text. Two denials at one place cancel out, as in "not impossible". */
export function polarityOf(original: string): Polarity {
  const text = lower(plainText(original));
  const [opening, start] = openingOf(text);
  const denied = new Set<number>();
  const left: string[] = [];
  for (const [word] of text.slice(start).matchAll(WORD)) {
    const [before, isDenial, after] = readWord(word);
    if (before) left.push(before);
    if (isDenial && !denied.delete(left.length)) denied.add(left.length);
    if (after) left.push(after);
  }
  return { opening, denied: Array.from(denied).sort((one, other) => one - other), words: left.join(" ") };
}

/** The sign of the opening word, and where the words after it start: 0 if it is part of the sentence. */
function openingOf(text: string): [number, number] {
  OPENING.lastIndex = 0;
  const match = OPENING.exec(text);
  if (match === null) return [0, 0];
  const [whole, word, gap, following] = [match[0], match[1]!, match[2]!, match[3]!];
  const words = polarityWords();
  const sign = Number(words.yes.has(word)) - Number(words.no.has(word));
  const isAnswer = gap !== " " || words.afterNo.has(following);
  return [sign, sign && isAnswer ? whole.length - gap.length - following.length : 0];
}

/** The stem before the denial that a word holds, whether it holds one, and the stem after it. */
function readWord(written: string): [string, boolean, string] {
  const words = polarityWords();
  const cut = written.indexOf("'");
  const word = cut < 0 ? written : written.slice(0, cut);
  const tail = cut < 0 ? "" : written.slice(cut + 1);
  if (written.endsWith("n't") || words.contractions.has(written)) {
    return [stem(words.contractions.get(word + tail) || Array.from(word).slice(0, -1).join("")), true, ""];
  }
  if (cut >= 0 && tail === "s") return [stem(word), false, words.beforeIs.has(word) ? "is" : ""];
  if (cut >= 0) return [stem(word), false, stem(words.tails.get(tail) ?? tail)];
  if (word === "cannot") return ["can", true, ""];
  const negated = words.negations.get(word) ?? words.negatives.get(word);
  return negated === undefined ? ["", false, stem(word)] : ["", true, stem(negated)];
}

/** A word without the endings that a denial moves to `does` or `did`; nothing for articles. */
function stem(written: string): string {
  const words = polarityWords();
  if (words.fillers.has(written)) return "";
  let all = Array.from(words.pasts.get(written) ?? written);
  const at = (place: number) => all[all.length + place];
  if (all.length > ENDED_CHARS_MIN && at(-1) === "s" && at(-2) !== "s") all = all.slice(0, -1);
  else if (all.length > ENDED_CHARS_MIN && at(-2) === "e" && at(-1) === "d") all = all.slice(0, -2);
  if (all.length >= ENDED_CHARS_MIN) {
    if (at(-1) === "e") all = all.slice(0, -1);
    if (at(-1) === "y") all = [...all.slice(0, -1), "i"];
  }
  return (all.length > ENDED_CHARS_MIN && at(-1) === at(-2) ? all.slice(0, -1) : all).join("");
}
