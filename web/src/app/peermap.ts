/** The network as dots around this node, drawn by WebGL. */
import Graph from "graphology";
import Sigma from "sigma";
import type { Live, PeerDot } from "./types.ts";

/** How long a dot stays lit after a packet of its round. */
const LIT_MS = 900;
/** The golden angle spreads any number of dots evenly, and a node keeps its place while others come. */
const GOLDEN_ANGLE = Math.PI * (3 - Math.sqrt(5));

export class PeerMap {
  private readonly graph = new Graph();
  private readonly sigma: Sigma;
  private readonly lit = new Map<string, ReturnType<typeof setTimeout>>();
  private self = "";
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
      labelColor: { color: colour("--ink") },
      defaultEdgeColor: colour("--line"),
      minCameraRatio: 0.05,
      maxCameraRatio: 4,
      nodeReducer: (id, node) => ({ ...node, color: colour(this.lit.has(id) ? "--warn" : (node["tone"] as string)) }),
      edgeReducer: (edge, line) => {
        const isLit = this.lit.has(this.graph.target(edge));
        return { ...line, color: colour(isLit ? "--warn" : "--line"), size: isLit ? 2 : 0.6 };
      },
      allowInvalidContainer: true,
    });
    this.sigma.on("clickNode", ({ node }) => open(node));
    this.scheme.addEventListener("change", this.recolour);
    this.theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  }

  /** Show these nodes and no others. */
  show(peers: PeerDot[]): void {
    const present = new Set(peers.map((peer) => peer.id));
    for (const id of this.graph.nodes()) if (!present.has(id)) this.graph.dropNode(id);
    this.self = peers.find((peer) => peer.is_self)?.id ?? "";
    const others = peers.filter((peer) => !peer.is_self).sort((one, other) => (one.id < other.id ? -1 : 1));
    if (this.self) this.put(peers.find((peer) => peer.is_self)!, 0, 0);
    others.forEach((peer, at) => {
      const far = Math.sqrt((at + 1.5) / (others.length + 1));
      this.put(peer, far * Math.cos(at * GOLDEN_ANGLE), far * Math.sin(at * GOLDEN_ANGLE));
    });
  }

  /** Light the nodes that an event is about. */
  pulse({ type, data }: Live): void {
    if (type === "round_opened") for (const id of Object.keys((data["members"] as object | undefined) ?? {})) this.light(id);
    else if (type === "member_progress" && typeof data["member"] === "string") this.light(data["member"]);
    else if ((type === "inference_started" || type === "work_progress") && this.self) this.light(this.self);
  }

  end(): void {
    this.scheme.removeEventListener("change", this.recolour);
    this.theme.disconnect();
    for (const timer of this.lit.values()) clearTimeout(timer);
    this.sigma.kill();
  }

  private put(peer: PeerDot, x: number, y: number): void {
    const tone = peer.is_self ? "--accent" : peer.roles.includes("worker") ? "--good" : "--soft";
    const look = { x, y, tone, label: peer.is_self ? "this node" : peer.id.slice(0, 8), size: (peer.is_self ? 11 : 5) + Math.min(4, peer.models) };
    this.graph.mergeNode(peer.id, look);
    if (this.self && peer.id !== this.self && !this.graph.hasEdge(peer.id)) this.graph.mergeEdgeWithKey(peer.id, this.self, peer.id);
  }

  private light(id: string): void {
    if (!this.graph.hasNode(id)) return;
    clearTimeout(this.lit.get(id));
    this.lit.set(id, setTimeout(() => this.unlight(id), LIT_MS));
    this.sigma.scheduleRefresh();
  }

  private unlight(id: string): void {
    this.lit.delete(id);
    this.sigma.scheduleRefresh();
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
