/** Checking a certificate where it is read, with nobody's help (`spec/12-certificate.md`). */
import { CodecError, decode, decodeUtf8, encode, type Json } from "../base/codec.ts";
import { fromHex, taggedHex } from "../base/hashing.ts";
import { type Case, CaseError, checkCase } from "../consensus/case.ts";
import { judge, type Verdict } from "../consensus/judge.ts";
import { AttachedError, toldBy } from "./attached.ts";
import { bodyOf, heardReveal, openedRequest, type Panel, type Request, type Reveal } from "./bodies.ts";
import { isSigned, type Packet, packetOf } from "./packets.ts";
import { keyedVerdict, SealError } from "./seal.ts";
import { hasBits, isDrawn, isPossible, opened, promptText, type Round, type Said, seatsOf } from "./round.ts";

const CERTIFICATE_BYTES_MAX = 64 * 1024 * 1024;
const OPTIONAL = new Set(["round_key", "attached"]);
/** Kinds by their event kind. */
const REQUEST = 4110;
const PANEL = 4111;
const COMMIT = 4112;
const QUORUM = 4113;
const REVEAL = 4114;
const CLOSE = 4115;
const SIGNATURE = 4116;

export type Fault =
  | "shape" | "sealed" | "signature_broken" | "wrong_network" | "request_missing" | "request_impossible"
  | "attachment_wrong" | "panel_not_drawn"
  | "packet_misplaced" | "packet_missing" | "contradiction" | "embedding_wrong" | "verdict_differs" | "signature_differs";

/** The certificate does not hold: the first wrong thing, and what it is about. */
export class CertificateError extends Error {
  constructor(
    readonly fault: Fault,
    readonly detail: string,
  ) {
    super(`${fault}: ${detail}`);
  }
}

/** What a certificate that holds proves, and what it does not. A browser has no embedder: bits are taken as shown. */
export interface Verification {
  requestId: string;
  requester: string;
  prompt: string;
  verdict: Verdict;
  admission: "listed" | "drawn" | "open";
  encrypted: boolean;
  attempt: number;
  previous: string;
  embeddings: "not_needed" | "not_checked";
  panel: "draw_unchecked" | "requesters_word";
  beaconRound: number;
  beacon: string;
  signedSeats: number;
  inputsWitnessed: boolean;
  models: Record<string, string>;
  events: number;
}

type Bits = Record<string, Record<string, string>>;

interface Sheet {
  events: Json[];
  recomputed: Bits;
  verdict: Json;
  round_key?: string;
  attached?: string;
}

/** Check every signature, digest and step; raises `CertificateError`. */
export function verifyCertificate(data: Uint8Array): Verification {
  const sheet = sheetOf(data);
  const packets = sheet.events.map(signed);
  const round = replay(packets, sheet);
  const [bits, embeddings] = bitsOf(round, sheet.recomputed);
  const verdict = verdictOf(round, bits);
  if (encode(verdict) !== encode(sheet.verdict)) {
    throw new CertificateError("verdict_differs", "the inputs give another verdict than the one shown");
  }
  const signedSeats = countSignatures(round, verdict);
  const { packet, body } = round.opening;
  return {
    requestId: packet.id,
    requester: packet.author,
    prompt: promptText(body),
    verdict,
    admission: body.admission,
    encrypted: round.key !== null,
    attempt: body.attempt,
    previous: body.previous,
    embeddings,
    panel: round.panel ? "draw_unchecked" : "requesters_word",
    beaconRound: body.beacon_round,
    beacon: round.panel?.body.beacon ?? "",
    signedSeats,
    inputsWitnessed: signedSeats >= verdict.need && 2 * signedSeats > verdict.n,
    models: Object.fromEntries(Array.from(round.reveals.values(), (reveal) => [reveal.packet.author, reveal.body.model])),
    events: packets.length,
  };
}

