"""Names in a YAML -> classes. One registry per kind of part; its package is imported at the first look-up."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ppmm import types
from ppmm.errors import ConfigError

__all__ = [
    "AUGMENTATIONS",
    "AVERAGES",
    "BATCH_AUGMENTATIONS",
    "COMPRESSORS",
    "DATASETS",
    "ENCODERS",
    "FIELDS",
    "FUSIONS",
    "GRADIENT_RULES",
    "HEADS",
    "HOOKS",
    "METRICS",
    "MODELS",
    "OBJECTIVES",
    "OPTIMIZERS",
    "REGISTRIES",
    "SAMPLERS",
    "SCHEDULES",
    "TARGETS",
    "TOKENIZERS",
    "TRANSFORMS",
    "TRUNKS",
    "Registry",
    "did_you_mean",
    "import_modules",
]

Class = TypeVar("Class", bound=type)


class Registry:
    """The classes of one kind of part, by name.

    Args:
        kind: what one entry is called in messages, such as ``encoder``.
        protocol: the Protocol of `ppmm.types` that annotates parameters of this kind.
        package: imported at the first look-up, so that its modules register themselves.
        injected: constructor arguments that the builder supplies when the YAML does not (sizes known from data).
        provides: sizes that a built part (or dict of parts) offers to the parts built after it in the same signature.
    """

    def __init__(
        self,
        kind: str,
        protocol: type,
        package: str,
        injected: Iterable[str] = (),
        provides: Callable[[Any], Mapping[str, Any]] | None = None,
    ) -> None:
        self.kind = kind
        self.protocol = protocol
        self.package = package
        self.injected = frozenset(injected)
        self.provides = provides
        self._classes: dict[str, type] = {}

    def register(self, name: str) -> Callable[[Class], Class]:
        """Class decorator. Raises ValueError when the name is taken."""

        def add(cls: Class) -> Class:
            if name in self._classes:
                raise ValueError(f"{self.kind} '{name}' is registered twice: {self._classes[name]} and {cls}")
            self._classes[name] = cls
            return cls

        return add

    def get(self, name: str) -> type:
        """The class of ``name``. Raises ConfigError naming what is near."""
        importlib.import_module(self.package)
        if name not in self._classes:
            raise ConfigError(f"no {self.kind} named '{name}'{did_you_mean(name, self._classes)}")
        return self._classes[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        importlib.import_module(self.package)
        return sorted(self._classes)

    def name_of(self, cls: type) -> str:
        """The name under which ``cls`` is registered. Raises ConfigError."""
        for name, registered in self._classes.items():
            if registered is cls:
                return name
        raise ConfigError(f"{cls.__module__}.{cls.__qualname__} is not a registered {self.kind}")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'dim'?`` or the list of what there is, ready to be appended to a message."""
    choices = sorted(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; there is {', '.join(choices)}" if choices else ""


def import_modules(package: str, path: Iterable[str]) -> None:
    """Import every module of a plugin package, so that adding a part is adding a file."""
    for module in sorted(found.name for found in pkgutil.iter_modules(path)):
        importlib.import_module(f"{package}.{module}")


FIELDS = Registry("field", types.Field, "ppmm.modalities")
TOKENIZERS = Registry("tokenizer", types.Tokenizer, "ppmm.modalities")
AUGMENTATIONS = Registry("augmentation", types.Augmentation, "ppmm.modalities")
BATCH_AUGMENTATIONS = Registry("batch augmentation", types.BatchAugmentation, "ppmm.data.mixing")
TARGETS = Registry("target", types.Target, "ppmm.modalities")
DATASETS = Registry("dataset", types.Dataset, "ppmm.data.datasets", injected=("file_fields",))
SAMPLERS = Registry("sampler", types.Sampler, "ppmm.data.samplers")
ENCODERS = Registry(
    "encoder",
    types.Encoder,
    "ppmm.models",
    injected=("in_channels", "vocab_size", "in_features", "missing", "settings"),
    provides=lambda encoders: {"in_dims": {field: part.out_dim for field, part in encoders.items()}},
)
TRUNKS = Registry(
    "trunk",
    types.Trunk,
    "ppmm.models",
    injected=("in_dims",),
    provides=lambda trunk: {"in_dims": dict(trunk.out_dims)},
)
FUSIONS = Registry(
    "fusion",
    types.Fusion,
    "ppmm.models",
    injected=("in_dims", "classes"),
    provides=lambda fusion: {"in_dim": fusion.out_dim},
)
HEADS = Registry("head", types.Head, "ppmm.models", injected=("in_dim", "classes"))
MODELS = Registry("model", types.Model, "ppmm.models")
OBJECTIVES = Registry("objective", types.Objective, "ppmm.objectives", injected=("class_counts", "train_rows"))
METRICS = Registry("metric", types.Metric, "ppmm.metrics", injected=("labels", "thresholds"))
OPTIMIZERS = Registry("optimizer", types.Optimizer, "ppmm.optim")
SCHEDULES = Registry("schedule", types.Schedule, "ppmm.optim")
GRADIENT_RULES = Registry("gradient rule", types.GradientRule, "ppmm.optim", injected=("target",))
AVERAGES = Registry("average", types.Average, "ppmm.optim")
TRANSFORMS = Registry("transform", types.Transform, "ppmm.models")
COMPRESSORS = Registry("compression step", types.Compressor, "ppmm.compress.steps")
HOOKS = Registry("hook", types.Hook, "ppmm.engine")

REGISTRIES: dict[type, Registry] = {
    registry.protocol: registry
    for registry in (
        FIELDS, TOKENIZERS, AUGMENTATIONS, BATCH_AUGMENTATIONS, TARGETS, DATASETS, SAMPLERS, ENCODERS, TRUNKS, FUSIONS,
        HEADS, MODELS, OBJECTIVES, METRICS, OPTIMIZERS, SCHEDULES, GRADIENT_RULES, AVERAGES,
        TRANSFORMS, COMPRESSORS, HOOKS,
    )
}  # fmt: skip
"""Protocol -> registry: how `ppmm.config` finds the registry of a parameter from its annotation."""
