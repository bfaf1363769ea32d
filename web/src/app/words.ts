/** Numbers, times and states in words for people. */

const STATUS: Record<string, string> = {
  silent: "did not commit",
  unrevealed: "committed, did not reveal",
  digest_mismatch: "revealed something else than it committed to",
  model_refused: "used a model that was not asked for",
  malformed: "its answer cannot be read",
  embedding_mismatch: "its embedding is not that of its answer",
  core: "agrees, core",
  accepted: "agrees",
  conflict: "near, but a gate objects",
  outside: "disagrees",
  undecided: "nothing was decided",
};
const REASON: Record<string, string> = {
  agreed: "enough seats agree",
  quorum_not_reached: "too few committed in time",
  too_few_reveals: "too few answers were revealed",
  no_agreement: "no answer has enough support",
};

export const statusWords = (status: string | null): string => (status === null ? "no verdict yet" : (STATUS[status] ?? status));
export const reasonWords = (reason: string | null): string => (reason === null ? "" : (REASON[reason] ?? reason.replaceAll("_", " ")));
export const short = (id: string): string => id.slice(0, 8);
export const share = (value: number): string => `${(100 * value).toFixed(0)} %`;
export const clock = (unixMs: number | null): string => (unixMs ? new Date(unixMs).toLocaleTimeString() : "—");
export const moment = (unixMs: number | null): string => (unixMs ? new Date(unixMs).toLocaleString() : "—");
export const plural = (count: number, one: string, many = `${one}s`): string => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** A chance as people read it: `1 in 4,200`, `3.1 %`. */
export function chance(value: number): string {
  if (value <= 0) return "none";
  if (value < 1e-9) return "under 1 in a billion";
  return value < 0.005 ? `1 in ${Math.round(1 / value).toLocaleString()}` : `${(100 * value).toFixed(1)} %`;
}

/** Seconds as `3 d 4 h`, `12 min`, `9 s`. */
export function span(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.round((seconds % 86_400) / 3600)} h`;
}

/** Bytes as `1.4 MB`. */
export function size(bytes: number): string {
  const step = Math.min(4, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0);
  return `${(bytes / 1000 ** step).toFixed(step ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][step]}`;
}

/** How a round stands, in one word and a tone for its badge. */
export function standing(round: { state: string; outcome: string | null; step: string }): { word: string; tone: string } {
  if (round.state === "open") return { word: round.step || "open", tone: "busy" };
  if (round.outcome === "accepted") return { word: "accepted", tone: "good" };
  if (round.outcome === "undetermined") return { word: "undetermined", tone: "warn" };
  return { word: "ended", tone: "quiet" };
}
