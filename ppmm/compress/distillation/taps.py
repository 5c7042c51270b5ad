"""What chosen layers of a model give in its forward pass, and which layers of two models belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import paddle
from paddle import Tensor

from ppmm.errors import CompressError
from ppmm.models.layers.attention import MultiHeadAttention
from ppmm.registry import did_you_mean
from ppmm.types import Batch, Encoded

__all__ = ["Taps", "Value", "layer_pairs", "present_rows", "row_mean"]

Value: TypeAlias = "Tensor | Encoded"


class Taps:
    """Keeps what layers of ``model`` gave in its last forward pass, until it is taken.

    Args:
        model: a paddle Layer that runs in dygraph.
        layers: names as in ``named_sublayers``.
        weights: attention layers (`MultiHeadAttention`) of which the weights [B,heads,N,M] are kept, before dropout.
    """

    def __init__(self, model: Any, layers: Sequence[str], weights: Sequence[str] = ()) -> None:
        named = dict(model.named_sublayers())
        self.values: dict[str, Any] = {}
        self.handles = [named[name].register_forward_post_hook(self._output(name)) for name in dict.fromkeys(layers)]
        self.handles += [
            named[name].dropout.register_forward_pre_hook(self._input(weights_of(name)))
            for name in dict.fromkeys(weights)
        ]

    def take(self) -> dict[str, Any]:
        """What was kept since the last call."""
        values, self.values = self.values, {}
        return values

    def close(self) -> None:
        """Leave the model as it was."""
        for handle in self.handles:
            handle.remove()
        self.values = {}

    def _output(self, name: str) -> Any:
        def keep(layer: Any, inputs: Any, output: Any) -> None:
            if paddle.in_dynamic_mode():
                self.values[name] = _value(output, name)

        return keep

    def _input(self, name: str) -> Any:
        def keep(layer: Any, inputs: Any) -> None:
            if paddle.in_dynamic_mode():
                self.values[name] = inputs[0].astype("float32")

        return keep


def weights_of(name: str) -> str:
    """The key of an attention layer's weights."""
    return f"{name}.weights"


def layer_pairs(student: Any, teacher: Any, layers: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of the student's and the teacher's layers that ``layers`` puts together, in the order of the models.

    A ``*`` stands for any text without a dot: ``encoders.image.blocks.*``. Raises CompressError where a pattern fits no
    layer, or the two of a pair do not fit equally many.
    """
    pairs: list[tuple[str, str]] = []
    for ours, theirs in layers.items():
        mine, others = _matched(student, ours, "the student"), _matched(teacher, theirs, "the teacher")
        if len(mine) != len(others):
            raise CompressError(
                f"'{ours}' fits {len(mine)} layers of the student, and '{theirs}' {len(others)} of the teacher; "
                "write patterns that fit equally many, or name each pair"
            )
        pairs += zip(mine, others, strict=True)
    return pairs


def is_attention(model: Any, name: str) -> bool:
    """Whether a layer has attention weights to be kept."""
    return isinstance(dict(model.named_sublayers())[name], MultiHeadAttention)


def present_rows(batch: Batch, layers: Sequence[str]) -> Tensor | None:
    """1 [B] for rows that have the fields whose encoders hold ``layers``, else 0; None where none is in an encoder."""
    fields = {name.split(".")[1] for name in layers if name.startswith("encoders.")}
    flags = [batch[f"has_{field}"].astype("float32") for field in sorted(fields)]
    if not flags:
        return None
    rows = flags[0]
    for more in flags[1:]:
        rows = rows * more
    return rows


def row_mean(values: Tensor, rows: Tensor | None) -> Tensor:
    """Mean of ``values`` [B] over the rows with weight 1; 0 where there is none."""
    if rows is None:
        return values.mean()
    return (values * rows).sum() / paddle.clip(rows.sum(), min=1.0)


def _matched(model: Any, pattern: str, whose: str) -> list[str]:
    names = [name for name, _ in model.named_sublayers()]
    wanted = re.compile(re.escape(pattern).replace(r"\*", "[^.]*"))
    found = [name for name in names if wanted.fullmatch(name)]
    if not found:
        near = (
            did_you_mean(pattern, names)
            if len(names) < 30
            else did_you_mean(pattern, [n for n in names if n.count(".") < 2])
        )
        raise CompressError(f"{whose} has no layer '{pattern}'{near}")
    return found


def _value(output: Any, name: str) -> Value:
    """Float32; of a tuple, such as a recurrent layer's, the first tensor."""
    if isinstance(output, Encoded):
        tokens = None if output.tokens is None else output.tokens.astype("float32")
        return Encoded(output.pooled.astype("float32"), tokens, output.token_mask)
    if isinstance(output, (tuple, list)) and output:
        return _value(output[0], name)
    if not isinstance(output, Tensor):
        raise CompressError(f"layer '{name}' gives a {type(output).__name__}; name one inside it that gives a tensor")
    return output.astype("float32")
