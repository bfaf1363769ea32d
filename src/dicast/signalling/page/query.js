// Queries over JSON objects, as in spec/40-queries.md; held to spec/vectors/queries.json.

export const LIMITS = {
  objectBytes: 16 * 1024, objectValues: 1024, depth: 16,
  queryBytes: 4 * 1024, nodes: 64, queryDepth: 8, items: 64, pathParts: 8,
};
const MISSING = Symbol("missing");
const JOINING = ["$and", "$or", "$not"];
const FIELD = ["$eq", "$ne", "$lt", "$lte", "$gt", "$gte", "$in", "$nin", "$contains", "$exists"];

export class QueryError extends Error {
  constructor(fault, message) {
    super(message);
    this.fault = fault;
  }
}

// The object in a JSON text, within the bounds. Throws QueryError. A name that stands twice counts the last time.
export function readObject(text, bytesMax = LIMITS.objectBytes) {
  if (new TextEncoder().encode(text).length > bytesMax) {
    throw new QueryError("too_large", `At most ${bytesMax} bytes are taken.`);
  }
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new QueryError("not_json", `This is not JSON: ${error.message}.`);
  }
  if (!isObject(value)) throw new QueryError("not_an_object", "This is JSON, but no object.");
  checkBounds(value);
  return value;
}

// A function of a document that says whether the query matches. Throws QueryError.
export function parseQuery(text) {
  const parser = new Parser();
  const test = parser.whole(readObject(text, LIMITS.queryBytes), 1);
  return (document) => test(document);
}

class Parser {
  nodes = 0;

  whole(value, depth) {
    if (!isObject(value)) throw new QueryError("bad_operand", "A query is an object.");
    this.enter(depth);
    return every(Object.entries(value).map(([name, operand]) => this.part(name, operand, depth)));
  }

  condition(value, depth) {
    this.enter(depth);
    const names = isObject(value) ? Object.keys(value).filter((name) => name.startsWith("$")) : [];
    if (names.length === 0) {
      refuseOperators(value);
      return (found) => same(value, found);
    }
    if (names.length !== Object.keys(value).length) {
      throw new QueryError("misplaced_operator", `${names[0]} stands beside a plain name.`);
    }
    return every(names.map((name) => this.operator(name, value[name], depth)));
  }

  part(name, operand, depth) {
    if (!name.startsWith("$")) {
      const path = pathOf(name);
      const test = this.condition(operand, depth);
      return (value) => test(at(path, value));
    }
    if (JOINING.includes(name)) return this.joined(name, operand, depth, this.whole);
    if (FIELD.includes(name)) throw new QueryError("misplaced_operator", `${name} needs a field: {"name": {"${name}": …}}.`);
    throw unknown(name);
  }

  operator(name, operand, depth) {
    if (JOINING.includes(name)) return this.joined(name, operand, depth, this.condition);
    this.enter(depth);
    if (!FIELD.includes(name)) throw unknown(name);
    return fieldTest(name, operand);
  }

  joined(name, operand, depth, read) {
    if (name === "$not") {
      const test = read.call(this, operand, depth + 1);
      return (value) => !test(value);
    }
    const tests = list(name, operand).map((one) => read.call(this, one, depth + 1));
    if (tests.length === 0) throw new QueryError("bad_operand", `${name} takes a list with at least one item.`);
    return name === "$and" ? every(tests) : (value) => tests.some((test) => test(value));
  }

  enter(depth) {
    this.nodes += 1;
    if (depth > LIMITS.queryDepth || this.nodes > LIMITS.nodes) {
      throw new QueryError("too_complex", `A query has at most ${LIMITS.nodes} tests, nested at most ${LIMITS.queryDepth} deep.`);
    }
  }
}

