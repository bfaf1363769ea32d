/** Gates: what two answers may not contradict each other in, however near they are (`spec/05-gates.md`). */
import { namesBeyond, namesIn, promptWords } from "./gate_entities.ts";
import { numberElements } from "./gate_numbers.ts";
import { type Polarity, polarityOf } from "./gate_polarity.ts";

export const GATES = ["numbers", "entities", "polarity", "numbers_strict", "entities_strict", "polarity_strict", "json"];

export type Features = Set<string> | Polarity;

/** What a gate reads in the original answer. */
export function features(name: string, answer: string, prompt: string): Features {
  switch (name.replace(/_strict$/, "")) {
    case "numbers": {
      const found = numberElements(answer);
      const rest = new Set(found);
      for (const element of numberElements(prompt)) rest.delete(element);
      return rest.size ? rest : found;
    }
    case "entities":
      return namesBeyond(namesIn(answer), promptWords(prompt));
    default:
      return polarityOf(answer);
  }
}

/** Whether gate `name` objects to two answers, given their features. */
export function conflict(name: string, one: Features, other: Features): boolean {
  const isStrict = name.endsWith("_strict");
  if (one instanceof Set && other instanceof Set) {
    if (isStrict) return one.size !== other.size || !contains(one, other);
    return one.size > 0 && other.size > 0 && !(contains(one, other) || contains(other, one));
  }
  const [left, right] = [one as Polarity, other as Polarity];
  if (left.opening * right.opening < 0) return true;
  if (left.words === right.words && left.denied.join() !== right.denied.join()) return true;
  return isStrict && (left.opening !== right.opening || left.denied.length > 0 !== right.denied.length > 0);
}

function contains(whole: Set<string>, part: Set<string>): boolean {
  for (const element of part) if (!whole.has(element)) return false;
  return true;
}
