"""How fields take augmentations: only those of their own kind, and with the sample rate where they count in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import AUGMENTATIONS
from ppmm.types import Augmentation

__all__ = ["apply_steps", "check_probability", "take_steps"]


def take_steps(
    steps: Sequence[Augmentation] | None, kind: str, argument: str, sample_rate: int | None = None
) -> list[Augmentation]:
    """The augmentations of one argument of a field, ready to be called.

    Args:
        steps: as the constructor got them.
        kind: what the argument augments: ``image``, ``waveform``, ``features``, ``text`` or ``tokens``. A step that
            states another ``kind`` is refused; one that states none (code of a plugin) is trusted.
        argument: name of the argument, for messages.
        sample_rate: of the field, Hz. A step with a method ``at_rate(rate)`` is replaced by what that returns.

    Raises:
        ConfigError: a step of another kind.
    """
    taken = []
    for step in steps or ():
        found = getattr(step, "kind", kind)
        if found != kind:
            name = AUGMENTATIONS.name_of(type(step))
            raise ConfigError(f"{argument}: '{name}' changes {found}, but {argument} of this field changes {kind}")
        bind = getattr(step, "at_rate", None)
        taken.append(step if bind is None or sample_rate is None else bind(sample_rate))
    return taken


def apply_steps(steps: Sequence[Augmentation], value: Any, rng: np.random.Generator | None) -> Any:
    """``value`` after every step in order; unchanged without a generator."""
    if rng is not None:
        for step in steps:
            value = step(value, rng)
    return value


def check_probability(name: str, value: float) -> float:
    """``value`` itself. Raises ConfigError when it is outside 0..1."""
    if not 0.0 <= value <= 1.0:
        raise ConfigError(f"{name}: {value} must be in 0..1")
    return value
