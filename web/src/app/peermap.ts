/** The network as dots around this node, drawn by WebGL. */
import Graph from "graphology";
import Sigma from "sigma";
import type { Live, PeerDot } from "./types.ts";

/** How long a line stays lit after a packet of its round. */
const LIT_MS = 900;
/** A round whose end is not heard of, as of a node that left, marks nobody any more after so long: no deadline is longer. */
const ROUND_MS_MAX = 3_600_000;
/** After these steps a member has nothing more to do in a round, or has nothing to do with it. */
const LAST_STEPS = new Set(["signed", "declined", "abandoned"]);
/** So many dots have room at their full size; of more each is smaller, in steps, so that one more changes no other. */
const FULL_SIZE_MAX = 128;
/** The golden angle spreads any number of dots evenly: whoever comes takes the next free place, and keeps it. */
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

export class PeerMap {
  private readonly graph = new Graph();
  private readonly sigma: Sigma;
  private readonly lit = new Map<string, ReturnType<typeof setTimeout>>();
  private readonly places = new Map<string, number>();
  private readonly members = new Map<string, { ids: string[]; timer: ReturnType<typeof setTimeout> }>();
  private readonly busy = new Map<string, number>();
  private readonly over = new Set<string>();
  private self = "";
  private scale = 1;
  /** Whether everything in the graph has its place in the renderer's buffers. */
  private isIndexed = false;
  private readonly scheme = window.matchMedia("(prefers-color-scheme: dark)");
  private readonly theme = new MutationObserver(() => this.recolour());
  private readonly recolour = () => {
    this.sigma.setSettings({ labelColor: { color: colour("--ink") }, defaultEdgeColor: colour("--line") });
    this.sigma.refresh();
  };

