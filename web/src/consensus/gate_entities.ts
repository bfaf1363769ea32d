/** What the entities gate sees in a text: its names, as far as capital letters show them. */
import { mapOf, once } from "../base/tables.ts";
import { isAscii, isUpper, lower } from "../base/unicode.ts";
import { OTHER, plainText } from "./gate_text.ts";
import { ROMAN } from "./number_tokens.ts";
import { numberWords } from "./spelled_numbers.ts";

const CONTRACTED = new Set(["d", "ll", "m", "re", "t", "ve"]);
const SHOUTED_WORDS_MIN = 2;
const LOOK_BACK = 12;
const COMMON_ENDINGS = ["tion", "tions", "ology", "osis", "esis", "ysis"];
const NAME = new RegExp(
  `(?<![A-Za-z0-9${OTHER}])` +
    `(?:[A-Z](?:\\.[A-Z])+(?![A-Za-z0-9${OTHER}])\\.?` +
    `|[A-Z${OTHER}][A-Za-z0-9${OTHER}]*(?:'[A-Za-z${OTHER}]+)*)`,
  "gu",
);
const WORD = new RegExp(`[A-Za-z0-9${OTHER}]+`, "gu");
const AFTER_INITIAL = new RegExp(`(\\.?) ?([A-Z${OTHER}][A-Za-z0-9${OTHER}']*)`, "uy");

/** The names of a text; weak ones, nationalities and dates, count only where no other is left. */
export interface Names {
  strong: Set<string>;
  weak: Set<string>;
}

const entityWords = once(({ words: { entities }, commonWords }) => ({
  functionWords: new Set(entities.function_words),
  titles: new Set(entities.titles),
  nameStarters: new Set(entities.name_starters),
  demonyms: mapOf(entities.demonyms),
  sameName: mapOf(entities.same_name),
  aliases: entities.aliases,
  common: new Set(commonWords.split("\n").filter((line) => line !== "" && !line.startsWith("#"))),
}));

/** The strong names that are not in the prompt, else the weak ones, else the same of all names. */
export function namesBeyond({ strong, weak }: Names, prompt: Set<string>): Set<string> {
  const rest = [less(strong, prompt), less(weak, prompt), strong, weak];
  return rest.find((names) => names.size > 0) ?? weak;
}

/** Capitalised words, lower case and without accents, that are neither function words nor openers. */
export function namesIn(text: string): Names {
  const plain = plainText(text);
  const matches = Array.from(plain.matchAll(NAME));
  const isShouted = matches.length >= SHOUTED_WORDS_MIN && !/[a-z]/.test(plain);
  const strong = new Set<string>();
  const weak = new Set<string>();
  for (const match of matches) {
    const word = base(match[0]);
    if (!isName(plain, match, word, isShouted)) continue;
    const [name, isWeak] = known(word, match[0]);
    (isWeak ? weak : strong).add(name);
  }
  const named = less(joined(strong), entityWords().titles);
  return { strong: named, weak: less(weak, named) };
}

/** Every word of a prompt, in the forms in which `namesIn` gives names. */
export function promptWords(text: string): Set<string> {
  const words = entityWords();
  const plain = plainText(text);
  const found = new Set([
    ...Array.from(plain.matchAll(WORD), (match) => lower(match[0])),
    ...Array.from(plain.matchAll(NAME), (match) => base(match[0])),
  ]);
  for (const word of Array.from(found)) found.add(words.demonyms.get(word) || (words.sameName.get(word) ?? word));
  return new Set([...found, ...joined(found)]);
}

function isName(text: string, match: RegExpExecArray, word: string, isShouted: boolean): boolean {
  const written = match[0];
  const words = entityWords();
  if (isAllUpper(written) && words.sameName.has(word)) return true;
  if (words.functionWords.has(word)) return word === "a" && !(isShouted || opensSentence(text, match.index));
  if (!isAscii(written) && !isUpper(Array.from(written)[0]!)) return false;
  if (isCommon(word) && (isShouted || isOpener(text, match))) return false;
  return !(isInitial(text, word, match) || isMeasure(text, word, match));
}

