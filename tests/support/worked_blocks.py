"""Worked examples in docs/models*.md: fenced ``yaml worked`` blocks, recomputed with the layers that they tell of.

    part: fusion gated
    arguments: {...}
    parameters: {...}
    inputs: {...}
    by_hand: [h = tanh(1) = 0.7616]
    result: ...

``part`` is a kind and a name: encoder, fusion, trunk, rule (registered), or layer (one of `LAYERS`). ``parameters`` are
named as in state_dict(), "identity" being a unit matrix; every other one is 0, except that norms keep their scale of 1.
``inputs`` are the call's arguments in order: ids int64, masks bool, all else float32; of a fusion, trunk or imputation
{field: {pooled, tokens, token_mask, present}}. ``by_hand`` tells how the numbers come about: symbol, expression, value
to four places; every number of the result that is not whole is one of these values. ``result`` is a nested list, or
{field or part: ...} where several things are answered.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import paddle
import yaml
from paddle import nn

from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.models.layers.imputation import Imputation
from ppmm.models.layers.missing_values import MissingValues
from ppmm.models.layers.pair_matching import PairMatching
from ppmm.models.layers.query_pooling import QueryPooling
from ppmm.models.layers.rbf import RBF
from ppmm.models.layers.rbf_kernel import RBFKernel
from ppmm.models.layers.transformer import TransformerBlock
from ppmm.registry import ENCODERS, FUSIONS, GRADIENT_RULES, TRUNKS
from ppmm.types import Encoded

REGISTRIES = {"encoder": ENCODERS, "fusion": FUSIONS, "trunk": TRUNKS, "rule": GRADIENT_RULES}
LAYERS = {
    layer.__name__: layer
    for layer in (
        Imputation, MissingValues, MultiHeadAttention, PairMatching, QueryPooling, RBF, RBFKernel, TransformerBlock,
    )
}  # fmt: skip
NORMS = (nn.LayerNorm, nn.BatchNorm1D, nn.BatchNorm2D)
INTEGERS, FLAGS = ("ids", "label"), ("mask", "token_mask", "present")
KEYS = {"part", "arguments", "parameters", "inputs", "by_hand", "result"}
BLOCK = re.compile(r"^```yaml worked\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPERATORS = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow, ast.USub: operator.neg,
}  # fmt: skip
FUNCTIONS = {
    "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "tanh": math.tanh, "max": max,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
}  # fmt: skip


class Block(NamedTuple):
    """One worked example."""

    part: str
    arguments: dict[str, Any]
    parameters: dict[str, Any]
    inputs: dict[str, Any]
    by_hand: list[str]
    result: Any


def read_blocks(page: Path) -> list[Block]:
    """The worked examples of a page in order; fails on keys that are missing or unknown."""
    blocks = []
    for text in BLOCK.findall(page.read_text(encoding="utf-8")):
        node = {"arguments": {}, "parameters": {}, **yaml.safe_load(text)}
        assert set(node) == KEYS, f"{page.name}: {node.get('part')} has the keys {sorted(node)}"
        blocks.append(Block(**node))
    return blocks


def recompute(block: Block) -> Any:
    """What the real part answers, in the form of ``block.result``."""
    kind, name = block.part.split()
    cls = LAYERS[name] if kind == "layer" else REGISTRIES[kind].get(name)
    part = cls(**block.arguments)
    if kind == "rule":
        return _balanced(part, block.inputs)
    set_parameters(part, block.parameters)
    part.eval()
    if kind in ("fusion", "trunk") or name == "Imputation":
        encoded = {field: _encoded(values) for field, values in block.inputs.items()}
        present = {field: _tensor("present", values["present"]) for field, values in block.inputs.items()}
        return _plain(part(encoded, present))
    return _plain(part(*[_tensor(key, value) for key, value in block.inputs.items()]))


def set_parameters(part: nn.Layer, values: Mapping[str, Any]) -> None:
    """``values`` by name, zero elsewhere, norms as they are; fails on unknown names and other shapes."""
    state = part.state_dict()
    assert set(values) <= set(state), f"no parameters {sorted(set(values) - set(state))}; there is {sorted(state)}"
    for layer in part.sublayers(include_self=True):
        for parameter in [] if isinstance(layer, NORMS) else layer.parameters(include_sublayers=False):
            parameter.set_value(np.zeros(parameter.shape, "float32"))
    for name, value in values.items():
        shape = state[name].shape
        array = np.eye(*shape) if value == "identity" else np.array(value)
        assert list(array.shape) == shape, f"{name} has the shape {shape}, not {array.shape}"
        state[name].set_value(array.astype("float32"))


def compare(found: Any, stated: Any, place: str = "result") -> None:
    """Fails unless all that is ``stated`` was ``found``, to 0.0001."""
    if isinstance(stated, Mapping):
        for key, value in stated.items():
            compare(found[key], value, f"{place}.{key}")
    else:
        assert np.shape(found) == np.shape(stated), f"{place} has the shape {np.shape(found)}, not {np.shape(stated)}"
        np.testing.assert_allclose(found, np.array(stated), rtol=0, atol=1e-4, err_msg=place)


def numbers(value: Any) -> Iterator[float]:
    """All numbers of nested lists and mappings."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    else:
        yield float(value)


