/** What the numbers gate sees in a text: normalised numbers, the units after them, dates and times. */
import { once } from "../base/tables.ts";
import { decimalText, readDecimal, shifted } from "./decimals.ts";
import { asciiLower } from "./gate_text.ts";
import { CURRENCIES, dateParts, DAY_HALVES, hourOf, isNumber, ROMAN, tokensOf, writtenNumber } from "./number_tokens.ts";
import { numberWords, readSpelled, startsNumber } from "./spelled_numbers.ts";

const LOOK_AHEAD = ["", "", ""];
const MONEY_SCALES = new Map([["k", 3], ["m", 6], ["mn", 6], ["b", 9], ["bn", 9], ["t", 12], ["tn", 12]]);
const SCALE_LETTERS = new Map([["C", "celsius"], ["F", "fahrenheit"], ["K", "kelvin"]]);
const TEMPERATURES = new Set(SCALE_LETTERS.values());
const SKIPPED_BEFORE_UNIT = new Set(["-", "square", "cubic", "sq"]);
const DEGREES = new Set(["°", "degree", "degrees", "deg"]);

/** The numbers, units (`u:km`), months (`m:7`), weekdays (`d:monday`) and times (`17:30`) of a text. */
export function numberElements(text: string): Set<string> {
  return new Set(new Reader(tokensOf(text)).elements());
}

/** Words that may begin an element. */
const triggers = once(() => {
  const { cardinals, ordinals, scales, months, weekdays } = numberWords();
  const roman = Array.from(ROMAN.keys(), (numeral) => numeral.toLowerCase());
  return new Set([...cardinals.keys(), ...ordinals.keys(), ...scales.keys(), ...months.keys(), ...weekdays, ...roman]);
});

/** Reads tokens from left to right: each method takes what it knows at `at` and moves on. */
class Reader {
  private readonly tokens: string[];
  private readonly lower: string[];
  private readonly words = numberWords();
  private at = 0;
  private numberEnd = -1;

  constructor(tokens: string[]) {
    this.tokens = [...tokens, ...LOOK_AHEAD];
    this.lower = this.tokens.map(asciiLower);
  }

  *elements(): Generator<string> {
    for (let at = 0; at < this.lower.length; at++) {
      const word = this.lower[at]!;
      if (at < this.at || !(triggers().has(word) || /^[0-9.-]/.test(word))) continue;
      this.at = at;
      if (isNumber(word)) yield* this.written();
      else if (startsNumber(this.lower, at)) yield* this.spelled();
      else yield* this.calendar();
    }
  }

  private *written(): Generator<string> {
    const token = this.tokens[this.at]!;
    const sign = this.sign();
    const money = this.money();
    this.at++;
    const date = dateParts(token);
    if (date) {
      yield* [String(date[0]), `m:${date[1]}`, date[2]];
      return;
    }
    const [value, isDecimal] = writtenNumber(token);
    const time = this.time(value);
    if (time) {
      yield time;
      return;
    }
    yield sign + (isDecimal ? this.multiplied(value, money.length > 0) : value);
    for (const unit of money) yield `u:${unit}`;
    yield* this.units();
    this.numberEnd = this.at;
  }

  private *spelled(): Generator<string> {
    const sign = this.sign();
    const [value, after] = readSpelled(this.lower, this.at);
    this.at = after;
    yield sign + String(value);
    yield* this.units();
    this.numberEnd = this.at;
  }

  /** `-` after "minus" or "negative", unless that stands between two numbers. */
  private sign(): string {
    const isMinus = this.at > 0 && ["minus", "negative"].includes(this.lower[this.at - 1]!);
    return isMinus && this.at - 1 !== this.numberEnd ? "-" : "";
  }

  private money(): string[] {
    const unit = this.at ? CURRENCIES.get(this.tokens[this.at - 1]!) : undefined;
    return unit === undefined ? [] : [unit];
  }

  private time(value: string): string | null {
    let [half, taken] = [this.lower[this.at]!, 1];
    if (this.lower[this.at + 1] === "." && this.lower[this.at + 2] === "m") [half, taken] = [half + "m", 3];
    const time = DAY_HALVES.has(half) ? hourOf(value, half) : null;
    if (time) this.at += taken;
    return time;
  }

