/** The question on its way: it goes on while other views are looked at, and ends with the page. */
import { ApiError, request, streamed } from "./api.ts";
import type { AskResult } from "./types.ts";
import { plural, short, stepWords } from "./words.ts";

/** What was asked here, what happened since, and how it ended; `requestId` is there once the round is. */
export const asking = $state({
  prompt: "",
  isRunning: false,
  requestId: "",
  steps: [] as string[],
  provisional: "",
  answer: null as AskResult | null,
  error: null as unknown,
});

/** The frame as it was chosen last; there is no preset before the gateway told which there are. */
export const wish = $state({ preset: "", seats: 3, quorum: 3, percentage: 0.66, distance: 0.26, models: [] as string[], labels: "" });

let running: AbortController | null = null;

/** Ask `asking.prompt` in this frame. */
export async function ask(frame: Record<string, unknown>): Promise<void> {
  cancel();
  const own = (running = new AbortController());
  Object.assign(asking, { isRunning: true, requestId: "", steps: ["asked"], provisional: "", answer: null, error: null });
  const body = JSON.stringify({ prompt: asking.prompt, frame, stream: true });
  try {
    const response = await request("/api/ask", { method: "POST", signal: own.signal, headers: { "Content-Type": "application/json" }, body });
    for await (const { data } of streamed(response)) if (running === own) hear(JSON.parse(data) as { type: string; data: Record<string, unknown> });
  } catch (problem) {
    if (!own.signal.aborted) asking.error = problem;
  }
  if (running !== own) return;
  running = null;
  asking.isRunning = false;
}

/** Leave the question: its round ends. */
export function cancel(): void {
  running?.abort();
}

function hear({ type, data }: { type: string; data: Record<string, unknown> }): void {
  const step = stepWords(String(data["step"]));
  if (type === "answer") asking.answer = data as unknown as AskResult;
  else if (type === "error") asking.error = new ApiError(0, String(data["code"] ?? ""), String(data["message"] ?? "The round failed."), nextStep(data));
  else if (type === "token") asking.provisional = Array.from(asking.provisional).slice(0, Number(data["offset"])).join("") + String(data["text"]);
  else if (type === "stream_restarted") asking.provisional = "";
  else if (type === "round_opened") {
    asking.requestId = String(data["request_id"]);
    asking.steps.push(`round opened, ${plural(Number(data["seats"]), "seat")}`);
  } else if (type === "member_progress") asking.steps.push(`${short(String(data["member"]))} ${step}`);
  else if (type === "round_progress") asking.steps.push(step);
  else if (type === "round_decided") asking.steps.push("decided");
}

function nextStep(data: Record<string, unknown>): string {
  return (data["dicast"] as { next_step?: string } | undefined)?.next_step ?? "";
}