def check_line(line: str) -> float:
    """The number of ``symbol = expression = number``; fails unless the expression comes to it, to four places."""
    _, expression, right = line.split(" = ")
    value = calculate(expression)
    assert abs(value - float(right)) <= 0.5e-4 + 1e-9, f"{expression} = {value}, not {right}"
    return float(right)


def calculate(expression: str) -> float:
    """The value of sums, products, powers and `FUNCTIONS` of numbers."""
    return float(_value(ast.parse(expression.strip(), mode="eval").body))


def _value(node: ast.expr) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        return node.value
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_value(node.left), _value(node.right))
    if isinstance(node, ast.UnaryOp):
        return OPERATORS[type(node.op)](_value(node.operand))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return FUNCTIONS[node.func.id](*[_value(argument) for argument in node.args])
    raise ValueError(f"not arithmetic: {ast.dump(node)}")


def _tensor(key: str, value: Any) -> paddle.Tensor:
    kind = "int64" if key in INTEGERS else "bool" if key in FLAGS else "float32"
    return paddle.to_tensor(np.array(value, dtype=kind))


def _encoded(values: Mapping[str, Any]) -> Encoded:
    return Encoded(**{key: _tensor(key, value) for key, value in values.items() if key != "present"})


def _plain(answer: Any) -> Any:
    """Tensors -> arrays; Encoded -> {part: array}; of an imputation the encoded fields alone."""
    if isinstance(answer, Encoded):
        return {key: _plain(value) for key, value in answer._asdict().items() if value is not None}
    if isinstance(answer, tuple):
        return _plain(answer[0])
    if isinstance(answer, Mapping):
        return {key: _plain(value) for key, value in answer.items()}
    return answer.numpy()


def _balanced(rule: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The factors of a gradient rule, and what becomes of one gradient per encoder."""
    encoders = {field: nn.Linear(1, 1, bias_attr=False) for field in inputs["gradients"]}
    for field, encoder in encoders.items():
        (encoder.weight * inputs["gradients"][field]).sum().backward()
    logits = {f"{field}_logits": _tensor("logits", value) for field, value in inputs["logits"].items()}
    batch = {"label": _tensor("label", inputs["label"])}
    batch.update({f"has_{field}": _tensor("present", value) for field, value in inputs["present"].items()})
    factors = rule(SimpleNamespace(fields=tuple(encoders), encoders=encoders), [logits], [batch])
    return {**factors, "gradients": {field: float(encoder.weight.grad) for field, encoder in encoders.items()}}
