"""Small parts in private registries, so that the config is tested without Paddle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import pytest

from ppmm import types
from ppmm.errors import ConfigError
from ppmm.registry import REGISTRIES, Registry

if TYPE_CHECKING:
    from nowhere import Tensor


class _Recorded:
    """Remembers its arguments; ``made`` counts the instances of all parts."""

    made = 0

    def _record(self, **arguments: Any) -> None:
        _Recorded.made += 1
        self.arguments = arguments


class Shift(_Recorded):
    def __init__(self, pixels: int, chance: float = 0.5) -> None:
        if pixels < 0:
            raise ValueError("pixels must be 0 or more")
        self._record(pixels=pixels, chance=chance)


class Probe(_Recorded):
    """One argument of each type."""

    def __init__(
        self,
        whole: int = 0,
        real: float = 0.0,
        flag: bool = False,
        text: str = "",
        path: Path | None = None,
        mode: Literal["max", "min"] = "max",
        numbers: list[int] = (),  # type: ignore[assignment]
        pair: tuple[int, int] = (0, 0),
        row: tuple[float, ...] = (),
        rates: dict[str, float] | float = 0.0,
        label: str | int = "",
        either: float | int = 0,
        anything: Any = None,
        inner: types.Augmentation | None = None,
        hidden: Tensor | None = None,
        untyped=None,  # type: ignore[no-untyped-def]
    ) -> None:
        self._record(**{key: value for key, value in locals().items() if key not in ("self", "__class__")})


class Open(_Recorded):
    def __init__(self, size: int = 1, **options: float) -> None:
        self._record(size=size, **options)


class NoArguments(types.Augmentation):
    """No constructor of its own; Protocol's accepts anything in its signature."""


class Manifest(_Recorded):
    def __init__(self, path: Path, columns: Mapping[str, str], rows: int | None = None) -> None:
        self._record(path=path, columns=columns, rows=rows)


class ImageField(_Recorded):
    def __init__(self, size: tuple[int, int] = (8, 8), augment: Sequence[types.Augmentation] = ()) -> None:
        self._record(size=size, augment=augment)


class Label(_Recorded):
    def __init__(self, classes: Sequence[str | int]) -> None:
        self._record(classes=classes)


class ResNetSmall(_Recorded):
    def __init__(self, in_channels: int, width: int = 16) -> None:
        self.out_dim = 2 * width
        self._record(in_channels=in_channels, width=width)


class BiLstm(_Recorded):
    def __init__(self, vocab_size: int, dim: int) -> None:
        self.out_dim = dim
        self._record(vocab_size=vocab_size, dim=dim)


class Gated(_Recorded):
    def __init__(self, in_dims: Mapping[str, int], dim: int, gates: int = 1) -> None:
        self.out_dim = dim
        self._record(in_dims=in_dims, dim=dim, gates=gates)


class Concat(_Recorded):
    def __init__(self, in_dims: Mapping[str, int]) -> None:
        self.out_dim = sum(in_dims.values())
        self._record(in_dims=in_dims)


class Mlp(_Recorded):
    def __init__(self, in_dim: int, classes: int, hidden: int = 4) -> None:
        self._record(in_dim=in_dim, classes=classes, hidden=hidden)


class LateFusion(_Recorded):
    def __init__(self, encoders: Mapping[str, types.Encoder], fusion: types.Fusion, head: types.Head) -> None:
        self._record(encoders=encoders, fusion=fusion, head=head)


class CrossEntropy(_Recorded):
    def __init__(self, target: str, label_smoothing: float = 0.0, class_counts: Sequence[int] | None = None) -> None:
        self._record(target=target, label_smoothing=label_smoothing, class_counts=class_counts)


class Accuracy(_Recorded):
    def __init__(self, target: str) -> None:
        self._record(target=target)


class AdamW(_Recorded):
    def __init__(self, learning_rate: float, weight_decay: float = 0.0) -> None:
        self._record(learning_rate=learning_rate, weight_decay=weight_decay)


class Constant(_Recorded):
    def __init__(self) -> None:
        self._record()


class EarlyStopping(_Recorded):
    def __init__(self, patience: int = 3) -> None:
        self._record(patience=patience)


_PARTS: tuple[tuple[str, type, dict[str, type]], ...] = (
    ("augmentation", types.Augmentation, {"shift": Shift, "probe": Probe, "open": Open, "none": NoArguments}),
    ("dataset", types.Dataset, {"manifest": Manifest}),
    ("field", types.Field, {"image": ImageField}),
    ("target", types.Target, {"label": Label}),
    ("encoder", types.Encoder, {"resnet_small": ResNetSmall, "bilstm": BiLstm}),
    ("fusion", types.Fusion, {"gated": Gated, "concat": Concat}),
    ("head", types.Head, {"mlp": Mlp}),
    ("model", types.Model, {"late_fusion": LateFusion}),
    ("objective", types.Objective, {"cross_entropy": CrossEntropy}),
    ("metric", types.Metric, {"accuracy": Accuracy}),
    ("optimizer", types.Optimizer, {"adamw": AdamW}),
    ("schedule", types.Schedule, {"constant": Constant}),
    ("hook", types.Hook, {"early_stopping": EarlyStopping}),
)


def _registry(kind: str, protocol: type, classes: Mapping[str, type]) -> Registry:
    injected = {
        "encoder": ("in_channels", "vocab_size"),
        "fusion": ("in_dims",),
        "head": ("in_dim", "classes"),
        "objective": ("class_counts",),
    }
    provides = {
        "encoder": lambda parts: {"in_dims": {key: part.out_dim for key, part in parts.items()}},
        "fusion": lambda part: {"in_dim": part.out_dim},
    }
    registry = Registry(kind, protocol, "ppmm.config", injected.get(kind, ()), provides.get(kind))
    for name, cls in classes.items():
        registry.register(name)(cls)
    return registry


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Registers the parts above for the protocols of ppmm.types; gives the classes by name, and ``made()``."""
    monkeypatch.setattr(_Recorded, "made", 0)
    classes: dict[str, type] = {}
    for kind, protocol, named in _PARTS:
        monkeypatch.setitem(REGISTRIES, protocol, _registry(kind, protocol, named))
        classes.update(named)
    return SimpleNamespace(**classes, made=lambda: _Recorded.made)


@pytest.fixture
def problems() -> Callable[[Callable[[], Any]], list[str]]:
    """Gives a function: call this, expect a ConfigError, and return its lines."""

    def lines(call: Callable[[], Any]) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            call()
        return caught.value.problems

    return lines
