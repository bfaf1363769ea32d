import { expect, test } from "vitest";
import { CodecError, encode } from "../src/base/codec.ts";
import { sha256, toHex, toUtf8 } from "../src/base/hashing.ts";
import { CertificateError, verifyCertificate } from "../src/protocol/certificate.ts";
import { isSigned, packetOf } from "../src/protocol/packets.ts";
import { draw } from "../src/protocol/round.ts";
import { vectors } from "./vectors.ts";

const { certificate } = vectors("packets.json");

const { encrypted, drawn } = vectors("sealed.json");
const attached = vectors("attached.json");

test.each([
  ["open", certificate.text, certificate.verification],
  ["encrypted", encrypted.certificate, encrypted.verification],
  ["drawn and encrypted", drawn.certificate, drawn.verification],
  ["attached", attached.plain.certificate, attached.plain.verification],
  ["attached and encrypted", attached.encrypted.certificate, attached.encrypted.verification],
])("the %s certificate holds and proves what is written down", (_, text, written) => {
  const found = verifyCertificate(toUtf8(text));
  expect(encode(found.verdict)).toBe(encode(written.verdict));
  expect({ ...found, verdict: null, events: null }).toEqual({
    requestId: written.request_id,
    requester: written.requester,
    prompt: written.prompt,
    verdict: null,
    events: null,
    admission: written.admission,
    encrypted: written.encrypted,
    attempt: written.attempt,
    previous: written.previous,
    embeddings: written.embeddings,
    panel: written.panel,
    beaconRound: written.beacon_round,
    beacon: written.beacon,
    signedSeats: written.signed_seats,
    inputsWitnessed: written.inputs_witnessed,
    models: written.models,
  });
});

test("an encrypted round needs its own key", () => {
  const whole = JSON.parse(encrypted.certificate);
  const { round_key: _, ...keyless } = whole;
  const refused = (sheet: unknown) => {
    try {
      verifyCertificate(toUtf8(encode(sheet)));
    } catch (error) {
      return (error as CertificateError).fault;
    }
    return null;
  };
  expect(refused(whole)).toBe(null);
  expect(refused(keyless)).toBe("sealed");
  expect(refused({ ...whole, round_key: "00".repeat(32) })).toBe("sealed");
  const plain = JSON.parse(certificate.text);
  expect(refused(plain)).toBe(null);
  for (const round_key of [whole.round_key, null, "", [], [whole.round_key], 0]) expect(refused({ ...plain, round_key })).toBe("shape");
});

test("an attached question that is none is refused as written down", () => {
  for (const { name, certificate: text, fault } of attached.refused) {
    let found = "";
    try {
      verifyCertificate(toUtf8(text));
    } catch (error) {
      found = (error as CertificateError).fault;
    }
    expect(found, name).toBe(fault);
  }
  const plain = { ...JSON.parse(certificate.text), attached: "x" };
  expect(() => verifyCertificate(toUtf8(encode(plain)))).toThrow("shape");
});

test("every changed character breaks it", { timeout: 60_000 }, () => {
  const text: string = certificate.text;
  for (let at = 0; at < text.length - 1; at += 331) {
    const changed = text.slice(0, at) + (text[at] === "0" ? "1" : "0") + text.slice(at + 1);
    expect(() => verifyCertificate(toUtf8(changed)), `place ${at}`).toThrow(CertificateError);
  }
});

test("an event left out breaks it, unless it is a signature", () => {
  const whole = JSON.parse(certificate.text);
  whole.events.forEach((event: { kind: number }, at: number) => {
    const rest = { ...whole, events: whole.events.filter((_: unknown, other: number) => other !== at) };
    const check = () => verifyCertificate(toUtf8(encode(rest)));
    if (event.kind === 4116) expect(check().signedSeats).toBe(2);
    else expect(check).toThrow(CertificateError);
  });
});

test("an event that comes twice breaks it", () => {
  const whole = JSON.parse(certificate.text);
  for (const event of whole.events) {
    const twice = { ...whole, events: [...whole.events, event] };
    expect(() => verifyCertificate(toUtf8(encode(twice)))).toThrow(CertificateError);
  }
});

test("events are signed or refused as written down", () => {
  const { events, forged, refused } = vectors("events.json");
  const parsed = (hex: string) => JSON.parse(Buffer.from(hex, "hex").toString("utf-8"));
  for (const { hex } of refused) {
    let event: unknown;
    try {
      event = parsed(hex);
    } catch {
      continue; // no JSON at all: the certificate's own reader refuses that
    }
    expect(() => packetOf(event as never), hex).toThrow(CodecError);
  }
  expect(events.length * forged.length).toBeGreaterThan(0);
});

test("bits of somebody who is not there are refused, whatever it is called", () => {
  for (const author of ["__proto__", "constructor", "ab".repeat(32)]) {
    const recomputed = JSON.parse(`{"${author}":{}}`);
    const check = () => verifyCertificate(toUtf8(encode({ ...JSON.parse(certificate.text), recomputed })));
    expect(check, author).toThrow("contradiction");
  }
});

test("a topic is 64 lower-case hex digits", () => {
  const [event] = JSON.parse(certificate.text).events;
  const said = (topic: string) => {
    const tags = [["t", topic]];
    const hashed = toUtf8(encode([0, event.pubkey, event.created_at, event.kind, tags, event.content]));
    return packetOf({ ...event, tags, id: toHex(sha256(hashed)) });
  };
  expect(said("ab".repeat(32)).topic).toBe("ab".repeat(32));
  for (const topic of ["", "x", "AB".repeat(32), "ab ".repeat(32), "ab".repeat(33)]) expect(() => said(topic), topic).toThrow(CodecError);
});

test("signatures of another key do not hold", () => {
  const [event] = JSON.parse(certificate.text).events;
  const packet = packetOf(event);
  expect(isSigned(packet)).toBe(true);
  expect(isSigned({ ...packet, author: "00".repeat(32) })).toBe(false);
  expect(isSigned({ ...packet, signature: "00".repeat(64) })).toBe(false);
});

test("seats are drawn as written down", () => {
  for (const row of vectors("draw.json").drawn) {
    expect(Object.fromEntries(draw(row.candidates, row.seats, row.randomness)), row.root).toEqual(row.panel);
  }
});

test("packets of another shape are refused as written down", () => {
  const rows = vectors("packets.json").refused.filter(({ refusal }: { refusal: string }) => refusal === "shape");
  for (const { wire } of rows) expect(() => packetOf(JSON.parse(wire)), wire).toThrow(CodecError);
  expect(rows.length).toBeGreaterThan(4);
});
