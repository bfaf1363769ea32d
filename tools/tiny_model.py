"""The network of the embedded model in torch, and the same written as an ONNX graph."""
# pyright: basic, reportMissingImports=false

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as functional
from onnx import TensorProto, helper, numpy_helper
from torch import nn

VOCABULARY, WIDTH, LAYERS, HEADS, HIDDEN, CONTEXT = 1024, 160, 4, 4, 432, 256
HEAD_WIDTH = WIDTH // HEADS
EPSILON = 1e-5
OPSET = 17


class Block(nn.Module):
    """Attention and a gated feed-forward layer, each behind a norm without weights of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.gate_up = nn.Linear(WIDTH, 2 * HIDDEN, bias=False)
        self.down = nn.Linear(HIDDEN, WIDTH, bias=False)
        for name, layer in self.named_children():
            scale = 0.5 if name in {"qkv", "gate_up"} else 0.5 / (2 * LAYERS) ** 0.5
            nn.init.normal_(layer.weight, std=scale / layer.in_features**0.5)

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """One layer over a batch of sequences padded on the right."""
        rows, length, _ = x.shape
        heads = self.qkv(_norm(x)).view(rows, length, 3 * HEADS, HEAD_WIDTH).transpose(1, 2)
        turned, v = heads.split((2 * HEADS, HEADS), dim=1)
        q, k = _rotate(turned, cos, sin).chunk(2, dim=1)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(rows, length, WIDTH))
        gate, up = self.gate_up(_norm(x)).chunk(2, dim=-1)
        return x + self.down(functional.silu(gate) * up)


class TinyModel(nn.Module):
    """A small Llama-shaped language model with tied embeddings."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.randn(VOCABULARY, WIDTH) * 0.02 * 5)
        self.final = nn.Parameter(torch.ones(WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        cos, sin = rotary_tables()
        self.register_buffer("cos", torch.from_numpy(cos), persistent=False)
        self.register_buffer("sin", torch.from_numpy(sin), persistent=False)

    def forward(self, tokens: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        """The logits at the `wanted` positions of a padded batch."""
        length = tokens.shape[1]
        x = functional.embedding(tokens, self.embedding)
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return (_norm(x[wanted]) * self.final) @ self.embedding.T


def rotary_tables() -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of each position, both halves of a head alike."""
    speed = 10_000.0 ** (-np.arange(HEAD_WIDTH // 2) / (HEAD_WIDTH // 2))
    angle = np.arange(CONTEXT)[:, None] * speed
    angle = np.concatenate([angle, angle], axis=1)
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _norm(x: torch.Tensor) -> torch.Tensor:
    return functional.rms_norm(x, (WIDTH,), eps=EPSILON)


def _rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Graph:
    """Collects nodes and constants; results are named by their number."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, np.ndarray] = {}

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """A node with one result."""
        return self.split(operator, 1, *inputs, **attributes)[0]

    def split(self, operator: str, results: int, *inputs: str, **attributes: Any) -> list[str]:
        """A node with several results."""
        names = [f"{len(self.nodes)}.{index}" for index in range(results)]
        self.nodes.append(helper.make_node(operator, list(inputs), names, **attributes))
        return names

    def constant(self, name: str, value: object, kind: type = np.float32) -> str:
        """A named constant, stored once."""
        self.constants[name] = np.ascontiguousarray(np.asarray(value, dtype=kind))
        return name

    def norm(self, x: str) -> str:
        """Root mean square normalisation of the last axis."""
        mean = self.add("ReduceMean", self.add("Mul", x, x), axes=[-1], keepdims=1)
        return self.add("Div", x, self.add("Sqrt", self.add("Add", mean, "epsilon")))


def to_onnx(model: TinyModel) -> bytes:
    """The graph `tokens, positions, past -> logits of the last token, present`; deterministic bytes."""
    weights = {name: value.detach().numpy() for name, value in model.named_parameters()}
    graph = Graph()
    cos, sin = rotary_tables()
    graph.constant("epsilon", EPSILON)
    graph.constant("embedding", weights["embedding"])
    allowed = np.tril(np.ones((CONTEXT, CONTEXT), dtype=bool))
    mask = np.where(allowed, np.float32(0), np.float32(-1e9))
    turn = [
        graph.add("Gather", graph.constant(n, t), "positions", axis=0)
        for n, t in (("cos", cos), ("sin", sin))
    ]
    last = graph.add("Gather", "positions", graph.constant("last", [-1], np.int64), axis=0)
    end = graph.add("Add", last, graph.constant("one", [1], np.int64))
    rows = graph.add("Gather", graph.constant("mask", mask), "positions", axis=0)
    zero = graph.constant("zero", [0], np.int64)
    visible = graph.add("Slice", rows, zero, end, graph.constant("axis", [1], np.int64))
    x = graph.add("Gather", "embedding", "tokens", axis=0)
    present: list[str] = []
    past = graph.split("Split", 2 * LAYERS, "past", axis=0)
    for index in range(LAYERS):
        x = _layer(graph, weights, index, (x, *turn, visible, *past[2 * index : 2 * index + 2], present))
    final = graph.norm(graph.add("Gather", x, "last", axis=0))
    scaled = graph.add("Mul", final, graph.constant("final", weights["final"]))
    logits = graph.add("Gemm", scaled, "embedding", transB=1)
    graph.nodes.append(helper.make_node("Identity", [logits], ["logits"]))
    graph.nodes.append(helper.make_node("Concat", present, ["present"], axis=0))
    return _serialised(graph)


def _layer(graph: Graph, weights: dict[str, np.ndarray], index: int, flow: tuple) -> str:
    x, cos, sin, visible, past_k, past_v, present = flow

    def weight(name: str, scale: np.ndarray | float = 1.0) -> str:
        return graph.constant(f"{index}.{name}", weights[f"blocks.{index}.{name}.weight"].T * scale)

    scale = np.concatenate([np.full(WIDTH, HEAD_WIDTH**-0.5), np.ones(2 * WIDTH)]).astype(np.float32)
    shape = graph.constant("heads", [-1, 3 * HEADS, HEAD_WIDTH], np.int64)
    qkv = graph.add("Reshape", graph.add("MatMul", graph.norm(x), weight("qkv", scale)), shape)
    parts = graph.constant("parts", [2 * HEADS, HEADS], np.int64)
    turned, v = graph.split("Split", 2, graph.add("Transpose", qkv, perm=[1, 0, 2]), parts, axis=0)
    left, right = graph.split("Split", 2, turned, axis=2)
    other = graph.add("Concat", graph.add("Neg", right), left, axis=2)
    turned = graph.add("Add", graph.add("Mul", turned, cos), graph.add("Mul", other, sin))
    q, k = graph.split("Split", 2, turned, axis=0)
    keys, values = (graph.add("Unsqueeze", part, "zero") for part in (k, v))
    keys, values = graph.add("Concat", past_k, keys, axis=2), graph.add("Concat", past_v, values, axis=2)
    present += [keys, values]
    turned_keys = graph.add("Transpose", graph.add("Squeeze", keys, "zero"), perm=[0, 2, 1])
    scores = graph.add("Add", graph.add("MatMul", q, turned_keys), visible)
    mixed = graph.add("MatMul", graph.add("Softmax", scores, axis=-1), graph.add("Squeeze", values, "zero"))
    flat = graph.constant("flat", [-1, WIDTH], np.int64)
    mixed = graph.add("Reshape", graph.add("Transpose", mixed, perm=[1, 0, 2]), flat)
    x = graph.add("Add", x, graph.add("MatMul", mixed, weight("out")))
    gate, up = graph.split("Split", 2, graph.add("MatMul", graph.norm(x), weight("gate_up")), axis=1)
    gate = graph.add("Mul", gate, graph.add("Sigmoid", gate))
    return graph.add("Add", x, graph.add("MatMul", graph.add("Mul", gate, up), weight("down")))


def _serialised(graph: Graph) -> bytes:
    cache = [2 * LAYERS, HEADS, "past", HEAD_WIDTH]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, ["length"]),
        helper.make_tensor_value_info("positions", TensorProto.INT64, ["length"]),
        helper.make_tensor_value_info("past", TensorProto.FLOAT, cache),
    ]
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, VOCABULARY]),
        helper.make_tensor_value_info("present", TensorProto.FLOAT, [*cache[:2], "total", HEAD_WIDTH]),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in graph.constants.items()]
    body = helper.make_graph(graph.nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)
