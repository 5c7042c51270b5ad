"""Parameter groups: the learning rate and the weight decay of each parameter, by patterns of names and by depth."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import NamedTuple

from paddle import Tensor

from ppmm.optim.layer_depth import layer_rates

__all__ = ["OTHERS", "ParameterGroup", "ParameterRules", "Treatment", "decayed"]

OBJECTIVE = "objective."
"""Before the names of what an objective learns."""
OTHERS = "all others"
"""Label of the parameters that no group matches."""
Named = Sequence[tuple[str, Tensor]]


@dataclass(frozen=True)
class ParameterGroup:
    """What is different for the parameters whose name matches; see the names with ``tools/check.py``.

    Args:
        match: a pattern such as ``"encoders.text.*"``; the first group that matches a parameter counts.
        rate: factor on the learning rate.
        decay: weight decay in place of the optimizer's, for those of them that decay at all (matrices and kernels that
            ``no_decay`` does not list); null keeps the optimizer's.
    """

    match: str
    rate: float = 1.0
    decay: float | None = None

    def __post_init__(self) -> None:
        if not self.match.strip():
            raise ValueError('match must not be empty; "*" matches every parameter')
        if not 0 < self.rate < math.inf:
            raise ValueError(
                f"rate must be above 0 and finite, got {self.rate}; the hook freeze keeps weights as they are"
            )
        if self.decay is not None and not 0 <= self.decay < math.inf:
            raise ValueError(f"decay must not be negative, got {self.decay}")


class Treatment(NamedTuple):
    """How one parameter is trained: factor on the rate, weight decay, and the pattern that says so."""

    rate: float
    decay: float
    label: str


def decayed(name: str, parameter: Tensor, no_decay: Sequence[str] = ()) -> bool:
    """Whether weight decay is for a parameter: it is for matrices and kernels of the model.

    Biases and norm scales, which have one axis, are left alone, and so are what an objective learns (a temperature
    that decays goes to 1) and names that match a pattern of ``no_decay``.
    """
    listed = any(fnmatchcase(name, pattern) for pattern in no_decay)
    return len(parameter.shape) > 1 and not name.startswith(OBJECTIVE) and not listed


class ParameterRules:
    """What optimizers have in common: decay, groups and layer-wise rates.

    Args:
        weight_decay: of what decays and is in no group with a decay of its own.
        no_decay: patterns of further parameters without weight decay.
        groups: see `ParameterGroup`.
        layer_decay: see `ppmm.optim.layer_depth`; multiplies the rate of the group. None leaves it out.
    """

    def __init__(
        self,
        weight_decay: float,
        no_decay: Sequence[str] | None = None,
        groups: Sequence[ParameterGroup] | None = None,
        layer_decay: float | None = None,
    ) -> None:
        if not 0 <= weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative, got {weight_decay}")
        if layer_decay is not None and not 0 < layer_decay <= 1:
            raise ValueError(f"layer_decay must be above 0 and at most 1, got {layer_decay}")
        self.weight_decay = weight_decay
        self.no_decay = list(no_decay or [])
        self.groups = list(groups or [])
        self.layer_decay = layer_decay

    def treatments(self, named_parameters: Named) -> dict[str, Treatment]:
        """The treatment of each parameter, by structured name.

        Raises ValueError for a pattern that matches nothing, nothing that earlier groups have left, or only parameters
        that are not trained, and for a decay of parameters that do not decay.
        """
        for pattern in self.no_decay:
            _matching(pattern, named_parameters, "no_decay")
        numbers = self._numbers(named_parameters)
        layers = {} if self.layer_decay is None else layer_rates(named_parameters, self.layer_decay)
        treatments = {}
        for name, parameter in named_parameters:
            group = self.groups[numbers[name]] if name in numbers else ParameterGroup(OTHERS)
            decay = self.weight_decay if group.decay is None else group.decay
            decays = decayed(name, parameter, self.no_decay)
            treatments[name] = Treatment(group.rate * layers.get(name, 1.0), decay if decays else 0.0, group.match)
        return treatments

    def apply(self, named_parameters: Named) -> dict[str, Treatment]:
        """Tell Paddle the factor on the rate of each parameter, which stays with it; returns `treatments`."""
        treatments = self.treatments(named_parameters)
        for name, parameter in named_parameters:
            parameter.optimize_attr = {**parameter.optimize_attr, "learning_rate": treatments[name].rate}
        return treatments

    def _numbers(self, named_parameters: Named) -> dict[str, int]:
        """The number of the group of each parameter that is in one."""
        numbers: dict[str, int] = {}
        for number, group in enumerate(self.groups):
            key = f"groups.{number}.match"
            found = _matching(group.match, named_parameters, key)
            if all(parameter.stop_gradient for _, parameter in found):
                raise ValueError(f"{key}: every parameter that '{group.match}' matches is frozen; remove the group")
            own = [(name, parameter) for name, parameter in found if name not in numbers]
            if not own:
                taken = sorted({numbers[name] for name, _ in found})
                others = ", ".join(f"groups.{other} '{self.groups[other].match}'" for other in taken)
                raise ValueError(
                    f"{key}: the first group that matches counts, and {others} before it already has all that "
                    f"'{group.match}' matches; put the narrower pattern first"
                )
            if group.decay and not any(decayed(name, parameter, self.no_decay) for name, parameter in own):
                raise ValueError(
                    f"groups.{number}.decay: nothing in '{group.match}' has weight decay, which is for matrices and "
                    "kernels of the model that no_decay does not list; remove decay"
                )
            numbers.update(dict.fromkeys((name for name, _ in own), number))
        return numbers


def _matching(pattern: str, named_parameters: Named, key: str) -> list[tuple[str, Tensor]]:
    """The parameters that a pattern matches. Raises ValueError that names what is near when there are none."""
    found = [(name, parameter) for name, parameter in named_parameters if fnmatchcase(name, pattern)]
    if not found:
        names = [name for name, _ in named_parameters]
        parents = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
        near = [
            f"{parent}.*" for parent in difflib.get_close_matches(pattern.rstrip("*").rstrip("."), sorted(parents), 2)
        ]
        near += difflib.get_close_matches(pattern, names, 1)
        advice = (
            f"did you mean {' or '.join(repr(name) for name in near)}?"
            if near
            else f"there are {', '.join(names[:5])}, ..."
        )
        raise ValueError(f"{key}: no parameter matches '{pattern}'; {advice}")
    return found
