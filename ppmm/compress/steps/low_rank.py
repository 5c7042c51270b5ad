"""Matrices of linear layers, embeddings and convolutions as products of two narrow ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from paddle import nn

from ppmm.compress.context import Compressed, Context
from ppmm.compress.factors import decompose, output_error, rank_of_energy, saving_rank
from ppmm.compress.layer_patterns import chosen_layers
from ppmm.compress.promises import answers, check_gradients, presences
from ppmm.compress.second_moments import measure_moments
from ppmm.errors import CompressError, ConfigError
from ppmm.models.flops import count_flops
from ppmm.models.layers.low_rank import FACTORED, factored
from ppmm.models.layers.replace import replace_layer
from ppmm.registry import COMPRESSORS

__all__ = ["LowRankStep"]


@COMPRESSORS.register("low_rank")
class LowRankStep:
    """Factors each matrix W [in,out] into A [in,r] B [r,out] by its singular value decomposition, where that saves.

    A matrix stays as it is where r (in + out) would not be less than in * out; the report names it. Recurrent layers
    and grouped convolutions stay too. Nothing is trained: let ``finetune`` follow.

    Args:
        energy: share of the squared singular values that is kept, above 0 and below 1; 0.9 where rank is null too.
        rank: the rank of all matrices, instead of ``energy``.
        layers: patterns of the layers to factor, such as ``encoders.text.*``; all that can be when null.
        skip: patterns of layers that stay as they are.
        data_aware: approximate what the layers answer to real inputs rather than the matrices themselves.
        rows: rows of the training split for that.

    Raises ConfigError for values that make no sense, CompressError where nothing can be factored.
    """

    def __init__(
        self,
        energy: float | None = None,
        rank: int | None = None,
        layers: list[str] | None = None,
        skip: list[str] | None = None,
        data_aware: bool = False,
        rows: int = 256,
    ) -> None:
        if energy is not None and rank is not None:
            raise ConfigError("energy and rank: give one of them; energy chooses a rank for each matrix")
        if energy is not None and not 0 < energy < 1:
            raise ConfigError(f"energy must be above 0 and below 1, got {energy}; 0.9 keeps nine tenths")
        if rank is not None and rank < 1:
            raise ConfigError(f"rank must be at least 1, got {rank}")
        if rows < 1:
            raise ConfigError(f"rows must be at least 1, got {rows}")
        if layers is not None and not layers:
            raise ConfigError("layers: name layers, or leave it out for all that can be factored")
        self.energy = 0.9 if energy is None and rank is None else energy
        self.rank, self.layers, self.skip = rank, layers, skip or []
        self.data_aware, self.rows = data_aware, rows

    def apply(self, model: Any, context: Context) -> Compressed:
        """Factor ``model``; it is left as it was where that fails."""
        fitting, others = _sorted_out(model)
        chosen = chosen_layers(list(fitting), self.layers, self.skip, others)
        moments = {}
        if self.data_aware:
            context.say(f"low_rank: inputs of {len(chosen)} layers over {self.rows} rows")
            layers = {name: fitting[name] for name in chosen}
            moments = measure_moments(model, layers, context.batches("train", self.rows))
        before = _sizes(model, context.sample)
        done: list[dict[str, Any]] = []
        new: dict[str, Any] = {}
        for name in chosen:
            layer, found = self._factor(fitting[name], moments.get(name))
            if layer is None:
                others[name] = found["why"]
            else:
                new[name] = layer
                done.append({"layer": name, **found})
        if not new:
            raise CompressError(_nothing(chosen, others))
        transform = _carry_out(model, {name: fitting[name] for name in new}, new, context.sample)
        transform["args"] = {"ranks": {found["layer"]: found["rank"] for found in done}}
        after = _sizes(model, context.sample)
        context.say(f"low_rank: {len(done)} layers factored, {before[1]:,} -> {after[1]:,} parameters")
        report = {
            "flops": [before[0], after[0]], "parameters": [before[1], after[1]], "layers": done,
            "left": {name: others[name] for name in others if name in chosen or self.layers is None},
        }  # fmt: skip
        return Compressed([transform], report)

    def _factor(self, layer: Any, moments: np.ndarray | None) -> tuple[Any, dict[str, Any]]:
        """The factored layer and what to report of it; None and why where it would not save."""
        plain = layer.merged() if hasattr(layer, "merged") else layer
        weight = _matrix(plain)
        most = saving_rank(*weight.shape)
        parts = decompose(weight, moments)
        rank = rank_of_energy(parts.values, self.energy) if self.energy is not None else int(self.rank or 1)
        if rank > most:
            rows, columns = weight.shape
            return None, {"why": f"rank {rank} of {rows}x{columns} saves nothing (at most {most} would)"}
        new = factored(layer, rank)
        narrow, wide = parts.factors(rank)
        _fill(new, plain, narrow, wide)
        report = {
            "shape": list(weight.shape), "rank": rank,
            "parameters": [int(weight.size), rank * sum(weight.shape)],
            "error": output_error(weight, narrow @ wide, None),
            **({} if moments is None else {"output_error": output_error(weight, narrow @ wide, moments)}),
        }  # fmt: skip
        return new, report


def _sorted_out(model: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Layers that can be factored by name, and why each of the others that has a matrix cannot."""
    owners: dict[int, list[str]] = {}
    for name, layer in model.named_sublayers():
        for parameter in layer.parameters(include_sublayers=False):
            owners.setdefault(id(parameter), []).append(name)
    fitting, others = {}, {}
    for name, layer in model.named_sublayers():
        weights = [weight for weight in layer.parameters(include_sublayers=False) if weight.ndim > 1]
        if not weights:
            continue
        why = _why_not(layer)
        shared = {other for weight in weights for other in owners[id(weight)]} - {name}
        if shared and why is None:
            why = f"its weight is also that of {', '.join(sorted(shared))} (tied); it has one matrix for all of them"
        if why is None:
            fitting[name] = layer
        else:
            others[name] = why
    return fitting, others


