/** The closed JSON schema subset of a request: no patterns, no references (`spec/04-text.md`). */
import { characters } from "../base/hashing.ts";
import { type Decimal, isLess, readDecimal } from "./decimals.ts";
import { memberOf, NotJsonError, parseJson, type Value, writtenValue } from "./json_value.ts";

const DEPTH_MAX = 8;
const NODES_MAX = 256;
const KINDS = ["object", "array", "string", "number", "integer", "boolean", "null"];
const KEYWORDS = ["type", "properties", "required", "items", "enum", "const", "minimum", "maximum", "maxLength"];

export class SchemaError extends Error {}

/** A parsed schema; null or empty where a keyword is absent. `choices` holds `enum` and `const`. */
export interface Schema {
  kind: string | null;
  properties: Map<string, Schema>;
  required: string[];
  items: Schema | null;
  choices: Set<string>[];
  minimum: Decimal | null;
  maximum: Decimal | null;
  lengthMax: number | null;
}

/** The schema that a text writes. */
export function parseSchema(text: string): Schema {
  let value: Value;
  try {
    value = parseJson(text, 3 * DEPTH_MAX);
  } catch (error) {
    if (error instanceof NotJsonError) throw new SchemaError(`is no JSON: ${error.message}`);
    throw error;
  }
  return new Reader().schema(value, 1);
}

/** Whether an answer is JSON that keeps to the schema. */
export function conforms(schema: Schema, answer: string): boolean {
  try {
    return isValid(schema, parseJson(answer));
  } catch (error) {
    if (error instanceof NotJsonError) return false;
    throw error;
  }
}

function isValid(schema: Schema, value: Value): boolean {
  if (schema.kind !== null && !isKind(value, schema.kind)) return false;
  if (schema.choices.some((choices) => !choices.has(identity(value)))) return false;
  switch (value.kind) {
    case "number":
      return isInRange(schema, value.written);
    case "text":
      return schema.lengthMax === null || characters(value.text) <= schema.lengthMax;
    case "array":
      return value.items.every((item) => schema.items === null || isValid(schema.items, item));
    case "object": {
      const names = new Set(value.members.map(([name]) => name));
      if (!schema.required.every((name) => names.has(name))) return false;
      return value.members.every(([name, member]) => {
        const rules = schema.properties.get(name);
        return rules === undefined || isValid(rules, member);
      });
    }
    case "constant":
      return true;
  }
}

class Reader {
  private nodes = 0;

  schema(value: Value, depth: number): Schema {
    if (value.kind !== "object") throw new SchemaError("must be an object wherever a schema stands");
    if (depth > DEPTH_MAX) throw new SchemaError(`nests deeper than ${DEPTH_MAX}`);
    this.count(1);
    const of = (keyword: string) => memberOf(value.members, keyword);
    const unknown = value.members.find(([name]) => !KEYWORDS.includes(name));
    if (unknown) throw new SchemaError(`has ${unknown[0]}`);
    const items = of("items");
    return {
      kind: kindOf(of("type")),
      properties: this.properties(of("properties"), depth),
      required: namesOf(of("required")),
      items: items === null ? null : this.schema(items, depth + 1),
      choices: this.choices(of("enum"), of("const")),
      minimum: bound(of("minimum")),
      maximum: bound(of("maximum")),
      lengthMax: lengthOf(of("maxLength")),
    };
  }

  private properties(value: Value | null, depth: number): Map<string, Schema> {
    if (value === null) return new Map();
    if (value.kind !== "object") throw new SchemaError("needs an object in properties");
    return new Map(value.members.map(([name, member]) => [name, this.schema(member, depth + 1)]));
  }

  private choices(listed: Value | null, only: Value | null): Set<string>[] {
    const found: Value[][] = [];
    if (listed !== null) {
      if (listed.kind !== "array" || !listed.items.length) throw new SchemaError("needs a list of at least one value in enum");
      found.push(listed.items);
    }
    if (only !== null) found.push([only]);
    this.count(found.flat().reduce((sum, value) => sum + size(value), 0));
    return found.map((values) => new Set(values.map(identity)));
  }

  private count(nodes: number): void {
    this.nodes += nodes;
    if (this.nodes > NODES_MAX) throw new SchemaError(`has more than ${NODES_MAX} schemas and listed values`);
  }
}

function kindOf(value: Value | null): string | null {
  if (value === null) return null;
  if (value.kind === "text" && KINDS.includes(value.text)) return value.text;
  throw new SchemaError(`needs one of ${KINDS.join(", ")} as type`);
}

function namesOf(value: Value | null): string[] {
  if (value === null) return [];
  if (value.kind !== "array") throw new SchemaError("needs a list of different names in required");
  const names = value.items.flatMap((item) => (item.kind === "text" ? [item.text] : []));
  if (names.length < value.items.length || new Set(names).size < names.length) {
    throw new SchemaError("needs a list of different names in required");
  }
  if (names.length > NODES_MAX) throw new SchemaError(`requires more than ${NODES_MAX} names`);
  return names;
}

function bound(value: Value | null): Decimal | null {
  if (value === null) return null;
  const number = value.kind === "number" ? readDecimal(value.written) : null;
  if (number === null) throw new SchemaError("needs a number as a bound");
  return number;
}

function lengthOf(value: Value | null): number | null {
  if (value === null) return null;
  if (value.kind !== "number" || !/^[0-9]{1,9}$/.test(value.written)) throw new SchemaError("needs a whole number in maxLength");
  return Number(value.written);
}

function isKind(value: Value, kind: string): boolean {
  switch (value.kind) {
    case "number":
      return kind === "number" || (kind === "integer" && /^-?[0-9]+$/.test(value.written));
    case "text":
      return kind === "string";
    case "array":
    case "object":
      return kind === value.kind;
    case "constant":
      return kind === (value.name === "null" ? "null" : "boolean");
  }
}

function isInRange(schema: Schema, written: string): boolean {
  const number = readDecimal(written);
  if (number === null) return schema.minimum === null && schema.maximum === null;
  if (schema.minimum !== null && isLess(number, schema.minimum)) return false;
  return schema.maximum === null || !isLess(schema.maximum, number);
}

/** A text that equal values share. */
function identity(value: Value): string {
  return writtenValue(value);
}

function size(value: Value): number {
  if (value.kind === "array") return value.items.reduce((sum, item) => sum + size(item), 1);
  if (value.kind === "object") return value.members.reduce((sum, [, item]) => sum + size(item), 1);
  return 1;
}