  constructor(place: HTMLElement, open: (id: string) => void) {
    this.sigma = new Sigma(this.graph, place, {
      labelFont: "system-ui, sans-serif",
      labelSize: 12,
      labelRenderedSizeThreshold: 5,
      hideEdgesOnMove: true,
      hideLabelsOnMove: true,
      renderEdgeLabels: false,
      zIndex: true,
      labelColor: { color: colour("--ink") },
      defaultEdgeColor: colour("--line"),
      minCameraRatio: 0.05,
      maxCameraRatio: 4,
      /** Room for the labels of the outermost. */
      stagePadding: 76,
      nodeReducer: (id, node) => ({ ...node, color: colour(this.busy.has(id) || this.lit.has(id) ? "--warn" : (node["tone"] as string)) }),
      edgeReducer: (edge, line) => {
        const isLit = this.lit.has(this.graph.target(edge));
        return { ...line, color: colour(isLit ? "--warn" : "--line"), size: isLit ? 2 : 0.6, zIndex: isLit ? 1 : 0 };
      },
      allowInvalidContainer: true,
    });
    this.sigma.on("clickNode", ({ node }) => open(node));
    this.sigma.on("afterProcess", () => (this.isIndexed = true));
    this.scheme.addEventListener("change", this.recolour);
    this.theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  /** Show these nodes and no others. */
  show(peers: PeerDot[]): void {
    const present = new Set(peers.map((peer) => peer.id));
    for (const id of this.graph.nodes()) if (!present.has(id)) this.drop(id);
    this.scale = 2 ** (-Math.max(0, Math.ceil(Math.log2(peers.length / FULL_SIZE_MAX))) / 2);
    const self = peers.find((peer) => peer.is_self);
    this.self = self?.id ?? "";
    if (self) this.put(self, 0, 0);
    const taken = new Set(this.places.values());
    let free = 0;
    for (const peer of peers.filter((one) => !one.is_self).sort((one, other) => (one.id < other.id ? -1 : 1))) {
      while (taken.has(free)) free++;
      const at = this.places.get(peer.id) ?? free++;
      this.places.set(peer.id, at);
      const far = Math.sqrt(at + 1.5);
      this.put(peer, far * Math.cos(at * GOLDEN_ANGLE), far * Math.sin(at * GOLDEN_ANGLE));
    }
  }

  /** Mark the nodes that are in a round, and light the lines that an event passed; what is `old` lights nothing. */
  hear({ type, data }: Live, old = false): void {
    const round = String(data["request_id"] ?? "");
    let passed: string[] = [];
    if (type === "round_opened") {
      passed = Object.keys((data["members"] as object | undefined) ?? {});
      this.join(round, passed);
    } else if (type === "member_progress" && typeof data["member"] === "string") {
      passed = [data["member"]];
      if (data["step"] === "declined") this.leave(round, passed);
    } else if (type === "inference_started") {
      passed = [this.self];
      this.join(`here ${round}`, passed);
    } else if (type === "work_progress") {
      passed = [this.self];
      if (LAST_STEPS.has(String(data["step"]))) this.leave(`here ${round}`);
    } else if (type === "round_decided" || type === "round_ended") {
      this.over.add(round);
      this.leave(round);
    }
    if (!old) for (const id of passed) this.light(id);
  }

  end(): void {
    this.scheme.removeEventListener("change", this.recolour);
    this.theme.disconnect();
    for (const timer of this.lit.values()) clearTimeout(timer);
    for (const { timer } of this.members.values()) clearTimeout(timer);
    this.sigma.kill();
  }

  private put(peer: PeerDot, x: number, y: number): void {
    const tone = peer.is_self ? "--accent" : peer.roles.includes("worker") ? "--good" : "--soft";
    const size = peer.is_self ? 11 * Math.sqrt(this.scale) : (5 + Math.min(4, peer.models)) * this.scale;
    const look = { x, y, tone, size, label: peer.is_self ? "this node" : peer.id.slice(0, 8), zIndex: peer.is_self ? 1 : 0 };
    const had: Record<string, unknown> = this.graph.hasNode(peer.id) ? this.graph.getNodeAttributes(peer.id) : {};
    const isSame = Object.entries(look).every(([name, value]) => had[name] === value);
    const isLinked = !this.self || peer.id === this.self || this.graph.hasEdge(peer.id);
    if (isSame && isLinked) return;
    this.isIndexed = false;
    this.graph.mergeNode(peer.id, look);
    if (!isLinked) this.graph.mergeEdgeWithKey(peer.id, this.self, peer.id);
  }

  private drop(id: string): void {
    this.isIndexed = false;
    this.places.delete(id);
    this.graph.dropNode(id);
  }

  private join(round: string, ids: string[]): void {
    if (this.over.has(round)) return;
    this.leave(round);
    this.members.set(round, { ids, timer: setTimeout(() => this.leave(round), ROUND_MS_MAX) });
    for (const id of ids) this.busy.set(id, (this.busy.get(id) ?? 0) + 1);
    this.redraw(ids);
  }

  /** These members leave a round; without them all do, and it is over. */
  private leave(round: string, ids?: string[]): void {
    const known = this.members.get(round);
    if (!known) return;
    const gone = ids ? known.ids.filter((id) => ids.includes(id)) : known.ids;
    known.ids = known.ids.filter((id) => !gone.includes(id));
    if (!ids) {
      clearTimeout(known.timer);
      this.members.delete(round);
    }
    for (const id of gone) {
      const left = (this.busy.get(id) ?? 1) - 1;
      if (left) this.busy.set(id, left);
      else this.busy.delete(id);
    }
    this.redraw(gone);
  }

  private light(id: string): void {
    if (!this.graph.hasNode(id)) return;
    clearTimeout(this.lit.get(id));
    this.lit.set(id, setTimeout(() => this.unlight(id), LIT_MS));
    this.redraw([id]);
  }

  private unlight(id: string): void {
    this.lit.delete(id);
    this.redraw([id]);
  }

  /** Only colours changed, and only of these: nothing else is worked out again. */
  private redraw(ids: string[]): void {
    const nodes = ids.filter((id) => this.graph.hasNode(id));
    const edges = nodes.filter((id) => this.graph.hasEdge(id));
    if (!this.isIndexed) this.sigma.scheduleRefresh();
    else if (nodes.length) this.sigma.refresh({ partialGraph: { nodes, edges }, skipIndexation: true, schedule: true });
  }
}

const remembered = new Map<string, string>();
let theme = "";

function colour(name: string): string {
  const now = `${document.documentElement.dataset["theme"] ?? ""}${window.matchMedia("(prefers-color-scheme: dark)").matches}`;
  if (now !== theme) remembered.clear();
  theme = now;
  let found = remembered.get(name);
  if (found === undefined) {
    found = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    remembered.set(name, found);
  }
  return found;
}
