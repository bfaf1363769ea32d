/** What a valid answer is compared by: its equality class, its text, and what the gates read in it. */
import { compareTexts } from "../base/hashing.ts";
import type { CaseRequest, JudgedFrame } from "./case.ts";
import { NotJsonError, parseJson, type Value, valueAt, writtenValue } from "./json_value.ts";
import { conforms, parseSchema } from "./schema.ts";
import { canonicalText, hasUnassigned } from "./text.ts";
import { isLiteral, isTooLong } from "./wordpiece.ts";

/**
 * Answers of equal `group` agree. Where both are `compared`, distance and gates decide too: the gates read
 * `prose`, and `exact` must be equal. `value` is the agreed canonical value, null where wording is free.
 */
export interface Reading {
  group: string;
  compared: boolean;
  prose: string;
  exact: string;
  value: string | null;
}

export type Read = (answer: string) => Reading | null;

/** The reader of a request's answers; it gives null where an answer is malformed. */
export function reader(request: CaseRequest): Read {
  const read = readerOf(request.frame);
  const rules = request.schema ? parseSchema(request.schema) : null;
  return (answer) => {
    if (hasUnassigned(answer) || (rules !== null && !conforms(rules, answer))) return null;
    return read(answer);
  };
}

function readerOf(frame: JudgedFrame): Read {
  const { labels, exact, fuzzy } = frame;
  if (labels.length) return labelReader(labels);
  if (fuzzy.length) return fieldsReader(exact, fuzzy);
  if (exact.length) return valuesReader(exact);
  return proseReader(Object.keys(frame.sec_distance_bits).length > 0);
}

function proseReader(embedded: boolean): Read {
  return (answer) => {
    const text = canonicalText(answer);
    if (!text || isTooLong(text)) return null;
    const literal = isLiteral(text);
    return { group: text, compared: embedded && !literal, prose: answer, exact: "", value: literal ? text : null };
  };
}

function labelReader(labels: string[]): Read {
  const canonical = new Set(labels.map(canonicalText));
  return (answer) => {
    const text = canonicalText(answer);
    return canonical.has(text) ? { group: text, compared: false, prose: answer, exact: "", value: text } : null;
  };
}

function valuesReader(exact: string[]): Read {
  return (answer) => {
    const values = valuesAt(jsonOf(answer), exact);
    const text = canonicalText(answer);
    if (values === null || !text || isTooLong(text)) return null;
    return { group: values, compared: false, prose: answer, exact: values, value: values };
  };
}

function fieldsReader(exact: string[], fuzzy: string[]): Read {
  return (answer) => {
    const document = jsonOf(answer);
    const values = valuesAt(document, exact);
    const strings = stringsAt(document, fuzzy);
    if (values === null || strings === null) return null;
    const text = strings.map(canonicalText).join("\n");
    if (!text.replace(/^\n+|\n+$/g, "") || isTooLong(text)) return null;
    return { group: `${values}\n${text}`, compared: !isLiteral(text), prose: strings.join("\n"), exact: values, value: null };
  };
}

function jsonOf(answer: string): Value | null {
  try {
    return parseJson(answer);
  } catch (error) {
    if (error instanceof NotJsonError) return null;
    throw error;
  }
}

/** The values at the pointers as one JSON text, pointers ascending; null where one is missing. */
function valuesAt(document: Value | null, pointers: string[]): string | null {
  if (document === null) return null;
  const pairs: string[] = [];
  for (const pointer of [...pointers].sort(compareTexts)) {
    const value = valueAt(document, pointer);
    if (value === null) return null;
    pairs.push(`${JSON.stringify(pointer)}:${writtenValue(value)}`);
  }
  return `{${pairs.join(",")}}`;
}

/** The strings at the pointers, in the order of the frame; null where one is missing or no string. */
function stringsAt(document: Value | null, pointers: string[]): string[] | null {
  if (document === null) return null;
  const strings: string[] = [];
  for (const pointer of pointers) {
    const value = valueAt(document, pointer);
    if (value?.kind !== "text") return null;
    strings.push(value.text);
  }
  return strings;
}
