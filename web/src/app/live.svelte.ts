/** What happens on the node, as it happens: one stream for the whole page. */
import { ApiError, request, storedKey, streamed } from "./api.ts";
import type { Live } from "./types.ts";

const RETRY_MS_FIRST = 500;
const RETRY_MS_MAX = 10_000;
/** Events kept for whoever opens a view later. */
const KEPT_MAX = 200;

type Listener = (event: Live) => void;

/**
 * Whether the stream is there, whether the node behind the gateway is, and what is wrong with the key in use.
 * `problem` says why there is no stream, once more than one attempt failed.
 */
export const live = $state({ connected: false, nodeUp: true, needsKey: false, keyProblem: "", problem: null as ApiError | null, recent: [] as Live[] });

const listeners = new Set<Listener>();
let aborted: AbortController | null = null;
let last = "";

/** Call `listener` for each event until the returned function is called. */
export function listen(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Call `load` when what is shown may be from before: the node or the gateway was gone, or events were missed. */
export function whenBack(load: () => unknown): () => void {
  return listen((event) => {
    if (event.type === "node_up" || event.type === "gap") load();
  });
}

/** Follow the stream, again and again, until `stop`. */
export async function follow(): Promise<void> {
  stop();
  const own = (aborted = new AbortController());
  let pause = RETRY_MS_FIRST;
  let failed = 0;
  for (let attempts = 1; !own.signal.aborted; attempts++) {
    try {
      const headers: Record<string, string> = last ? { "Last-Event-ID": last } : {};
      const response = await request("/api/events", { signal: own.signal, headers });
      live.connected = true;
      live.needsKey = false;
      live.problem = null;
      if (attempts > 1) tell({ id: "", at_unix_ms: Date.now(), type: "gap", data: { missed: null } });
      [pause, failed] = [RETRY_MS_FIRST, 0];
      for await (const { id, data } of streamed(response)) take(id, data);
    } catch (error) {
      live.needsKey = error instanceof ApiError && error.status === 401;
      live.keyProblem = live.needsKey && storedKey() ? (error as ApiError).message : "";
      if (live.needsKey) own.abort();
      if (error instanceof ApiError && (failed++ || error.status === 403)) live.problem = error;
    }
    live.connected = false;
    if (!own.signal.aborted) await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random() / 2)));
    pause = Math.min(2 * pause, RETRY_MS_MAX);
  }
}

/** Follow no longer. */
export function stop(): void {
  aborted?.abort();
}

function take(id: string, data: string): void {
  const event = JSON.parse(data) as Live;
  if (!event.type) return; // the key was revoked: the stream ends here, and the next request is told why
  last = id || last;
  if (event.type === "node_down") live.nodeUp = false;
  if (event.type === "node_up") live.nodeUp = true;
  if (event.type !== "packets_counted") live.recent = [event, ...live.recent].slice(0, KEPT_MAX);
  tell(event);
}

function tell(event: Live): void {
  for (const listener of listeners) listener(event);
}
