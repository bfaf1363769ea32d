// Which pages we are linked to, who relays for whom, and who is dropped. See spec/41-signaller.md.

import { readDocument } from "./documents.js";
import { Link } from "./link.js";
import { parseQuery } from "./query.js";

export const LIMITS = {
  links: 6, relays: 2, served: 4, path: 4, queries: 8, kept: 512,
  lateMs: 2_000, lookMs: 1_000, askMs: 5_000, banMs: 600_000, strikes: 3, refusals: 2,
};

export class Peers {
  links = new Map(); // name -> link
  banned = new Map(); // name -> until
  freeRiders = 0;
  known = new Map(); // id -> document, the newest last
  #signaller;
  #on;
  #reading = new Set();
  #expected = new Map(); // id -> when it was heard of
  #own = { text: "{}", test: () => true };
  #form = "";
  #asked = [];
  #toldPath = "";

  // `on` has document(document, from) and change().
  constructor(signaller, on) {
    this.name = Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#signaller = signaller;
    this.#on = on;
    this.address = "";
    this.topic = "";
    this.ice = [];
    setInterval(() => this.#look(), LIMITS.lookMs);
    setInterval(() => this.#askBack(), LIMITS.askMs);
  }

  get uplinkKbps() {
    const told = [...this.links.values()].map((link) => link.toldKbps ?? 0).filter((kbps) => kbps > 0).sort((a, b) => a - b);
    return told[Math.floor(told.length / 2)] ?? 0;
  }

  get relays() {
    return [...this.links.values()].filter((link) => link.relay === "taken");
  }

  get served() {
    return [...this.links.values()].filter((link) => link.queries);
  }

  get path() {
    const paths = this.relays.map((link) => link.path).sort((a, b) => a.length - b.length);
    return [this.name, ...(paths[0] ?? [])];
  }

  // Throws QueryError.
  ask(text) {
    this.#own = { text, test: parseQuery(text) };
    this.#subscribe(true);
    for (const document of this.known.values()) if (this.#own.test(document.value)) this.#on.document(document, "");
  }

  welcome(frame) {
    this.address = frame.address;
    this.topic = frame.topic;
    this.ice = Array.isArray(frame.ice) ? frame.ice.filter((url) => typeof url === "string" && url.startsWith("stun:")) : [];
    this.#asked = [];
    this.#form = "";
    this.#signaller.say({ do: "hello", name: this.name, uplink_kbps: this.uplinkKbps });
    this.#subscribe(true);
  }

  publish(event) {
    this.#signaller.say({ do: "publish", event });
    return this.receive(event, null);
  }

  // A document from a link, or from a signaller (null): verified, kept, shown, passed on.
  async receive(event, from) {
    const id = event?.id;
    if (from && this.known.has(id)) return this.#answered(from, id);
    if (typeof id !== "string" || this.known.has(id) || this.#reading.has(id)) return;
    this.#reading.add(id);
    const document = await readDocument(event, this.topic);
    this.#reading.delete(id);
    if (!document) {
      if (from) this.#strike(from, "sent what is no document");
      return;
    }
    this.#keep(document);
    if (from) {
      from.got = (from.got ?? 0) + 1;
      from.strikes = 0;
    }
    if (this.#own.test(document.value)) this.#on.document(document, from ? from.name : "");
    for (const link of this.links.values()) if (link !== from) this.#pass(document, link);
  }

  // A signaller says that a document went by which we get from a relay: it should come soon.
  expect(id) {
    if (!this.known.has(id) && typeof id === "string" && this.#expected.size < LIMITS.kept) this.#expected.set(id, performance.now());
  }

  meet(peers) {
    const room = LIMITS.links - this.links.size;
    const strangers = peers.filter((peer) => peer.name !== this.name && !this.links.has(peer.name) && !this.#isBanned(peer.name));
    for (const peer of strangers.slice(0, Math.max(0, room))) {
      if (this.name < peer.name) this.#link(peer.name, peer.address).offer();
      else this.#introduce(peer.address, JSON.stringify({ type: "call" }));
    }
  }

  async introduced({ from, name, body }) {
    let told;
    try {
      told = JSON.parse(body);
    } catch {
      return;
    }
    const link = this.links.get(name);
    if (!/^[0-9a-f]{16}$/.test(name) || this.#isBanned(name)) return;
    try {
      if (told.type === "answer" && link) await link.accept(told.sdp);
      else if (link || this.links.size >= LIMITS.links) return;
      else if (told.type === "offer") await this.#link(name, from).answer(told.sdp);
      else if (told.type === "call" && this.name < name) await this.#link(name, from).offer();
    } catch {
      this.links.get(name)?.close();
    }
  }

  // What a page that takes must do when asked: give a document back.
  give(link, id) {
    const document = this.known.get(id);
    link.say(document ? { is: "document", event: document.event } : { is: "lacking", id });
  }

  #link(name, address) {
    const link = new Link(name, this.ice, (body) => this.#introduce(address, body), {
      open: () => this.#on.change(),
      measured: (one) => {
        one.say({ is: "measured", kbps: one.uplinkKbps });
        this.#on.change();
      },
      frame: (one, frame) => this.#hear(one, frame),
      closed: (one) => {
        if (this.links.get(name) === one) this.links.delete(name);
        if (one.relay === "taken") this.#subscribe(true);
        this.#on.change();
      },
    });
    this.links.set(name, link);
    return link;
  }

  #hear(link, frame) {
    if (frame.is === "document") this.receive(frame.event, link);
    else if (frame.is === "measured") link.toldKbps = Math.min(Number(frame.kbps) || 0, 10_000_000);
    else if (frame.is === "taken" && link.relay) this.#taken(link, frame.path);
    else if (frame.is === "full" && link.relay) this.#refused(link);
    else if (frame.do === "take") this.#serve(link, frame);
    else if (frame.do === "leave") this.#unserve(link);
    else if (frame.do === "give") this.give(link, frame.id);
    this.#on.change();
  }

  #taken(link, path) {
    const isPath = Array.isArray(path) && path.length <= LIMITS.path && path.every((name) => typeof name === "string");
    if (!isPath || (path.includes(this.name) && this.name > link.name)) return this.#leave(link);
    const isNew = link.relay !== "taken";
    link.relay = "taken";
    link.path = path;
    if (isNew) this.#subscribe(false);
    this.#tellPath();
  }

  #refused(link) {
    const was = link.relay;
    link.relay = "refused";
    link.relayAt = performance.now();
    if (was === "taken") this.#subscribe(true);
  }

  #serve(link, frame) {
    const texts = Array.isArray(frame.queries) ? frame.queries.slice(0, LIMITS.queries) : [];
    const hasRoom = link.queries || this.served.length < LIMITS.served;
    if (!hasRoom || this.path.includes(link.name) || this.path.length >= LIMITS.path) {
      link.queries = null;
      link.say({ is: "full" });
      return;
    }
    try {
      link.queries = texts.map((text) => ({ text, test: parseQuery(String(text)) }));
    } catch {
      this.#strike(link, "asked what is no query");
      return;
    }
    link.given ??= [];
    link.say({ is: "taken", path: this.path });
    this.#subscribe(false);
    if (frame.backlog) for (const document of this.known.values()) this.#pass(document, link);
  }

  #unserve(link) {
    link.queries = null;
    this.#subscribe(false);
  }

  #leave(link) {
    link.say({ do: "leave" });
    this.#refused(link);
  }

