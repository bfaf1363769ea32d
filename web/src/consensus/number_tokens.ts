/** Tokens of the numbers gate: numbers in digits, words, single marks. */
import { isAscii } from "../base/unicode.ts";
import { decimalText, readDecimal } from "./decimals.ts";

/** Signs of money and the units they stand for. */
export const CURRENCIES = new Map([["$", "dollar"], ["€", "euro"], ["£", "pound"], ["¥", "yen"]]);
/** Hours to add to a time of a twelve-hour clock. */
export const DAY_HALVES = new Map([["am", 0], ["pm", 12]]);
const ROMAN_UNITS = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"];
/** Roman numerals after a name, as in `Henry VIII`; a single letter may be a name of its own. */
export const ROMAN = new Map(
  [0, 1, 2, 3]
    .flatMap((tens) => ROMAN_UNITS.map((units, at): [string, number] => ["X".repeat(tens) + units, 10 * tens + at]))
    .filter(([numeral]) => numeral.length > 1),
);

const LOW = new Map(Array.from("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", (sign, at) => [sign, "0123456789-"[at]!]));
const PLAIN = new Map([
  ...Array.from("−–—·\u2010\u2011\u00a0\u2009\u202f", (sign, at): [string, string] => [sign, "---*--   "[at]!]),
  ["×", " x "] as [string, string],
]);
const TOKEN = new RegExp(
  "[A-Za-z][A-Za-z0-9]*" +
    "|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?![0-9-])" +
    "|[0-9]{1,4}/[0-9]{1,4}(?:/[0-9]{1,4})?(?![0-9/])" +
    "|[0-9]{1,4}(?::[0-9]{1,4}){1,2}" +
    "|[0-9]+(?:\\.[0-9]+){2,}" +
    "|(?:(?<![^ \\t\\n(\\[=<>:,;\"'])-)?" +
    "(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\\.[0-9]+)?|\\.[0-9]+)" +
    "(?:[eE][+\\-]?[0-9]+(?![A-Za-z0-9])|(?:st|nd|rd|th|s)(?![A-Za-z0-9]))?" +
    "|[^ \\t\\n]",
  "gu",
);

/** The tokens of a text: dates, times and numbers whole, words, and every other mark for itself. */
export function tokensOf(text: string): string[] {
  return plainSigns(text).match(TOKEN) ?? [];
}

function plainSigns(text: string): string {
  if (isAscii(text)) return text;
  const grouped = text.replace(/(?<=[0-9])[\u00a0\u2009\u202f](?=[0-9]{3})/g, ",");
  const raised = grouped.replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+/gu, (run) => "^" + Array.from(run, (one) => LOW.get(one)).join(""));
  return Array.from(raised, (one) => PLAIN.get(one) ?? one).join("");
}

/** Whether a token is a number in digits. */
export function isNumber(token: string): boolean {
  return /^(?:[0-9]|[-.].)/su.test(token);
}

/** Day, month and year of `1969-07-20` or of `20/7/1969` where only one reading is possible. */
export function dateParts(token: string): [number, number, string] | null {
  const iso = /^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})$/.exec(token);
  if (iso) return date(Number(iso[3]), Number(iso[2]), iso[1]!);
  const slashed = /^([0-9]{1,2})\/([0-9]{1,2})\/([0-9]{4})$/.exec(token);
  if (!slashed) return null;
  const [first, second, year] = [Number(slashed[1]), Number(slashed[2]), slashed[3]!];
  if (first > 12 || first === second) return date(first, second, year);
  return second > 12 ? date(second, first, year) : null;
}

/** The value of a number in digits as the gate writes it, and whether that is a plain decimal. */
export function writtenNumber(token: string): [string, boolean] {
  if (/^[0-9]{1,40}$/.test(token)) return [token.replace(/^0+/, "") || "0", true];
  if (/^[0-9]+0s$/.test(token)) return [token, false];
  const bare = token.replace(/(?:st|nd|rd|th|s)$/, "");
  const number = readDecimal(bare);
  if (number !== null) return [decimalText(number), true];
  return [bare.replace(/(?:^|(?<=\/))0+(?=[0-9])/g, ""), false];
}

/** A time of the twelve-hour clock as `17:30`, or null where it is none. */
export function hourOf(value: string, half: string): string | null {
  const match = /^([0-9]{1,2})(?::([0-9]{2}))?$/.exec(value);
  if (match === null || Number(match[1]) < 1 || Number(match[1]) > 12) return null;
  return `${(Number(match[1]) % 12) + DAY_HALVES.get(half)!}:${match[2] ?? "00"}`;
}

function date(day: number, month: number, year: string): [number, number, string] | null {
  return day >= 1 && day <= 31 && month >= 1 && month <= 12 ? [day, month, year.replace(/^0+/, "")] : null;
}
