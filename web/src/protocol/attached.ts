/** Questions that are too long for a packet: a blob beside the request (`spec/11-rounds.md`, 11.14). */
import { CodecError } from "../base/codec.ts";
import { sha256, toHex, toUtf8, u32 } from "../base/hashing.ts";
import { attachedMessages, type Request } from "./bodies.ts";
import { isPossible } from "./round.ts";
import { keyed, nonceOf, SealError, unseal } from "./seal.ts";

const PIECE_BYTES = 65_535;
const ATTACHED_PROMPT_BYTES_MAX = 1024 * 1024;

/** The bytes are not those that the request names, or hold no question. */
export class AttachedError extends Error {}

/** The request with the messages that its blob holds; raises `AttachedError`. */
export function toldBy(request: Request, attached: string, key: Uint8Array | null): Request {
  const blob = toUtf8(attached);
  if (blob.length !== request.attachment!.size || toHex(sha256(blob)) !== request.attachment!.sha256) {
    throw new AttachedError("The blob is not the one that the request names.");
  }
  let told: Request;
  try {
    told = { ...request, messages: attachedMessages(key === null ? blob : opened(attached, key)), attachment: null };
  } catch (error) {
    if (error instanceof CodecError || error instanceof SealError) throw new AttachedError(error.message);
    throw error;
  }
  if (!isPossible(told, ATTACHED_PROMPT_BYTES_MAX)) throw new AttachedError("The attached question is larger than one may be.");
  return told;
}

/** The pieces in their order: every one whole but the last, each under the nonce of its place. */
function opened(attached: string, key: Uint8Array): Uint8Array {
  const lines = attached.split("\n");
  const tag = toUtf8("dicast/attached-nonce/1");
  const pieces = lines.map((line, number) => {
    const piece = unseal(line, key);
    const isWhole = piece.length === PIECE_BYTES || number === lines.length - 1;
    const nonce = keyed(key, tag, u32(number), u32(lines.length), piece);
    if (!isWhole || toHex(nonce) !== toHex(nonceOf(line))) throw new SealError("A piece of the blob is not in its place.");
    return piece;
  });
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
