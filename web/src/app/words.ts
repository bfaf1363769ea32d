/** Numbers, times and states in words for people. */

const STATUS: Record<string, string> = {
  silent: "did not commit",
  unrevealed: "committed, did not reveal",
  digest_mismatch: "revealed something else than it committed to",
  model_refused: "used a model that was not asked for",
  malformed: "answer not in the form asked for",
  embedding_mismatch: "its embedding is not that of its answer",
  core: "agrees, core",
  accepted: "agrees",
  conflict: "near, but a gate objects",
  outside: "disagrees",
  undecided: "nothing was decided",
};
const STEP: Record<string, string> = {
  accepted: "took the question", declined: "declined", committed: "committed", revealed: "revealed", signed: "signed",
  drawn: "panel drawn", sealed: "commits sealed", closed: "reveals closed",
  request: "asked", panel: "drew the panel", commit: "committed", quorum: "sealed the commits", reveal: "revealed", close: "closed the reveals", signature: "signed",
};
const REFUSED: Record<string, string> = {
  own: "this node's own, come back", stale: "too old", duplicate: "seen before", unknown_predecessor: "of a round that is not known here",
  bad_signature: "with a wrong signature", rate: "too many of one sender", not_member: "of somebody without a seat", not_requester: "of somebody who did not ask",
};
const ADMISSION: Record<string, string> = { listed: "members chosen by the asker", drawn: "members drawn by lot", open: "open to all" };
const ROLE: Record<string, string> = { requester: "asked here", member: "answered here" };
const REASON: Record<string, string> = {
  agreed: "enough seats agree",
  quorum_not_reached: "too few committed in time",
  too_few_reveals: "too few answers that count were revealed",
  no_agreement: "no answer has enough support",
};

/** What the verdict says of a member; where too few committed nobody was asked to reveal, and nobody withheld anything. */
export function statusWords(status: string | null, reason: string | null = null): string {
  if (status === "unrevealed" && reason === "quorum_not_reached") return "committed; nothing was opened";
  return status === null ? "no verdict yet" : (STATUS[status] ?? status);
}
/** When two answers are the same, in words. */
export function formWords({ labels, exact, fuzzy, sec_distance }: { labels: string[]; exact: string[]; fuzzy: string[]; sec_distance: number }): string {
  if (labels.length) return `answers: ${labels.join(", ")}`;
  if (exact.length || fuzzy.length) return `JSON agreed by ${[...exact, ...fuzzy].map((field) => field || "the whole").join(", ")}`;
  return sec_distance ? `wording may differ by ${share(sec_distance)}` : "wording must be equal";
}
export const reasonWords = (reason: string | null): string => (reason === null ? "" : (REASON[reason] ?? reason.replaceAll("_", " ")));
export const stepWords = (step: string): string => STEP[step] ?? step.replaceAll("_", " ");
export const admissionWords = (admission: string): string => ADMISSION[admission] ?? admission;
export const roleWords = (role: string): string => ROLE[role] ?? role;
export const refusedWords = (reason: string): string => REFUSED[reason] ?? reason.replaceAll("_", " ");
export const gateWords = (gate: string): string => gate.replace(/_strict$/, " (strict)");
export const short = (id: string): string => id.slice(0, 8);
export const share = (value: number): string => `${(100 * value).toFixed(0)} %`;
export const clock = (unixMs: number | null): string => (unixMs ? new Date(unixMs).toLocaleTimeString() : "—");
export const moment = (unixMs: number | null): string => (unixMs ? new Date(unixMs).toLocaleString() : "—");
export const plural = (count: number, one: string, many = `${one}s`): string => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** A chance as people read it: `1 in 4,200`, `1 in 800 million`, `3.1 %`. It is never none: what is too small to tell is said to be small. */
export function chance(value: number): string {
  if (value < 1e-9) return "under 1 in a billion";
  if (value >= 0.005) return `${(100 * value).toFixed(1)} %`;
  const one = Number((1 / value).toPrecision(2));
  return one < 1e6 ? `1 in ${one.toLocaleString()}` : `1 in ${(one / 1e6).toLocaleString()} million`;
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

/** What the gates did where none kept answers apart: before answers are revealed they cannot do anything. */
export function gatesTold({ frame, answers, round }: { frame: { gates: string[] }; answers: unknown[]; round: { state: string } }): string {
  if (!frame.gates.length) return "This frame has no gates.";
  const names = frame.gates.map(gateWords).join(", ");
  if (answers.length) return `No pair of near answers was kept apart by ${names}.`;
  return round.state === "open" ? `Before answers are revealed there is nothing to look at for ${names}.` : `No answer was revealed, so there was nothing to look at for ${names}.`;
}

/** Steps in the order of a certificate, and of one kind in the order of their times. */
export function inOrder<T extends { step: string; at_unix_ms: number | null }>(steps: T[]): T[] {
  const kinds = [...new Set(steps.map((one) => one.step))];
  return [...steps].sort((one, other) => kinds.indexOf(one.step) - kinds.indexOf(other.step) || (one.at_unix_ms ?? 0) - (other.at_unix_ms ?? 0));
}

/** How a round stands, in one word and a tone for its badge. */
export function standing(round: { state: string; outcome: string | null; step: string }): { word: string; tone: string } {
  if (round.state === "open") return { word: round.step || "open", tone: "busy" };
  if (round.outcome === "accepted") return { word: "accepted", tone: "good" };
  if (round.outcome === "undetermined") return { word: "undetermined", tone: "warn" };
  return { word: "ended", tone: "quiet" };
}