function sheetOf(data: Uint8Array): Sheet {
  if (data.length > CERTIFICATE_BYTES_MAX) throw new CertificateError("shape", "the file is larger than 64 MiB");
  let value: Json;
  try {
    value = decode(decodeUtf8(withoutLineFeeds(data)));
  } catch (error) {
    throw asFault(error, "shape", "not a certificate: ");
  }
  const sheet = value as unknown as { v: Json } & Sheet;
  const names = isObject(value) ? Object.keys(value as object).filter((name) => !OPTIONAL.has(name)).sort() : [];
  const isShaped =
    names.join() === "events,recomputed,v,verdict" && isKey(sheet) && isAttached(sheet) &&
    Number.isSafeInteger(sheet.v) && Array.isArray(sheet.events) && sheet.events.every(isObject) && isObject(sheet.verdict) &&
    isObject(sheet.recomputed) &&
    Object.values(sheet.recomputed).every((of) => isObject(of) && Object.values(of).every((bits) => typeof bits === "string"));
  if (!isShaped) throw new CertificateError("shape", "not a certificate: a field is unknown, missing or of another type");
  if (sheet.v !== 1) throw new CertificateError("shape", `version ${String(sheet.v)} is not known here`);
  return sheet;
}

function signed(event: Json): Packet {
  let packet: Packet;
  try {
    packet = packetOf(event);
  } catch (error) {
    throw asFault(error, "shape", "an event is not one of ours: ");
  }
  if (!isSigned(packet)) throw new CertificateError("signature_broken", `the signature of event ${packet.id} does not hold`);
  return packet;
}

/** Let a fresh round hear the packets in order: each must be accepted. */
function replay(packets: Packet[], sheet: Sheet): Round {
  let round: Round | null = null;
  for (const packet of packets) {
    let body: Record<string, Json>;
    try {
      body = bodyOf(packet.kind, packet.content);
    } catch (error) {
      throw asFault(error, packet.content.startsWith("A") ? "sealed" : "shape", `event ${packet.id}: `);
    }
    if (round === null) {
      round = openedRound(packet, body, sheet);
    } else {
      hear(round, packet, body);
    }
  }
  return complete(round);
}

function openedRound(packet: Packet, body: Record<string, Json>, { round_key, attached }: Sheet): Round {
  const key = round_key ? fromHex(round_key) : null;
  if (packet.kind !== REQUEST) throw new CertificateError("request_missing", "the first event is not a request");
  const sealed = body as unknown as Request;
  if (key !== null && !sealed.sealed) throw new CertificateError("shape", "it brings a key to a round that is not encrypted");
  let request: Request;
  try {
    request = openedRequest(sealed, key);
  } catch (error) {
    if (error instanceof SealError) throw new CertificateError("sealed", `the question is encrypted: ${error.message}`);
    throw error;
  }
  if (!isPossible(request)) throw new CertificateError("request_impossible", "the request's frame or members cannot hold");
  if (attached && !request.attachment) throw new CertificateError("shape", "it brings a question to a round that has none attached");
  return opened(packet, request.attachment ? toldRequest(request, attached ?? "", key) : request, key);
}

function toldRequest(request: Request, attached: string, key: Uint8Array | null): Request {
  try {
    return toldBy(request, attached, key);
  } catch (error) {
    if (error instanceof AttachedError) throw new CertificateError("attachment_wrong", error.message);
    throw error;
  }
}

function complete(round: Round | null): Round {
  if (!round?.quorum || !round.close) throw new CertificateError("packet_missing", "the request, the quorum or the close is missing");
  if (round.opening.body.admission === "drawn" && !round.panel) throw new CertificateError("packet_missing", "the panel of a drawn round is missing");
  const commits = new Set(Array.from(round.commits.values(), ({ packet }) => packet.id));
  const reveals = new Set(Array.from(round.reveals.values(), ({ packet }) => packet.id));
  const lacking = [...round.quorum.body.commits.filter((id) => !commits.has(id)), ...round.close.body.reveals.filter((id) => !reveals.has(id))];
  if (lacking.length) throw new CertificateError("packet_missing", `event ${lacking[0]} is named and missing`);
  return round;
}

