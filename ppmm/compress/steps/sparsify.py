"""Single weights become zero: unstructured or two of every four."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from paddle import nn

from ppmm.compress.context import Compressed, Context, Training
from ppmm.compress.layer_patterns import chosen_layers
from ppmm.compress.sparsity import compressibility, gradual, largest_half_of_four, magnitude_masks, sparsity_of
from ppmm.errors import CompressError, ConfigError
from ppmm.models.transforms.sparse import SPARSE, Sparse
from ppmm.registry import COMPRESSORS

__all__ = ["Sparsify"]

GAIN = (
    "neither Paddle Inference nor ONNX Runtime has CPU kernels that skip zeros: latency stays as it was, and so does "
    "the file until it is zipped; 2:4 pays on Ampere GPUs and later, in TensorRT"
)


@COMPRESSORS.register("sparsify")
class Sparsify:
    """Sets the smallest weights of linear layers and convolutions to zero, in rounds with training between.

    The zeros stay zero when training goes on, in later steps too. Nothing runs faster on a CPU by it, which the report
    says; it is for targets with kernels for sparse weights, and for smaller archives.

    Args:
        ratio: share of the weights that goes, above 0 and below 1; 0.5 with ``2:4``.
        pattern: ``unstructured``, or ``2:4``: of every four weights along the inputs the two smallest.
        ranking: ``global`` over all layers, or ``uniform``: the same share of each.
        rounds: the share grows in so many rounds, fast at first (Zhu and Gupta 2017), each of which is trained.
        layers: patterns of the layers; all when null.
        skip: patterns of layers that stay as they are.
        epochs: passes over the training split in each round; 0 trains nothing.
        max_steps: optimizer steps after which a round ends earlier.
        learning_rate: base rate; that of the config when null.
        set: other values of keys of the config, as with ``-o``.

    Raises ConfigError for values that make no sense, CompressError where no layer is left.
    """

    def __init__(
        self,
        ratio: float = 0.5,
        pattern: Literal["unstructured", "2:4"] = "unstructured",
        ranking: Literal["global", "uniform"] = "global",
        rounds: int = 1,
        layers: list[str] | None = None,
        skip: list[str] | None = None,
        epochs: int = 1,
        max_steps: int | None = None,
        learning_rate: float | None = None,
        set: dict[str, Any] | None = None,
    ) -> None:
        if not 0 < ratio < 1:
            raise ConfigError(f"ratio must be above 0 and below 1, got {ratio}; 0.5 sets half of the weights to zero")
        if pattern not in ("unstructured", "2:4"):
            raise ConfigError(f"pattern must be unstructured or 2:4, got '{pattern}'")
        if pattern == "2:4" and (ratio != 0.5 or rounds != 1):
            raise ConfigError(
                "pattern 2:4 sets exactly half of the weights to zero, at once: leave out ratio and rounds"
            )
        if ranking not in ("global", "uniform"):
            raise ConfigError(f"ranking must be global or uniform, got '{ranking}'")
        if rounds < 1:
            raise ConfigError(f"rounds must be at least 1, got {rounds}")
        if epochs < 0 or (epochs == 0 and rounds > 1):
            raise ConfigError(f"epochs must be at least {int(rounds > 1)}, got {epochs}")
        self.ratio, self.pattern, self.ranking, self.rounds = ratio, pattern, ranking, rounds
        self.layers, self.skip = layers, skip or []
        self.training = Training(epochs, max_steps, learning_rate, set)

    def apply(self, model: Any, context: Context) -> Compressed:
        """Set weights of ``model`` to zero and train the others."""
        found, others = _sorted_out(model)
        chosen = chosen_layers(list(found), self.layers, self.skip, others)
        left = {}
        if self.pattern == "2:4":
            left = {name: "its inputs are no multiple of four" for name in chosen if _half(found[name]) is None}
            chosen = [name for name in chosen if name not in left]
        if not chosen:
            raise CompressError(
                f"no layer can be made sparse: {left or others or 'there is no linear one or convolution'}"
            )
        record = {"name": "sparse", "args": {"layers": chosen}, "shapes": {}}
        Sparse(chosen)(model)
        layers = {name: found[name] for name in chosen}
        trained = []
        for ratio in gradual(self.ratio, self.rounds):
            self._cut(layers, ratio)
            context.say(f"sparsify: {_share(layers):.1%} of the weights of {len(layers)} layers are zero")
            if self.training.epochs:
                trained.append(context.train(model, self.training, [record]))
        arrays = {name: layer.weight.numpy() for name, layer in layers.items()}
        report = {
            "pattern": self.pattern, "sparsity": sparsity_of(arrays),
            "layers": {name: sparsity_of({name: array}) for name, array in arrays.items()},
            "left": left, "zipped": compressibility(arrays), "gain": GAIN, "training": trained,
        }  # fmt: skip
        context.say(f"sparsify: {GAIN}")
        return Compressed([record], report)

    def _cut(self, layers: dict[str, Any], ratio: float) -> None:
        weights = {name: layer.weight.numpy() for name, layer in layers.items()}
        if self.pattern == "2:4":
            masks = {name: mask for name, layer in layers.items() if (mask := _half(layer)) is not None}
        else:
            masks = dict(magnitude_masks(weights, ratio, self.ranking))
        for name, layer in layers.items():
            layer.weight.set_value(np.where(masks[name], weights[name], np.float32(0)))


def _sorted_out(model: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Layers that can be made sparse, and why others cannot."""
    found, others = {}, {}
    for name, layer in model.named_sublayers():
        if isinstance(layer, SPARSE):
            found[name] = layer
        elif not layer._sub_layers and layer.parameters():
            others[name] = f"it is a {type(layer).__name__}"
    return found, others


def _half(layer: Any) -> np.ndarray | None:
    """The mask of 2:4 along the inputs: axis 0 of a matrix [in,out], axis 1 of a filter [out,in,...]."""
    return largest_half_of_four(layer.weight.numpy(), 0 if isinstance(layer, nn.Linear) else 1)


def _share(layers: dict[str, Any]) -> float:
    return sparsity_of({name: layer.weight.numpy() for name, layer in layers.items()})