def _why_not(layer: Any) -> str | None:
    """None where it can be factored."""
    plain = layer.merged() if hasattr(layer, "merged") else layer
    if isinstance(plain, nn.layer.rnn.RNNBase | nn.layer.rnn.RNNCellBase):
        return "recurrent layers have no factored form in Paddle's kernels"
    if type(plain) not in FACTORED:
        return f"{type(layer).__name__} has no factored form"
    if type(plain) is nn.Conv2D and (plain._groups != 1 or plain._padding_mode != "zeros"):
        return "a convolution with groups, or with padding other than zeros"
    return None


def _matrix(layer: Any) -> np.ndarray:
    """[in,out]; of a convolution [in*h*w,out]."""
    weight = layer.weight.numpy()
    return weight.reshape(len(weight), -1).T if isinstance(layer, nn.Conv2D) else weight


def _fill(new: Any, plain: Any, narrow: np.ndarray, wide: np.ndarray) -> None:
    """Both factors and the bias into a layer."""
    if isinstance(plain, nn.Conv2D):
        new.narrow.weight.set_value(narrow.T.reshape(new.narrow.weight.shape).astype("float32"))
        new.wide.weight.set_value(wide.T.reshape(new.wide.weight.shape).astype("float32"))
    else:
        new.narrow.weight.set_value(narrow.astype("float32"))
        new.wide.weight.set_value(wide.astype("float32"))
    if getattr(plain, "bias", None) is not None:
        new.wide.bias.set_value(plain.bias)


def _carry_out(model: Any, old: dict[str, Any], new: dict[str, Any], sample: Any) -> dict[str, Any]:
    """Replace layers; returns the transform, still without arguments. Raises CompressError; the model is then as it
    was."""
    state = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    for name in new:
        replace_layer(model, old[name], new[name])
    try:
        for found in answers(model, presences(sample)):
            if not all(np.isfinite(answer).all() for answer in found if answer.dtype.kind == "f"):
                raise CompressError("the factored model gives answers that are not finite")
        check_gradients(model, sample)
    except (CompressError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        for name in new:
            replace_layer(model, new[name], old[name])
        raise CompressError(f"the model does not run with factored layers ({', '.join(new)}): {error}") from error
    after = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    shapes = {name: shape for name, shape in after.items() if state.get(name) != shape}
    return {"name": "low_rank", "args": {}, "shapes": shapes}


def _sizes(model: Any, sample: Any) -> tuple[int, int]:
    """Multiply-adds of the sample, and parameters."""
    return count_flops(model, sample), sum(int(parameter.size) for parameter in model.parameters())


def _nothing(chosen: Sequence[str], others: dict[str, str]) -> str:
    reasons = [f"{name}: {others[name]}" for name in (chosen or others)][:3]
    advice = "lower energy or rank, or choose other layers" if chosen else "this model has no layer of that kind"
    return f"nothing is factored ({'; '.join(reasons) or 'no layer is chosen'}); {advice}"
