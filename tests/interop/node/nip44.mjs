// One line of JSON in, one out: opens what we sealed and seals what we shall open, with nostr-tools.
import { createInterface } from "node:readline";
import { v2 } from "nostr-tools/nip44";

const bytes = (hex) => Uint8Array.from(Buffer.from(hex, "hex"));

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, peer, payload, text, nonce } = JSON.parse(line);
  const key = v2.utils.getConversationKey(bytes(secret), peer);
  const opened = v2.decrypt(payload, key);
  const sealed = v2.encrypt(text, key, bytes(nonce));
  console.log(JSON.stringify({ key: Buffer.from(key).toString("hex"), opened, sealed }));
}
