"""Weights, gradients and updates of every parameter, at chosen steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["ParameterReading", "ParameterWatch"]


class ParameterReading(NamedTuple):
    """One parameter at one step: ``weight`` after it, ``gradient`` (None where there was none) and ``update_ratio``,
    the norm of the step's change over that of the weight before it (None where that was zero)."""

    name: str
    weight: np.ndarray
    gradient: np.ndarray | None
    update_ratio: float | None


class ParameterWatch:
    """Reads what a step did to each parameter.

    Gradients are cleared before a hook sees the step, so that they are collected by gradient hooks of the tensors,
    which are set before a step that is wanted and removed after it: other steps cost nothing. Several backward passes
    of a step (accumulation, SAM) add up; with float16 they are as scaled as the loss.

    Args:
        parameters: by structured name.
    """

    def __init__(self, parameters: Sequence[tuple[str, Any]]) -> None:
        self.parameters = [(name, parameter) for name, parameter in parameters if not parameter.stop_gradient]
        self._before: dict[str, np.ndarray] = {}
        self._gradients: dict[str, np.ndarray] = {}
        self._handles: list[Any] = []

    def arm(self) -> None:
        """Watch the next step."""
        self.disarm()
        for name, parameter in self.parameters:
            self._before[name] = _array(parameter)
            self._handles.append(parameter.register_hook(self._collector(name)))

    def disarm(self) -> None:
        """Watch no longer."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._before, self._gradients = [], {}, {}

    def read(self) -> list[ParameterReading]:
        """What the watched step did; nothing when none was watched."""
        found = []
        for name, parameter in self.parameters:
            if name not in self._before:
                continue
            weight, before = _array(parameter), self._before[name]
            norm = float(np.linalg.norm(before))
            ratio = float(np.linalg.norm(weight - before)) / norm if norm > 0 else None
            found.append(ParameterReading(name, weight, self._gradients.get(name), ratio))
        self.disarm()
        return found

    def _collector(self, name: str) -> Any:
        def collect(gradient: Any) -> None:
            known = self._gradients.get(name)
            self._gradients[name] = _array(gradient) if known is None else known + _array(gradient)

        return collect


def _array(tensor: Any) -> np.ndarray:
    """float32, also of a bfloat16 tensor, which NumPy does not have."""
    array: np.ndarray = tensor.detach().astype("float32").numpy()
    return array.copy()
