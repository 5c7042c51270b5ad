"""Parts of a model that do not learn, for some epochs or for good."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from ppmm.engine.hooks import HookBase
from ppmm.errors import ConfigError
from ppmm.registry import HOOKS

__all__ = ["Freeze"]


@HOOKS.register("freeze")
class Freeze(HookBase):
    """Keeps parameters as they are: no gradient, no update, no weight decay, no state of the optimizer.

    Which epoch it is decides, so that a resumed run needs no state. When they are set free, their state of the
    optimizer begins anew. What is frozen for another reason (LoRA, ``trainable: false``) stays so.

    Args:
        match: patterns of parameters' or layers' names, such as ``"encoders.text.*"``; each must match a parameter.
        until: epochs after which they are trained; null never.
        eval_mode: whether layers that are matched, or all of whose parameters are, also compute as in evaluation:
            batch norms keep their statistics, and dropout is off.
    """

    def __init__(self, match: list[str], until: int | None = None, eval_mode: bool = True) -> None:
        if not match:
            raise ValueError('match must name parameters, such as ["encoders.text.*"]')
        if until is not None and until < 1:
            raise ValueError(f"until must be at least 1 epoch, got {until}")
        self.match, self.until, self.eval_mode = list(match), until, eval_mode
        self.frozen: list[Any] = []
        self.resting: list[Any] = []

    def chosen(self, model: Any) -> dict[str, Any]:
        """The trained parameters that it freezes, by name. Raises ConfigError for a pattern that matches none."""
        named = dict(model.named_parameters())
        for pattern in self.match:
            if not any(_matches(name, pattern) for name in named):
                some = ", ".join(list(named)[:5])
                raise ConfigError(f"freeze: no parameter matches '{pattern}'; there are {some}, ...")
        return {
            name: parameter for name, parameter in named.items() if not parameter.stop_gradient and self._names(name)
        }

    def on_start(self, trainer: Any) -> None:
        if self._over(trainer):
            return
        model = trainer.step.model
        self.frozen = list(self.chosen(model).values())
        for parameter in self.frozen:
            parameter.stop_gradient = True
        if self.eval_mode:
            self.resting = [layer for name, layer in model.named_sublayers() if self._rests(name, layer)]
            trainer.step.resting += self.resting

    def on_epoch(self, trainer: Any) -> None:
        if self.frozen and self._over(trainer):
            for parameter in self.frozen:
                parameter.stop_gradient = False
            for layer in self.resting:
                layer.train()
            ours = {id(layer) for layer in self.resting}
            trainer.step.resting = [layer for layer in trainer.step.resting if id(layer) not in ours]
            self.frozen, self.resting = [], []

    def _rests(self, name: str, layer: Any) -> bool:
        """Whether a layer, or all parameters that it has, are matched."""
        inside = [f"{name}.{parameter}" for parameter, _ in layer.named_parameters()]
        return self._names(name) or (bool(inside) and all(self._names(parameter) for parameter in inside))

    def _names(self, name: str) -> bool:
        return any(_matches(name, pattern) for pattern in self.match)

    def _over(self, trainer: Any) -> bool:
        return self.until is not None and bool(trainer.state.epoch >= self.until)


def _matches(name: str, pattern: str) -> bool:
    """Whether a pattern names a parameter or layer, or a layer that it is in."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")
