"""Lengths for the recurrent layers of an ONNX graph, which paddle2onnx 2.1.0 leaves out.

Without them the backward direction starts in the padding. A recurrent layer of ppmm reads ``x * mask`` (see
`ppmm.models.layers.masking.keep` traced with portable operators); its mask is found there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["add_lengths"]

RECURRENT = ("LSTM", "GRU", "RNN")
LENGTHS = 4
"""Which input of theirs ``sequence_lens`` is."""
PASSED = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Concat", "Dropout")
"""What stands between two stacked layers, and between the mask and the first."""


def add_lengths(path: Path) -> None:
    """Give every recurrent layer of the graph in ``path`` that reads masked steps the number of these."""
    import onnx

    model = onnx.load(str(path))
    makers = {output: node for node in model.graph.node for output in node.output}
    nodes: list[Any] = []
    found: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in RECURRENT and not (len(node.input) > LENGTHS and node.input[LENGTHS]):
            mask = _mask_of(node, makers)
            if mask is not None:
                if mask not in found:
                    added, found[mask] = _counted(mask, len(found))
                    nodes += added
                while len(node.input) <= LENGTHS:
                    node.input.append("")
                node.input[LENGTHS] = found[mask]
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))


def _mask_of(node: Any, makers: dict[str, Any]) -> str | None:
    """The mask [B,T,1], as numbers, that a recurrent layer's steps were multiplied by; None where there is none."""
    while (node := makers.get(node.input[0])) is not None:
        if node.op_type == "Mul":
            factor = _origin(node.input[1], makers)
            return node.input[1] if factor is not None and factor.op_type == "Cast" else None
        if node.op_type not in (*PASSED, *RECURRENT):
            return None
    return None


def _origin(name: str, makers: dict[str, Any]) -> Any | None:
    """The node that made a tensor, past names that are only another one's."""
    node = makers.get(name)
    while node is not None and node.op_type == "Identity":
        node = makers.get(node.input[0])
    return node


def _counted(mask: str, number: int) -> tuple[list[Any], str]:
    """Nodes that count the true steps of ``mask`` [B,T,1]; at least one, as `masking.lengths_of` does."""
    from onnx import TensorProto, helper

    prefix = f"sequence_lens.{number}"
    axes = helper.make_tensor(f"{prefix}.axes", TensorProto.INT64, [2], [1, 2])
    one = helper.make_tensor(f"{prefix}.one", TensorProto.FLOAT, [], [1.0])
    nodes = [
        helper.make_node("Constant", [], [f"{prefix}.axes"], value=axes),
        helper.make_node("Constant", [], [f"{prefix}.one"], value=one),
        helper.make_node("ReduceSum", [mask, f"{prefix}.axes"], [f"{prefix}.sum"], keepdims=0),
        helper.make_node("Max", [f"{prefix}.sum", f"{prefix}.one"], [f"{prefix}.max"]),
        helper.make_node("Cast", [f"{prefix}.max"], [prefix], to=TensorProto.INT32),
    ]
    return nodes, prefix