  /** The value times the scale words after it: `5 million`, `$3bn`, `10k`, `6 x 10^23`. */
  private multiplied(value: string, isMoney: boolean): string {
    let power = 0;
    for (;;) {
      const at = this.at + (this.lower[this.at] === "-" ? 1 : 0);
      const word = this.lower[at]!;
      const scale = this.words.scales.get(word);
      const money = isMoney ? MONEY_SCALES.get(word) : undefined;
      if (scale !== undefined) power += scale;
      else if (money !== undefined) power += money;
      else if (this.tokens[at] === "k") power += 3;
      else break;
      this.at = at + 1;
    }
    power += this.powerOfTen();
    const number = power ? readDecimal(value) : null;
    return number ? decimalText(shifted(number, power)) : value;
  }

  /** The exponent of ` x 10^n` here, or 0. */
  private powerOfTen(): number {
    if (!["x", "*"].includes(this.lower[this.at]!) || this.lower[this.at + 1] !== "10") return 0;
    const isRaised = this.lower[this.at + 2] === "^";
    let at = this.at + 2 + (isRaised ? 1 : 0);
    let exponent = isRaised ? this.lower[at]! : "";
    let sign = "";
    if (exponent === "-") {
      [sign, exponent] = ["-", this.lower[at + 1]!];
      at++;
    }
    if (!/^-?[0-9]{1,3}$/.test(sign + exponent)) return 0;
    this.at = at + 1;
    return Number(sign + exponent);
  }

  /** The units right after a number: `km`, `km / h`, `°C`, `%`, `per cent`. */
  private *units(): Generator<string> {
    let at = this.at;
    while (SKIPPED_BEFORE_UNIT.has(this.lower[at]!)) at++;
    let found = this.unit(at);
    while (found.length) {
      for (const unit of found) yield `u:${unit}`;
      at = this.at;
      if (this.lower[at] === "^" && ["2", "3"].includes(this.lower[at + 1]!)) at += 2;
      this.at = at;
      if (!["/", "per"].includes(this.lower[at]!)) return;
      found = this.unit(at + 1);
    }
  }

  /** The unit at token `at`, which is then taken; empty where there is none. */
  private unit(at: number): string[] {
    const token = this.tokens[at] ?? "";
    const word = this.lower[at] ?? "";
    let taken = 1;
    let found: string[] = [];
    if (this.words.units.has(word)) found = [this.words.units.get(word)!];
    else if (this.words.rates.has(word)) found = this.words.rates.get(word)!;
    else if (CURRENCIES.has(token)) found = [CURRENCIES.get(token)!];
    else if (SCALE_LETTERS.has(token)) found = [SCALE_LETTERS.get(token)!];
    else if (word === "per" && this.lower[at + 1] === "cent") [taken, found] = [2, ["percent"]];
    else if (DEGREES.has(word)) {
      taken = 2;
      const scale = SCALE_LETTERS.get(this.tokens[at + 1]!) ?? this.lower[at + 1]!;
      const unit = this.words.units.get(scale) ?? "";
      found = TEMPERATURES.has(unit) ? [unit] : [];
    }
    if (found.length) this.at = at + taken;
    return found;
  }

  /** A month, a weekday or `VIII` after a name; `May` only beside a number or `in`. */
  private *calendar(): Generator<string> {
    const token = this.tokens[this.at]!;
    const word = this.lower[this.at]!;
    if (!/^[A-Z]/.test(token)) return;
    const roman = ROMAN.get(token);
    if (roman !== undefined && this.at && /^[A-Z]/.test(this.tokens[this.at - 1]!)) yield String(roman);
    if (this.words.weekdays.has(word)) yield `d:${word}`;
    const month = this.words.months.get(word);
    if (month !== undefined && (!this.words.wordAndMonth.has(word) || this.isInDate())) yield `m:${month}`;
  }

  private isInDate(): boolean {
    const before = this.at ? this.lower[this.at - 1]! : "";
    const following = this.lower[this.at + 1]!;
    const after = [".", ","].includes(following) ? this.lower[this.at + 2]! : following;
    return this.words.beforeMonth.has(before) || [before, after].some((word) => isNumber(word) || this.words.ordinals.has(word));
  }
}