/** Each kind has one place after its predecessor, and one author who may say it. */
function hear(round: Round, packet: Packet, body: Record<string, Json>): void {
  if (packet.topic !== round.opening.packet.topic) {
    throw new CertificateError("wrong_network", `event ${packet.id} belongs to another network`);
  }
  const start = round.panel?.packet.id ?? round.opening.packet.id;
  const place: Record<number, string | undefined> = {
    [PANEL]: round.opening.packet.id,
    [COMMIT]: start,
    [QUORUM]: start,
    [REVEAL]: round.quorum?.packet.id,
    [CLOSE]: round.quorum?.packet.id,
    [SIGNATURE]: round.close?.packet.id,
  };
  if (place[packet.kind] === undefined || place[packet.kind] !== packet.predecessor) {
    throw misplaced(packet, "it does not follow its predecessor");
  }
  const said = { packet, body } as unknown;
  switch (packet.kind) {
    case PANEL:
      return hearPanel(round, said as Said<Panel>);
    case COMMIT:
      return hearCommit(round, said as Said<{ digest: string }>);
    case QUORUM:
      return hearQuorum(round, said as Said<{ commits: string[] }>);
    case REVEAL:
      return hearReveal(round, said as Said<Reveal | { sealed: string }>);
    case CLOSE:
      return hearClose(round, said as Said<{ reveals: string[]; selection_salt: string }>);
    default:
      return hearSignature(round, said as Said<{ digest: string }>);
  }
}

function hearPanel(round: Round, said: Said<Panel>): void {
  const { packet, body } = round.opening;
  if (!isDrawn(packet.id, body, said.body)) throw new CertificateError("panel_not_drawn", "the panel does not follow from the beacon");
  byRequester(round, said.packet, round.panel);
  const wraps = round.key ? Object.keys(said.body.members).length : 0;
  if (said.body.wraps.length !== wraps) throw misplaced(said.packet, "sealed");
  round.panel = said;
  round.seats = new Map(Object.entries(said.body.members));
}

function hearCommit(round: Round, said: Said<{ digest: string }>): void {
  const { id, author } = said.packet;
  const isInside = round.quorum?.body.commits.includes(id) ?? false;
  once(round.commits, said.packet);
  if (round.quorum && !isInside) throw misplaced(said.packet, "late");
  if (round.opening.body.admission !== "open" && !round.seats.has(author)) throw misplaced(said.packet, "not_member");
  round.commits.set(author, said);
}

function hearQuorum(round: Round, said: Said<{ commits: string[] }>): void {
  byRequester(round, said.packet, round.quorum);
  if (new Set(said.body.commits).size !== said.body.commits.length) throw misplaced(said.packet, "body");
  round.quorum = said;
}

function hearReveal(round: Round, said: Said<Reveal | { sealed: string }>): void {
  const { id, author } = said.packet;
  const isInside = round.close?.body.reveals.includes(id) ?? false;
  once(round.reveals, said.packet);
  if (round.close && !isInside) throw misplaced(said.packet, "late");
  const sealed = new Set(round.quorum!.body.commits);
  const committed = Array.from(round.commits.values(), ({ packet }) => packet).filter((packet) => sealed.has(packet.id));
  if (!committed.some((packet) => packet.author === author)) {
    const isKnown = round.seats.has(author) || round.opening.body.admission === "open";
    if (committed.length === sealed.size || !isKnown) throw misplaced(said.packet, "not_member");
  }
  const reveal = heardReveal(said.body, round.key);
  if (reveal === null || !hasBits(reveal, round.opening.body)) throw misplaced(said.packet, "body");
  round.reveals.set(author, { packet: said.packet, body: reveal });
}

function hearClose(round: Round, said: Said<{ reveals: string[]; selection_salt: string }>): void {
  byRequester(round, said.packet, round.close);
  const { reveals, selection_salt } = said.body;
  const isOpened = taggedHex("dicast/selection-salt/1", selection_salt) === round.opening.body.selection_salt_hash;
  if (!isOpened || new Set(reveals).size !== reveals.length) throw misplaced(said.packet, "body");
  round.close = said;
}

function hearSignature(round: Round, said: Said<{ digest: string }>): void {
  if (!seatsOf(round, said.packet.author)) throw misplaced(said.packet, "not_member");
  once(round.signatures, said.packet);
  round.signatures.set(said.packet.author, said);
}

function byRequester(round: Round, packet: Packet, known: Said<unknown> | null): void {
  if (packet.author !== round.opening.packet.author) throw misplaced(packet, "not_requester");
  if (known === null) return;
  if (known.packet.id === packet.id) throw misplaced(packet, "duplicate");
  throw contradiction(packet);
}

function once(kept: Map<string, Said<unknown>>, packet: Packet): void {
  const known = kept.get(packet.author);
  if (known === undefined) return;
  throw known.packet.id === packet.id ? misplaced(packet, "duplicate") : contradiction(packet);
}

function misplaced(packet: Packet, why: string): CertificateError {
  return new CertificateError("packet_misplaced", `event ${packet.id} does not fit: ${why}`);
}

