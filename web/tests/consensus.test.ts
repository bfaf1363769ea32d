import { expect, test } from "vitest";
import { CodecError, decode, decodeUtf8, encode } from "../src/base/codec.ts";
import { fromHex, taggedHex, toHex, toUtf8 } from "../src/base/hashing.ts";
import { type Case, checkCase } from "../src/consensus/case.ts";
import { conflict, features } from "../src/consensus/gates.ts";
import { judge } from "../src/consensus/judge.ts";
import { conforms, parseSchema, SchemaError } from "../src/consensus/schema.ts";
import { canonicalText, hasUnassigned } from "../src/consensus/text.ts";
import { isTooLong, isLiteral, pieceIds, words } from "../src/consensus/wordpiece.ts";
import { vectors } from "./vectors.ts";

const FILES = ["prose", "gates", "statuses", "labels", "json", "seats", "attacks"];

test("canonical JSON is the one written down", () => {
  const { canonical, refused_canonical } = vectors("codec.json");
  for (const { hex, value } of canonical) {
    expect(toHex(toUtf8(encode(value)))).toBe(hex);
    expect(decode(decodeUtf8(fromHex(hex)))).toEqual(value);
  }
  for (const { hex } of refused_canonical) expect(() => decode(decodeUtf8(fromHex(hex))), hex).toThrow(CodecError);
});

test("tagged hashes are those written down", () => {
  for (const { tag, parts_hex, hex } of vectors("identity.json").tagged) expect(taggedHex(tag, ...parts_hex)).toBe(hex);
});

test("texts are read as written down", () => {
  const { canonical, domain } = vectors("text.json");
  for (const row of canonical) expect(canonicalText(row.answer), row.answer).toBe(row.canonical);
  for (const row of domain) expect(hasUnassigned(row.text), row.text).toBe(row.is_outside);
});

test("word pieces are those written down", () => {
  const { texts, repeated } = vectors("wordpiece.json");
  for (const row of texts) {
    expect([words(row.text), pieceIds(row.text)], row.text).toEqual([row.words, row.pieces]);
    expect([isLiteral(row.text), isTooLong(row.text)], row.text).toEqual([row.is_literal, row.is_too_long]);
  }
  for (const row of repeated) {
    const whole = row.part.repeat(row.times);
    expect([isLiteral(whole), isTooLong(whole)], row.part).toEqual([row.is_literal, row.is_too_long]);
  }
});

test("schemas hold and break as written down", () => {
  const { schemas, refused } = vectors("schema.json");
  for (const row of schemas) {
    const schema = parseSchema(row.schema);
    for (const answer of row.conform) expect(conforms(schema, answer), `${row.schema} ${answer}`).toBe(true);
    for (const answer of row.break) expect(conforms(schema, answer), `${row.schema} ${answer}`).toBe(false);
  }
  for (const text of refused) expect(() => parseSchema(text), text).toThrow(SchemaError);
});

test.each(["numbers", "numbers_strict", "entities", "entities_strict", "polarity", "polarity_strict"])(
  "the gate %s reads and objects as written down",
  (gate) => {
    for (const row of vectors("gates.json")[gate]) {
      const found = row.answers.map((answer: string) => features(gate, answer, row.prompt));
      const plain = found.map((one: unknown) => (one instanceof Set ? Array.from(one).sort() : one));
      const expected = row.features.map((one: unknown) => (Array.isArray(one) ? [...one].sort() : one));
      expect(plain, row.answers.join(" | ")).toEqual(expected);
      expect(conflict(gate, found[0], found[1]), row.answers.join(" | ")).toBe(row.conflict);
      expect(conflict(gate, found[1], found[0])).toBe(row.conflict);
    }
  },
);

test.each(FILES)("every verdict of %s is the one written down", (file) => {
  for (const row of vectors(`judge/${file}.json`)) {
    const subject = whole(row.case);
    checkCase(subject);
    expect(encode(judge(subject)), row.name).toBe(encode(row.verdict));
  }
});

// eslint-disable-next-line @typescript-eslint/no-explicit-any
function whole(written: any): Case {
  const frame = { exact: [], fuzzy: [], labels: [], ...written.request.frame };
  const request = { prompt: "", models: [], schema: "", ...written.request, frame };
  return { selection_beacon: "", panel: null, recomputed: {}, ...written, request };
}
