// The page: what matches, what to publish, which peers there are and who relays.

import { makeDocument, ownKey } from "./documents.js";
import { Peers } from "./peers.js";
import { Signaller } from "./signaller.js";

const SHOWN_MAX = 200;
const $ = (id) => document.getElementById(id);
const key = ownKey();
const shown = new Set();

const secret = new URLSearchParams(location.hash.slice(1)).get("key") ?? "";
const base = location.href.split(/[?#]/)[0].replace(/[^/]*$/, "").replace(/\/$/, "");
const signaller = new Signaller(base.replace(/^http/, "ws"), secret, hear, draw);
const peers = new Peers(signaller, { document: show, change: draw });
window.dicast = { peers, signaller };

function hear(frame) {
  if (frame.is === "welcome") {
    signaller.hear(frame.signallers);
    peers.welcome(frame);
  } else if (frame.is === "signallers") signaller.hear(frame.signallers);
  else if (frame.is === "document") peers.receive(frame.event, null);
  else if (frame.is === "seen") peers.expect(frame.document);
  else if (frame.is === "peers" && Array.isArray(frame.peers)) peers.meet(frame.peers);
  else if (frame.is === "introduction") peers.introduced(frame);
  else if (frame.is === "refused") say("publish-note", frame.message, true);
}

function show(found, relay) {
  if (shown.has(found.id)) return;
  shown.add(found.id);
  const row = $("row").content.firstElementChild.cloneNode(true);
  row.dataset.id = found.id;
  row.querySelector("pre").textContent = JSON.stringify(found.value, null, 2);
  row.querySelector("time").textContent = new Date(found.created_at * 1000).toLocaleTimeString();
  row.querySelector(".author").textContent = found.author === key.author ? "you" : found.author.slice(0, 8);
  row.querySelector(".by").textContent = relay ? `relayed by ${relay.slice(0, 6)}` : found.author === key.author ? "" : "from the signaller";
  $("documents").prepend(row);
  while ($("documents").children.length > SHOWN_MAX) $("documents").lastElementChild.remove();
  draw();
}

let isDrawing = false;
function draw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(() => {
    isDrawing = false;
    redraw();
  });
}

function redraw() {
  const status = $("status");
  status.textContent = signaller.isUp ? "connected" : "looking for a signaller";
  status.dataset.state = signaller.isUp ? "up" : "down";
  $("at").textContent = signaller.url.replace(/^wss?:\/\//, "");
  $("others").textContent = String(Math.max(0, signaller.known.length - 1));
  $("name").textContent = peers.name.slice(0, 6);
  $("uplink").textContent = rate(peers.uplinkKbps);
  $("dropped").textContent = String(peers.freeRiders);
  $("count").textContent = String($("documents").children.length);
  $("empty").hidden = $("documents").children.length > 0;
  const links = [...peers.links.values()].filter((link) => link.isOpen).sort((a, b) => b.uplinkKbps - a.uplinkKbps);
  $("links").textContent = String(links.length);
  $("no-peers").hidden = links.length > 0;
  $("peers").hidden = links.length === 0;
  $("peers").tBodies[0].replaceChildren(...links.map(peerRow));
}

function peerRow(link) {
  const row = document.createElement("tr");
  row.dataset.name = link.name;
  row.dataset.role = link.relay === "taken" ? "relay" : link.queries ? "served" : "linked";
  const role = { relay: "relays for you", served: "you relay for it", linked: "linked" }[row.dataset.role];
  for (const text of [link.name.slice(0, 6), role, rate(link.uplinkKbps), `${link.got ?? 0} / ${link.gave ?? 0}`]) {
    row.insertCell().textContent = text;
  }
  return row;
}

function rate(kbps) {
  if (kbps === 0) return "not measured";
  if (kbps >= 1e6) return `${(kbps / 1e6).toFixed(1)} Gbit/s`;
  return kbps >= 1000 ? `${Math.round(kbps / 1000)} Mbit/s` : `${kbps} kbit/s`;
}

function say(id, text, isError) {
  $(id).textContent = text;
  $(id).classList.toggle("error", isError);
}

function sayInsecure() {
  const text = `Browsers let a page sign and check only over https, or from this machine: ${location.host} needs https.`;
  for (const id of ["query-note", "publish-note"]) say(id, text, true);
  for (const button of document.querySelectorAll("button")) button.disabled = true;
}

$("query-form").addEventListener("submit", (event) => {
  event.preventDefault();
  try {
    const text = JSON.stringify(JSON.parse($("query").value.trim() || "{}"));
    $("documents").replaceChildren();
    shown.clear();
    peers.ask(text);
    say("query-note", text === "{}" ? "Every document." : "Documents that match.", false);
  } catch (error) {
    say("query-note", error.message, true);
  }
  draw();
});

$("publish-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const made = await makeDocument(key, peers.topic, $("object").value.trim());
    await peers.publish(made);
    say("publish-note", `Published, signed as ${key.author.slice(0, 8)}.`, false);
  } catch (error) {
    say("publish-note", error.message, true);
  }
});

if (!window.isSecureContext) sayInsecure();
draw();
