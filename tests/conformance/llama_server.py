"""llama.cpp's own server with a model of one sentence; runs in `.venv-peer-engine`: `llama_server.py FOLDER`.

The model is made here: each token's row of the output matrix is the embedding of the token before it in the
sentence, and the one layer adds nothing. Any prompt ends in a line feed, after which the sentence begins.
Prints the address when it listens, and ends when its standard input does.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import gguf
import numpy as np
import xllamacpp

SENTENCE = ("▁The", "▁capital", "▁of", "▁France", "▁is", "▁Paris", ".")
END, LINE_FEED, FIRST_WORD = 2, 3 + 10, 3 + 256
WIDTH = 64
CONTEXT_TOKENS = 256
TEMPLATE = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}"


def write_vocabulary(writer: gguf.GGUFWriter) -> int:
    """Three marks, 256 bytes, the words of the sentence; returns how many."""
    words = [word.encode() for word in (*SENTENCE, "▁")]
    tokens = [b"<unk>", b"<s>", b"</s>", *(f"<0x{byte:02X}>".encode() for byte in range(256)), *words]
    kinds = [gguf.TokenType.UNKNOWN, *[gguf.TokenType.CONTROL] * 2]
    kinds += [gguf.TokenType.BYTE] * 256 + [gguf.TokenType.NORMAL] * len(words)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * FIRST_WORD + [-float(rank) for rank in range(len(words))])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(END)
    writer.add_unk_token_id(0)
    writer.add_chat_template(TEMPLATE)
    return len(tokens)


def write_shape(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    """One layer, two heads."""
    writer.add_context_length(CONTEXT_TOKENS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // 2)
    writer.add_vocab_size(vocabulary)


def write_tensors(writer: gguf.GGUFWriter, vocabulary: int) -> None:
    """Embeddings of random directions, an output matrix that knows what comes next, and zeros."""
    embedding = np.random.default_rng(1).normal(size=(vocabulary, WIDTH)).astype(np.float32)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    output = np.zeros((vocabulary, WIDTH), np.float32)
    chain = [LINE_FEED, *range(FIRST_WORD, FIRST_WORD + len(SENTENCE)), END]
    for token, following in itertools.pairwise(chain):
        output[following] = 4 * embedding[token]
    writer.add_tensor("token_embd.weight", embedding)
    writer.add_tensor("output.weight", output)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))


def make_model(path: Path) -> None:
    """Write the model as GGUF."""
    writer = gguf.GGUFWriter(path, "llama")
    vocabulary = write_vocabulary(writer)
    write_shape(writer, vocabulary)
    write_tensors(writer, vocabulary)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    """Serve until standard input ends."""
    path = Path(sys.argv[1]) / "paris.gguf"
    make_model(path)
    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {"paris"}
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_ctx = CONTEXT_TOKENS
    settings.n_parallel = 1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = 1
    settings.warmup = False
    server = xllamacpp.Server(settings)
    print(f"listening {server.listening_address}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
