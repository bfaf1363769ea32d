/** JSON in answers and schemas: numbers keep the text they were written with, nothing is ever a float. */
import { characters, compareTexts, hasLoneSurrogate } from "../base/hashing.ts";

export const ANSWER_DEPTH_MAX = 16;
const TEXT_CHARS_MAX = 64 * 1024;

export type Value =
  | { kind: "number"; written: string }
  | { kind: "text"; text: string }
  | { kind: "array"; items: Value[] }
  | { kind: "object"; members: [string, Value][] }
  | { kind: "constant"; name: "true" | "false" | "null" };

export class NotJsonError extends Error {}

/** The value that a text writes, white space around it allowed. */
export function parseJson(text: string, depthMax = ANSWER_DEPTH_MAX): Value {
  if (text.length > TEXT_CHARS_MAX && characters(text) > TEXT_CHARS_MAX) throw new NotJsonError("too long");
  return new Parser(text, depthMax).whole();
}

/** The value at a JSON pointer (RFC 6901), or null. */
export function valueAt(value: Value, pointer: string): Value | null {
  let found: Value = value;
  for (const token of pointer.split("/").slice(1)) {
    const key = token.replaceAll("~1", "/").replaceAll("~0", "~");
    let next: Value | null = null;
    if (found.kind === "object") next = memberOf(found.members, key);
    else if (found.kind === "array" && /^(?:0|[1-9][0-9]{0,8})$/.test(key)) next = found.items[Number(key)] ?? null;
    if (next === null) return null;
    found = next;
  }
  return found;
}

/** The value of a member, or null. */
export function memberOf(members: [string, Value][], key: string): Value | null {
  return members.find(([name]) => name === key)?.[1] ?? null;
}

/** Canonical JSON, but that numbers keep the text they were written with. Equal values have equal texts. */
export function writtenValue(value: Value): string {
  switch (value.kind) {
    case "number":
      return value.written;
    case "constant":
      return value.name;
    case "text":
      return JSON.stringify(value.text);
    case "array":
      return `[${value.items.map(writtenValue).join(",")}]`;
    case "object":
      return `{${value.members.map(([key, item]) => `${JSON.stringify(key)}:${writtenValue(item)}`).join(",")}}`;
  }
}

class Parser {
  private at = 0;

  constructor(
    private readonly text: string,
    private readonly depthMax: number,
  ) {}

  whole(): Value {
    if (hasLoneSurrogate(this.text)) throw new NotJsonError("a lone surrogate");
    const value = this.value(0);
    this.space();
    if (this.at < this.text.length) throw new NotJsonError("more after the value");
    return value;
  }

  private value(depth: number): Value {
    this.space();
    const sign = this.text[this.at];
    if (sign === "{" || sign === "[") {
      if (depth >= this.depthMax) throw new NotJsonError("nested too deeply");
      this.at++;
      return sign === "{" ? this.object(depth + 1) : this.array(depth + 1);
    }
    if (sign === '"') return { kind: "text", text: this.string() };
    for (const name of ["true", "false", "null"] as const) {
      if (this.text.startsWith(name, this.at)) {
        this.at += name.length;
        return { kind: "constant", name };
      }
    }
    return { kind: "number", written: this.match(/-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?/y) };
  }

  private object(depth: number): Value {
    const members = new Map<string, Value>();
    if (this.takes("}")) return { kind: "object", members: [] };
    do {
      this.space();
      if (this.text[this.at] !== '"') throw new NotJsonError("a key is expected");
      const key = this.string();
      if (members.has(key)) throw new NotJsonError("a key is named twice");
      if (!this.takes(":")) throw new NotJsonError("a colon is expected");
      members.set(key, this.value(depth));
    } while (this.takes(","));
    if (!this.takes("}")) throw new NotJsonError("an object does not end");
    return { kind: "object", members: Array.from(members).sort(([one], [other]) => compareTexts(one, other)) };
  }

  private array(depth: number): Value {
    const items: Value[] = [];
    if (this.takes("]")) return { kind: "array", items };
    do items.push(this.value(depth));
    while (this.takes(","));
    if (!this.takes("]")) throw new NotJsonError("an array does not end");
    return { kind: "array", items };
  }

  private string(): string {
    const written = this.match(/"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"/y);
    const text = JSON.parse(written) as string;
    if (hasLoneSurrogate(text)) throw new NotJsonError("a lone surrogate");
    return text;
  }

  private match(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) throw new NotJsonError("a value is expected");
    this.at = pattern.lastIndex;
    return found[0];
  }

  private takes(sign: string): boolean {
    this.space();
    if (this.text[this.at] !== sign) return false;
    this.at++;
    return true;
  }

  private space(): void {
    while (" \t\n\r".includes(this.text[this.at] ?? "x")) this.at++;
  }
}