/** As `str.isupper`, of words that stand in a table: those are ASCII. */
function isAllUpper(written: string): boolean {
  return /[A-Z]/.test(written) && !/[a-z]/.test(written);
}

/** The name that stands for a word, and whether it is weak. */
function known(word: string, written: string): [string, boolean] {
  const words = entityWords();
  const same = words.sameName.get(word);
  if (same !== undefined) return [same, false];
  const country = words.demonyms.get(word);
  if (country !== undefined) return [country, true];
  const { months, weekdays } = numberWords();
  return [word, months.has(word) || weekdays.has(word) || ROMAN.has(written)];
}

/** A word in lower case, without a possessive ending, without apostrophes and dots. */
function base(written: string): string {
  let word = lower(written);
  if (word.includes("'")) {
    const [first, ...rest] = word.split("'") as [string, ...string[]];
    const last = rest[rest.length - 1]!;
    if (CONTRACTED.has(last)) return first;
    word = [first, ...(last === "s" ? rest.slice(0, -1) : rest)].join("");
  }
  return word.replaceAll(".", "");
}

function isCommon(word: string): boolean {
  return entityWords().common.has(word) || COMMON_ENDINGS.some((ending) => word.endsWith(ending));
}

/** Whether the start of a sentence gives a common word its capital: `North`, not in `North Korea`. */
function isOpener(text: string, match: RegExpExecArray): boolean {
  if (!opensSentence(text, match.index)) return false;
  return !entityWords().nameStarters.has(base(match[0])) || !/^ [A-Z]/.test(text.slice(match.index + match[0].length));
}

function opensSentence(text: string, start: number): boolean {
  const { before, isStart } = lookBack(text, start);
  const bare = before.replace(/[ \t"'([{*_#>\-`]+$/, "");
  return bare ? ".!?:;\n".includes(bare[bare.length - 1]!) : isStart;
}

/** The 12 characters before `end`, and whether the text begins with them. */
function lookBack(text: string, end: number): { before: string; isStart: boolean } {
  const tail = Array.from(text.slice(Math.max(0, end - 2 * LOOK_BACK - 2), end)).slice(-LOOK_BACK).join("");
  return { before: tail, isStart: tail.length === end };
}

/** Whether a word is the unit after a number or the month beside one: the numbers gate reads those. */
function isMeasure(text: string, word: string, match: RegExpExecArray): boolean {
  const { months, units } = numberWords();
  const isMonth = months.has(word);
  if (!(isMonth || Array.from(word).length === 1 || units.has(word))) return false;
  if (/[0-9](?:st|nd|rd|th)?(?: of)? {0,2}$/.test(lookBack(text, match.index).before)) return true;
  return isMonth && /^\.?,? ?[0-9]/.test(text.slice(match.index + match[0].length));
}

/** Whether dots make the word the initials of the name after it: `J. R. R. Tolkien`. */
function isInitial(text: string, word: string, match: RegExpExecArray): boolean {
  if (Array.from(word).length > 1 && !match[0].includes(".")) return false;
  AFTER_INITIAL.lastIndex = match.index + match[0].length;
  const following = AFTER_INITIAL.exec(text);
  if (following === null || !(match[0].includes(".") || following[1])) return false;
  const name = base(following[2]!);
  return !(entityWords().functionWords.has(name) || isCommon(name));
}

function joined(found: Set<string>): Set<string> {
  for (const { words, without, name } of entityWords().aliases) {
    if (words.every((word) => found.has(word)) && !without.some((word) => found.has(word))) {
      found = less(found, new Set(words)).add(name);
    }
  }
  return found;
}

function less(names: Set<string>, others: Set<string>): Set<string> {
  return new Set(Array.from(names).filter((name) => !others.has(name)));
}
