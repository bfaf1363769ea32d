/** Numbers in words: `twenty-one`, `two hundred and five`, `nineteen eighty-four`, `fourth`. */
import { mapOf, once } from "../base/tables.ts";

const VALUE_MAX = 10n ** 18n;

export const numberWords = once(({ words: { numbers } }) => ({
  cardinals: mapOf(numbers.cardinals),
  ordinals: mapOf(numbers.ordinals),
  scales: mapOf(numbers.scales),
  units: mapOf(numbers.units),
  rates: mapOf(numbers.rates),
  months: mapOf(numbers.months),
  weekdays: new Set(numbers.weekdays),
  beforePronoun: new Set(numbers.before_pronoun),
  afterPronoun: new Set(numbers.after_pronoun),
  beforeTime: new Set(numbers.before_time),
  beforeMonth: new Set(numbers.before_month),
  wordAndMonth: new Set(numbers.word_and_month),
}));

/** Whether a number in words starts at token `at`, which must go on for two tokens after it. */
export function startsNumber(lower: string[], at: number): boolean {
  const words = numberWords();
  const word = lower[at]!;
  if (!words.cardinals.has(word) && !words.ordinals.has(word) && !words.scales.has(word)) return false;
  const before = at ? lower[at - 1]! : "";
  if (word === "one") return !words.beforePronoun.has(before) && !words.afterPronoun.has(lower[at + 1]!);
  if (word === "second") return !words.beforeTime.has(before);
  if (word === "first") return words.months.has(before) || (lower[at + 1] === "of" && words.months.has(lower[at + 2]!));
  return true;
}

/** The value of the number that starts at token `at`, and the token after it. */
export function readSpelled(lower: string[], start: number): [bigint, number] {
  const words = numberWords();
  let [total, current, at] = [0n, 0n, start];
  while (total < VALUE_MAX && current < VALUE_MAX) {
    const word = lower[at]!;
    const ordinal = words.ordinals.get(word);
    if (ordinal !== undefined && (at === start || joins(current, ordinal))) return [total + current + BigInt(ordinal), at + 1];
    const cardinal = words.cardinals.get(word);
    const scale = words.scales.get(word);
    if (cardinal !== undefined && (at === start || joins(current, cardinal))) current += BigInt(cardinal);
    else if (cardinal !== undefined && !total && isYear(current, cardinal)) current = current * 100n + BigInt(cardinal);
    else if (scale !== undefined && (current || at === start)) [total, current] = scaled(total, current || 1n, scale);
    else if (!links(lower, at, start, current)) break;
    at++;
  }
  return [total + current, at];
}

function joins(current: bigint, value: number): boolean {
  const rest = Number(current % 100n);
  if (rest === 0) return value > 0;
  return rest >= 20 && rest % 10 === 0 && value >= 1 && value <= 9;
}

function isYear(current: bigint, value: number): boolean {
  return current >= 11n && current <= 20n && value >= 10 && value <= 90;
}

function scaled(total: bigint, current: bigint, power: number): [bigint, bigint] {
  return power === 2 ? [total, current * 100n] : [total + current * 10n ** BigInt(power), 0n];
}

/** Whether token `at` is the `-` of `twenty-one` or the `and` of `hundred and one`. */
function links(lower: string[], at: number, start: number, current: bigint): boolean {
  const words = numberWords();
  const following = lower[at + 1]!;
  if (at === start || !(words.cardinals.has(following) || words.ordinals.has(following))) return false;
  if (lower[at] === "and") return words.scales.has(lower[at - 1]!);
  return lower[at] === "-" && (words.ordinals.has(following) || joins(current, words.cardinals.get(following)!));
}
