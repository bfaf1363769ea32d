/** Unicode 13, frozen: what browsers know of Unicode differs, a verdict must not. */
import { once } from "./tables.ts";

const CATEGORIES = [
  "Cn", "Cc", "Cf", "Co", "Cs", "Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "Nd", "Nl", "No",
  "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "Sc", "Sk", "Sm", "So", "Zl", "Zp", "Zs",
] as const;
const IDEOGRAPHS: [number, number][] = [
  [0x3400, 0x4dbf], [0x4e00, 0x9fff], [0xf900, 0xfaff], [0x20000, 0x2a6df],
  [0x2a700, 0x2b73f], [0x2b740, 0x2b81f], [0x2b820, 0x2ceaf], [0x2f800, 0x2fa1f],
];

/** What the design counts as white space; no version of Unicode can change it. */
export const WHITE_SPACE: ReadonlySet<string> = new Set(
  [
    ...range(9, 14), 0x20, 0xa0, ...range(0x2000, 0x200c),
    0x2028, 0x2029, 0x202f, 0x205f, 0x3000, 0xfeff,
  ].map((code) => String.fromCodePoint(code)),
);

export function isAscii(text: string): boolean {
  return /^[\x00-\x7f]*$/.test(text);
}

/** The general category in Unicode 13, such as `Lu`; `Cn` when nothing is assigned there. */
export function category(character: string): string {
  return CATEGORIES[categoryOf()[character.codePointAt(0)!]!]!;
}

export const isLetter = (character: string): boolean => category(character)[0] === "L";
export const isDigit = (character: string): boolean => category(character) === "Nd";
export const isUpper = (character: string): boolean => ["Lu", "Lt"].includes(category(character));
export const isPunctuation = (character: string): boolean => category(character)[0] === "P";
export const isControl = (character: string): boolean => category(character)[0] === "C";
const isMark = (character: string): boolean => category(character) === "Mn";

/** Whether BERT's tokenizer splits it off as a Chinese character. */
export function isIdeograph(character: string): boolean {
  const code = character.codePointAt(0)!;
  return IDEOGRAPHS.some(([low, high]) => low <= code && code <= high);
}

/** Lower case, character by character, without regard to the neighbours. */
export function lower(text: string): string {
  if (isAscii(text)) return text.toLowerCase();
  const table = lowerMap();
  return Array.from(text, (one) => table.get(one) ?? one).join("");
}

/** Canonical decomposition (UAX 15). */
export function nfd(text: string): string {
  if (isAscii(text)) return text;
  const table = decompositions();
  const parts = Array.from(text, (one) => table.get(one) ?? hangulParts(one)).join("");
  return inCanonicalOrder(parts);
}

/** Canonical composition (UAX 15) of the canonical decomposition. */
export function nfc(text: string): string {
  return isAscii(text) ? text : compose(nfd(text));
}

/** NFD less every character of category Mn: `é` becomes `e`. */
export function withoutMarks(text: string): string {
  return isAscii(text) ? text : Array.from(nfd(text)).filter((one) => !isMark(one)).join("");
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at);
}

function inCanonicalOrder(text: string): string {
  const classes = combining();
  const out: string[] = [];
  let run: string[] = [];
  const flush = () => {
    out.push(...run.sort((one, other) => classes.get(one)! - classes.get(other)!));
    run = [];
  };
  for (const character of text) {
    if (classes.has(character)) {
      run.push(character);
    } else {
      flush();
      out.push(character);
    }
  }
  flush();
  return out.join("");
}

/** Join each starter with what follows it, unless a mark of the same or a higher class stands between. */
function compose(text: string): string {
  const classes = combining();
  const out: string[] = [];
  let starter = -1;
  let lastClass = 0;
  for (const character of text) {
    const thisClass = classes.get(character) ?? 0;
    const isAdjacent = starter === out.length - 1;
    if (starter >= 0 && (isAdjacent || (lastClass !== 0 && lastClass < thisClass))) {
      const whole = composite(out[starter]!, character);
      if (whole) {
        out[starter] = whole;
        continue;
      }
    }
    out.push(character);
    lastClass = thisClass;
    starter = thisClass ? starter : out.length - 1;
  }
  return out.join("");
}

function composite(first: string, second: string): string {
  const leading = first.codePointAt(0)! - 0x1100;
  const vowel = second.codePointAt(0)! - 0x1161;
  const trailing = second.codePointAt(0)! - 0x11a7;
  if (leading >= 0 && leading < 19 && vowel >= 0 && vowel < 21) {
    return String.fromCodePoint(0xac00 + (leading * 21 + vowel) * 28);
  }
  const syllable = first.codePointAt(0)! - 0xac00;
  if (syllable >= 0 && syllable < 11172 && syllable % 28 === 0 && trailing > 0 && trailing < 28) {
    return String.fromCodePoint(first.codePointAt(0)! + trailing);
  }
  return compositions().get(first + second) ?? "";
}

function hangulParts(character: string): string {
  const syllable = character.codePointAt(0)! - 0xac00;
  if (syllable < 0 || syllable >= 11172) return character;
  const parts = [0x1100 + Math.floor(syllable / 588), 0x1161 + Math.floor((syllable % 588) / 28)];
  if (syllable % 28) parts.push(0x11a7 + (syllable % 28));
  return String.fromCodePoint(...parts);
}

const categoryOf = once(({ unicode }) => {
  const indexes = new Uint8Array(0x110000);
  CATEGORIES.forEach((name, index) => {
    const ranges = unicode.categories[name] ?? [];
    for (let at = 0; at < ranges.length; at += 2) indexes.fill(index, ranges[at], ranges[at + 1]! + 1);
  });
  return indexes;
});

const combining = once(({ unicode }) => {
  const classes = new Map<string, number>();
  for (const [name, ranges] of Object.entries(unicode.combining)) {
    for (let at = 0; at < ranges.length; at += 2) {
      for (let code = ranges[at]!; code <= ranges[at + 1]!; code++) classes.set(String.fromCodePoint(code), Number(name));
    }
  }
  return classes;
});

const decompositions = once(({ unicode }) => {
  const steps = new Map(unicode.decompositions.map(([code, ...parts]) => [code!, parts]));
  const unfold = (code: number): number[] => steps.get(code)?.flatMap(unfold) ?? [code];
  return new Map(Array.from(steps.keys(), (code) => [String.fromCodePoint(code), String.fromCodePoint(...unfold(code))]));
});

const compositions = once(
  ({ unicode }) => new Map(unicode.compositions.map(([one, two, whole]) => [String.fromCodePoint(one, two), String.fromCodePoint(whole)])),
);

const lowerMap = once(
  ({ unicode }) => new Map(unicode.lower.map(([code, ...parts]) => [String.fromCodePoint(code!), String.fromCodePoint(...parts)])),
);
