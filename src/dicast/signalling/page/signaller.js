// The connection to a signaller: any one of those known, another when it dies.

const RETRY_MS = 300;
const RETRY_MS_MAX = 10_000;
const KNOWN_MAX = 32;

export class Signaller {
  #urls;
  #key;
  #onFrame;
  #onChange;
  #socket = null;
  #retryMs = RETRY_MS;
  url = "";
  isUp = false;

  constructor(url, key, onFrame, onChange) {
    this.#urls = [url];
    this.#key = key;
    this.#onFrame = onFrame;
    this.#onChange = onChange;
    this.#connect(url);
  }

  get known() {
    return [...this.#urls];
  }

  say(frame) {
    if (this.isUp) this.#socket.send(JSON.stringify(frame));
    return this.isUp;
  }

  hear(urls) {
    const told = Array.isArray(urls) ? urls.filter((url) => typeof url === "string" && /^wss?:\/\//.test(url)) : [];
    this.#urls = [...new Set([...told, ...this.#urls])].slice(0, KNOWN_MAX);
    this.#onChange();
  }

  #connect(url) {
    const protocols = this.#key ? ["dicast.signal.1", `dicast.key.${this.#key}`] : ["dicast.signal.1"];
    const socket = new WebSocket(url, protocols);
    this.#socket = socket;
    this.url = url;
    socket.onopen = () => {
      this.isUp = true;
      this.#retryMs = RETRY_MS;
      this.#onChange();
    };
    socket.onmessage = (message) => {
      const frame = parsed(message.data);
      if (frame) this.#onFrame(frame);
    };
    socket.onclose = () => {
      const wasUp = this.isUp;
      this.isUp = false;
      this.#onChange();
      const next = this.#urls[(this.#urls.indexOf(url) + 1) % this.#urls.length] ?? url;
      setTimeout(() => this.#connect(next), wasUp ? Math.random() * RETRY_MS : this.#retryMs);
      if (!wasUp) this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * (1 + Math.random()));
    };
  }
}

export function parsed(data) {
  try {
    const frame = JSON.parse(data);
    return typeof frame === "object" && frame !== null ? frame : null;
  } catch {
    return null;
  }
}
