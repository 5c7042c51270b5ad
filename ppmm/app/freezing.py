"""Whether anything is left to train, before training starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ppmm.config import ConfigNode
from ppmm.engine.freeze import Freeze
from ppmm.errors import ConfigError
from ppmm.types import Hook

__all__ = ["check_frozen"]


def check_frozen(config: ConfigNode, model: Any, hooks: Sequence[Hook]) -> set[str]:
    """See that some parameter of ``model`` learns, from the first epoch on; returns the names of those that do.

    Raises ConfigError when none does, a pattern of a ``freeze`` hook matches none, or what is to be set free later was
    traced as frozen.
    """
    trained = {name for name, parameter in model.named_parameters() if not parameter.stop_gradient}
    numbers = [number for number, node in enumerate(config.get("hooks", [])) if node["name"] == "freeze"]
    for number, hook in zip(numbers, [hook for hook in hooks if isinstance(hook, Freeze)], strict=True):
        try:
            trained -= set(hook.chosen(model))
        except ConfigError as error:
            raise ConfigError(f"{config['hooks'].place(number)} hooks[{number}] {error}") from error
        if hook.until is not None and config["trainer"].get("to_static"):
            raise ConfigError(
                f"{config['hooks'].place(number)} hooks[{number}].until: the traced graph of trainer.to_static stays "
                "as it began; train the frozen epochs in a run of their own, or leave out to_static"
            )
    if not trained:
        raise ConfigError(
            f"{config.place('model')} model: every parameter is frozen (by hooks, adapt or trainable: false), so that "
            "nothing would be learned; let one part train"
        )
    return trained