function fieldTest(name, operand) {
  switch (name) {
    case "$eq": return (value) => same(operand, value);
    case "$ne": return (value) => !same(operand, value);
    case "$in": return oneOf(list(name, operand));
    case "$nin": {
      const test = oneOf(list(name, operand));
      return (value) => !test(value);
    }
    case "$contains": return (value) => contains(operand, value);
    case "$exists":
      if (typeof operand !== "boolean") throw new QueryError("bad_operand", `${name} takes true or false.`);
      return (value) => (value !== MISSING) === operand;
    default: {
      if (typeof operand !== "number" && typeof operand !== "string") {
        throw new QueryError("bad_operand", `${name} takes a number or a string.`);
      }
      const signs = { $lt: [-1], $lte: [-1, 0], $gt: [1], $gte: [0, 1] }[name];
      return (value) => typeof value === typeof operand && signs.includes(compare(value, operand));
    }
  }
}

function oneOf(values) {
  return (value) => values.some((one) => same(one, value));
}

function every(tests) {
  return (value) => tests.every((test) => test(value));
}

function contains(wanted, value) {
  if (typeof value === "string") return typeof wanted === "string" && value.includes(wanted);
  return Array.isArray(value) && value.some((item) => same(wanted, item));
}

// Equal and of one kind.
export function same(wanted, found) {
  if (Array.isArray(wanted)) {
    return Array.isArray(found) && wanted.length === found.length && wanted.every((one, at) => same(one, found[at]));
  }
  if (isObject(wanted)) {
    const names = Object.keys(wanted);
    return isObject(found) && names.length === Object.keys(found).length
      && names.every((name) => Object.hasOwn(found, name) && same(wanted[name], found[name]));
  }
  return wanted === found;
}

// Numbers by size, strings by code points (JavaScript's own order is by UTF-16 units).
function compare(a, b) {
  if (typeof a === "string") {
    const [left, right] = [Array.from(a), Array.from(b)];
    for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
      if (left[at] !== right[at]) return Math.sign(left[at].codePointAt(0) - right[at].codePointAt(0));
    }
    return Math.sign(left.length - right.length);
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function at(path, value) {
  for (const part of path) {
    if (Array.isArray(value)) {
      const isIndex = /^(0|[1-9][0-9]{0,3})$/.test(part);
      value = isIndex && Number(part) < value.length ? value[Number(part)] : MISSING;
    } else {
      value = isObject(value) && Object.hasOwn(value, part) ? value[part] : MISSING;
    }
  }
  return value;
}

function pathOf(name) {
  const parts = name.split(".");
  if (parts.includes("") || parts.length > LIMITS.pathParts) {
    throw new QueryError("bad_path", `${JSON.stringify(name.slice(0, 64))} is no path: names with dots between, at most ${LIMITS.pathParts}.`);
  }
  return parts;
}

function list(name, operand) {
  if (!Array.isArray(operand) || operand.length > LIMITS.items) {
    throw new QueryError("bad_operand", `${name} takes a list of at most ${LIMITS.items} items.`);
  }
  return operand;
}

function refuseOperators(value) {
  if (Array.isArray(value)) value.forEach(refuseOperators);
  if (!isObject(value)) return;
  const name = Object.keys(value).find((one) => one.startsWith("$"));
  if (name) throw new QueryError("misplaced_operator", `${name} stands inside a plain value: write the path, a.b.`);
  Object.values(value).forEach(refuseOperators);
}

function unknown(name) {
  return new QueryError("unknown_operator", `There is no operator ${JSON.stringify(name.slice(0, 64))}; there are ${[...FIELD, ...JOINING].join(" ")}.`);
}

function checkBounds(whole) {
  let level = [whole];
  let count = 0;
  for (let depth = 0; level.length > 0; depth += 1) {
    count += level.length;
    if (count > LIMITS.objectValues) throw new QueryError("too_many_values", `There are more than ${LIMITS.objectValues} values.`);
    level.forEach(checkLeaf);
    const containers = level.filter((one) => Array.isArray(one) || isObject(one));
    if (containers.length > 0 && depth === LIMITS.depth) throw new QueryError("too_deep", `The text nests deeper than ${LIMITS.depth}.`);
    level = containers.flatMap((one) => Object.values(one));
  }
}

function checkLeaf(value) {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new QueryError("number_range", "A number is larger than a double holds.");
  }
  const texts = typeof value === "string" ? [value] : isObject(value) ? Object.keys(value) : [];
  if (!texts.every((text) => text.isWellFormed())) {
    throw new QueryError("not_json", "A string holds half of a surrogate pair.");
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