  // To a page that we relay for, if it asked for such; and up to our relays, who may relay for others.
  #pass(document, link) {
    const isWanted = link.queries?.some(({ test }) => test(document.value)) || link.relay === "taken";
    if (isWanted && link.say({ is: "document", event: document.event }) && link.queries) {
      link.given = [...(link.given ?? []), document.id].slice(-16);
      link.gave = (link.gave ?? 0) + 1;
    }
  }

  #wanted() {
    const texts = new Set([this.#own.text]);
    for (const link of this.served) for (const { text } of link.queries) texts.add(text);
    return [...texts].slice(0, LIMITS.queries);
  }

  // Tell the signaller, and our relays, what we and those we relay for want.
  #subscribe(backlog) {
    const texts = this.#wanted();
    const form = this.relays.length > 0 ? "ids" : "documents";
    const wanted = JSON.stringify([form, texts]);
    if (wanted !== this.#form || backlog) {
      texts.forEach((text, at) => this.#signaller.say({ do: "subscribe", id: `q${at}`, query: JSON.parse(text), form, backlog }));
      for (let at = texts.length; at < this.#asked.length; at += 1) this.#signaller.say({ do: "unsubscribe", id: `q${at}` });
      for (const link of this.relays) link.say({ do: "take", queries: texts, backlog });
    }
    this.#form = wanted;
    this.#asked = texts;
    this.#on.change();
  }

  #look() {
    if (this.links.size < LIMITS.links) this.#signaller.say({ do: "peers" });
    for (const link of this.links.values()) {
      if (["asked", "refused"].includes(link.relay) && performance.now() - link.relayAt > LIMITS.askMs) link.relay = null;
    }
    const strongest = [...this.links.values()]
      .filter((link) => link.isOpen && !link.relay && !link.queries && this.#isStronger(link))
      .sort((a, b) => b.uplinkKbps - a.uplinkKbps);
    for (const link of strongest.slice(0, LIMITS.relays - this.relays.length)) {
      link.relay = "asked";
      link.relayAt = performance.now();
      link.say({ do: "take", queries: this.#wanted(), backlog: true });
    }
    this.#fetchLate();
  }

  // Relays are those whose uplink is larger than ours, by what each measured of the other.
  #isStronger(link) {
    if (link.uplinkKbps === 0 || !link.toldKbps) return false;
    return link.uplinkKbps > link.toldKbps || (link.uplinkKbps === link.toldKbps && link.name > this.name);
  }

  // What relays did not bring is fetched from the signaller; a relay that swallows is dropped.
  #fetchLate() {
    const lateMs = LIMITS.lateMs * Math.max(1, this.path.length - 1);
    const late = [...this.#expected].filter(([id, at]) => this.known.has(id) || performance.now() - at > lateMs).map(([id]) => id);
    const missing = late.filter((id) => !this.known.has(id));
    for (const id of late) this.#expected.delete(id);
    if (missing.length === 0) return;
    for (let at = 0; at < missing.length; at += 64) this.#signaller.say({ do: "want", ids: missing.slice(at, at + 64) });
    for (const link of this.relays) this.#strike(link, "swallows documents");
  }

  // A page that takes documents gives one back when asked; one that never does is a free-rider.
  #askBack() {
    for (const link of this.served) {
      if (link.asked) {
        link.refusals = (link.refusals ?? 0) + 1;
        if (link.refusals >= LIMITS.refusals) {
          this.freeRiders += 1;
          this.#ban(link);
          continue;
        }
      }
      link.asked = link.given?.length ? link.given[Math.floor(Math.random() * link.given.length)] : null;
      if (link.asked) link.say({ do: "give", id: link.asked });
    }
  }

  #answered(link, id) {
    if (link.asked === id) {
      link.asked = null;
      link.refusals = 0;
    }
    link.strikes = 0;
  }

  #strike(link, why) {
    link.strikes = (link.strikes ?? 0) + 1;
    link.why = why;
    if (link.strikes >= LIMITS.strikes) this.#ban(link);
  }

  #ban(link) {
    this.banned.set(link.name, Date.now() + LIMITS.banMs);
    if (this.banned.size > LIMITS.kept) this.banned.delete(this.banned.keys().next().value);
    link.close();
  }

  #isBanned(name) {
    return (this.banned.get(name) ?? 0) > Date.now();
  }

  #tellPath() {
    const told = JSON.stringify(this.path);
    if (told === this.#toldPath) return;
    this.#toldPath = told;
    for (const link of this.served) link.say({ is: "taken", path: this.path });
  }

  #keep(document) {
    this.known.set(document.id, document);
    if (this.known.size > LIMITS.kept) this.known.delete(this.known.keys().next().value);
  }

  #introduce(address, body) {
    this.#signaller.say({ do: "introduce", to: address, body });
  }
}
