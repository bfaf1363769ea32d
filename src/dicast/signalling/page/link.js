// A link to another page: one WebRTC data channel, introduced by a signaller. Measures the other's uplink.

import { parsed } from "./signaller.js";

const GATHER_MS_MAX = 1_500; // candidates that take longer are a server that does not answer
const OPEN_MS_MAX = 15_000;
const PROBE_BYTES = 64 * 1024;
const CHUNK_BYTES = 8 * 1024;
const BUFFER_BYTES_MAX = 512 * 1024; // waiting to be sent; what a link does not take is left to others
const FRAME_CHARS_MAX = 48 * 1024;
const FRAMES_A_SECOND_MAX = 200;

export class Link {
  #connection;
  #channel = null;
  #introduce;
  #on;
  #probe = { at: 0, bytes: 0 };
  #heard = { at: 0, count: 0 };
  isOpen = false;
  isClosed = false;
  uplinkKbps = 0; // the other's, as measured here

  // `introduce(body)` hands a text to the other page; `on` has open, frame, measured and closed.
  constructor(name, ice, introduce, on) {
    this.name = name;
    this.#introduce = introduce;
    this.#on = on;
    this.#connection = new RTCPeerConnection({ iceServers: ice.length ? [{ urls: ice }] : [] });
    this.#connection.ondatachannel = (event) => this.#take(event.channel);
    this.#connection.onconnectionstatechange = () => {
      if (["failed", "closed", "disconnected"].includes(this.#connection.connectionState)) this.close();
    };
    setTimeout(() => this.isOpen || this.close(), OPEN_MS_MAX);
  }

  async offer() {
    this.#take(this.#connection.createDataChannel("dicast"));
    await this.#connection.setLocalDescription();
    await this.#tell("offer");
  }

  async answer(sdp) {
    await this.#connection.setRemoteDescription({ type: "offer", sdp });
    await this.#connection.setLocalDescription();
    await this.#tell("answer");
  }

  async accept(sdp) {
    if (this.#connection.signalingState === "have-local-offer") {
      await this.#connection.setRemoteDescription({ type: "answer", sdp });
    }
  }

  say(frame) {
    if (!this.isOpen || this.#channel.bufferedAmount > BUFFER_BYTES_MAX) return false;
    this.#channel.send(JSON.stringify(frame));
    return true;
  }

  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    this.isOpen = false;
    this.#connection.close();
    this.#on.closed(this);
  }

  async #tell(type) {
    await new Promise((resolve) => {
      setTimeout(resolve, GATHER_MS_MAX);
      const look = () => this.#connection.iceGatheringState === "complete" && resolve();
      this.#connection.addEventListener("icegatheringstatechange", look);
      look();
    });
    if (!this.isClosed) this.#introduce(JSON.stringify({ type, sdp: this.#connection.localDescription.sdp }));
  }

  #take(channel) {
    this.#channel = channel;
    channel.binaryType = "arraybuffer";
    channel.onopen = () => {
      this.isOpen = true;
      this.#on.open(this);
      for (let sent = 0; sent < PROBE_BYTES; sent += CHUNK_BYTES) channel.send(new Uint8Array(CHUNK_BYTES));
    };
    channel.onclose = () => this.close();
    channel.onmessage = (message) => this.#hear(message.data);
  }

  #hear(data) {
    const now = performance.now();
    if (now - this.#heard.at > 1_000) this.#heard = { at: now, count: 0 };
    this.#heard.count += 1;
    if (this.#heard.count > FRAMES_A_SECOND_MAX || (data.length ?? 0) > FRAME_CHARS_MAX) {
      this.close();
    } else if (typeof data === "string") {
      const frame = parsed(data);
      if (frame) this.#on.frame(this, frame);
    } else {
      this.#measure(data.byteLength, now);
    }
  }

  // The first chunk starts the clock; what comes after it, over the time it took, is the uplink.
  #measure(bytes, now) {
    const probe = this.#probe;
    if (probe.at === 0) probe.at = now;
    else if (probe.bytes < PROBE_BYTES - CHUNK_BYTES) {
      probe.bytes += bytes;
      if (probe.bytes < PROBE_BYTES - CHUNK_BYTES) return;
      this.uplinkKbps = Math.min(10_000_000, Math.round((probe.bytes * 8) / Math.max(0.1, now - probe.at)));
      this.#on.measured(this);
    }
  }
}