function contradiction(packet: Packet): CertificateError {
  return new CertificateError("contradiction", `${packet.author} signed two of a kind: ${packet.id}`);
}

/** The bits shown; an empty text marks bits that the signers found to be others than those revealed. */
function bitsOf(round: Round, shown: Bits): [Bits, Verification["embeddings"]] {
  const bits: Bits = Object.create(null); // with a prototype an author called __proto__ would vanish
  for (const [author, of] of Object.entries(shown)) {
    bits[author] = of;
    if (!Object.values(of).includes("")) continue;
    const revealed = round.reveals.get(author)?.body.embeddings;
    if (revealed === undefined) throw new CertificateError("contradiction", "the certificate marks somebody who revealed nothing");
    bits[author] = Object.fromEntries(Object.entries(revealed).map(([name, own]) => [name, inverted(own)]));
  }
  const isNeeded = round.close!.body.reveals.length > 0 && Object.keys(round.opening.body.frame.sec_distance_bits).length > 0;
  return [bits, isNeeded ? "not_checked" : "not_needed"];
}

function inverted(bits: string): string {
  return Array.from(bits, (digit) => (15 - Number.parseInt(digit, 16)).toString(16)).join("");
}

function verdictOf(round: Round, recomputed: Bits): Verdict {
  try {
    const subject = caseOf(round, recomputed);
    checkCase(subject);
    return judge(subject);
  } catch (error) {
    if (error instanceof CaseError) throw new CertificateError("contradiction", error.message);
    throw error;
  }
}

function caseOf(round: Round, recomputed: Bits): Case {
  const { packet, body: request } = round.opening;
  const isOpen = request.admission === "open";
  const sealed = new Set(round.quorum!.body.commits);
  const commits = Array.from(round.commits).filter(([, said]) => sealed.has(said.packet.id));
  const counted = new Set(round.close!.body.reveals);
  const reveals = Array.from(round.reveals).filter(([, said]) => counted.has(said.packet.id));
  const committed = new Set(commits.map(([author]) => author));
  if (reveals.some(([author]) => !committed.has(author))) throw new CaseError("reveals", "one has no commit in the quorum");
  if (isOpen && commits.length > request.seats) throw new CaseError("commits", "more than the round has seats");
  return {
    request: { id: packet.id, frame: request.frame, prompt: promptText(request), models: request.models, schema: request.schema },
    selection_salt: round.close!.body.selection_salt,
    selection_beacon: "",
    commits: commits.map(([pubkey, said]) => ({ pubkey, digest: said.body.digest })),
    reveals: reveals.map(([pubkey, { body }]) => ({ pubkey, answer: body.answer, model: body.model, salt: body.salt, embeddings: body.embeddings })),
    panel: isOpen ? null : Object.fromEntries(round.seats),
    recomputed,
  };
}

/** Signatures over another verdict are a fault: a certificate holds none of them. */
function countSignatures(round: Round, verdict: Verdict): number {
  const { topic, id } = round.opening.packet;
  const digest = round.key ? keyedVerdict(round.key, verdict.digest) : verdict.digest;
  const expected = taggedHex("dicast/signature/1", topic, id, round.quorum!.packet.id, round.close!.packet.id, digest);
  let seats = 0;
  for (const [author, said] of round.signatures) {
    if (said.body.digest !== expected) throw new CertificateError("signature_differs", "a signature is about another verdict");
    seats += seatsOf(round, author);
  }
  return seats;
}

function withoutLineFeeds(data: Uint8Array): Uint8Array {
  let end = data.length;
  while (end > 0 && data[end - 1] === 0x0a) end--;
  return data.subarray(0, end);
}

/** The key of an encrypted round is left out, or it is 64 hex digits: neither null nor an empty text. */
function isKey(sheet: Sheet): boolean {
  if (!Object.hasOwn(sheet, "round_key")) return true;
  return typeof sheet.round_key === "string" && /^[0-9a-f]{64}$/.test(sheet.round_key);
}

/** The attached question is left out, or it is text: neither null nor empty. */
function isAttached(sheet: Sheet): boolean {
  return !Object.hasOwn(sheet, "attached") || (typeof sheet.attached === "string" && sheet.attached !== "");
}

function asFault(error: unknown, fault: Fault, prefix: string): unknown {
  return error instanceof CodecError ? new CertificateError(fault, prefix + error.message) : error;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
