/** Talks to the gateway that served this page, and to nothing else. */

const KEY = "dicast-key";

/** An answer that is no success: the gateway's stable code and its words. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly next = "",
  ) {
    super(message);
  }
}

/** The key in use; kept for this tab only. */
export function storedKey(): string {
  return sessionStorage.getItem(KEY) ?? "";
}

export function storeKey(key: string): void {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

/** Headers that every request carries. */
export function headers(): Record<string, string> {
  const key = storedKey();
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** The response to a request; raises `ApiError` unless it is a success. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers: { ...headers(), ...(init.headers as Record<string, string>) } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "gateway_unreachable", "The gateway does not answer.", "Is `dicast gateway` still running?");
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => null)) as { error?: { code?: string; message?: string; dicast?: { next_step?: string } } } | null;
  const { code = "unknown", message = `The gateway answered ${response.status}.`, dicast } = body?.error ?? {};
  throw new ApiError(response.status, code, message, dicast?.next_step ?? "");
}

/** The JSON at a path. */
export async function get<T>(path: string, query: Record<string, string | number | undefined> = {}): Promise<T> {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]));
  const response = await request(pairs.length ? `${path}?${search}` : path);
  return (await response.json()) as T;
}

/** Send JSON, read JSON. */
export async function send<T>(method: "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  return (await (await request(path, init)).json()) as T;
}

/** The events of a server-sent stream, as they come. */
export async function* streamed(response: Response): AsyncGenerator<{ id: string; data: string }> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value.replaceAll("\r", "");
    const blocks = rest.split("\n\n");
    rest = blocks.pop()!;
    for (const block of blocks) {
      const lines = block.split("\n");
      const field = (name: string) => lines.filter((line) => line.startsWith(`${name}:`)).map((line) => line.slice(name.length + 1).trimStart());
      if (field("data").length) yield { id: field("id")[0] ?? "", data: field("data").join("\n") };
    }
  }
}
