"""The YAML of a search space -> what each key may be."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ppmm.app.experiment import open_experiment
from ppmm.config import ConfigNode, load
from ppmm.config.interpolate import escape
from ppmm.config.node import Problem, plain, raise_problems, show
from ppmm.errors import ConfigError
from ppmm.registry import did_you_mean

__all__ = ["Dimension", "open_space", "override"]

KINDS = ("choice", "int", "log_int", "log_uniform", "uniform")
FIXED = ("hooks", "metrics", "name", "output", "plugins", "trainer.mode", "trainer.monitor", "data.val", "data.test")
"""Keys that every trial shares: figures of different ones could not be compared."""


@dataclass(frozen=True)
class Dimension:
    """One key.

    Args:
        kind: one of `KINDS`.
        values: the choices, or the lowest and the highest value, both included.
        step: between two integers of ``int``.
    """

    kind: str
    values: tuple[Any, ...]
    step: int = 1

    def suggest(self, trial: Any, key: str) -> Any:
        """A value by Optuna."""
        if self.kind == "choice":
            labels = {_label(value): value for value in self.values}
            return labels[trial.suggest_categorical(key, list(labels))]
        low, high = self.values
        if self.kind in ("int", "log_int"):
            return trial.suggest_int(key, low, high, step=self.step, log=self.kind == "log_int")
        return self.value_of(trial.suggest_float(key, low, high, log=self.kind == "log_uniform"))

    @property
    def is_log(self) -> bool:
        return self.kind in ("log_int", "log_uniform")

    def value_of(self, parameter: Any) -> Any:
        """What a parameter of a trial stands for; of other numbers than integers four digits are enough to type."""
        if self.kind in ("uniform", "log_uniform"):
            return min(max(float(f"{parameter:.4g}"), self.values[0]), self.values[1])
        if self.kind != "choice":
            return parameter
        return next(value for value in self.values if _label(value) == parameter)


def override(key: str, value: Any) -> str:
    """``key=value`` as ``-o`` reads it; JSON is YAML."""
    return f"{key}={escape(json.dumps(value, ensure_ascii=False))}"


def open_space(path: str, config: str, overrides: Sequence[str] = ()) -> dict[str, Dimension]:
    """Read a space and see that each of its values is one that the experiment accepts.

    Args:
        path: YAML: a dotted key of the experiment -> ``{log_uniform: [1e-4, 1e-2]}``, ``{uniform: [0, 1]}``,
            ``{int: [1, 8], step: 1}``, ``{log_int: [16, 512]}`` or ``{choice: [a, b, {name: c}]}``.
        config: YAML of the experiment.
        overrides: ``a.b.c=value`` for every trial.

    Raises:
        ConfigError: every problem, with its line.
    """
    node = load(path)
    open_experiment(config, overrides)  # its own mistakes come first
    problems: list[Problem] = []
    space: dict[str, Dimension] = {}
    for key, entry in node.items():
        found = list(_problems(key, entry, node))
        if not found:
            space[key] = _dimension(entry)
            found = list(_refused(key, space[key], node, config, overrides))
        problems.extend(found)
    raise_problems(problems)
    if not space:
        raise ConfigError(f"{path}: no key to tune; write optimizer.learning_rate: {{log_uniform: [1e-4, 1e-2]}}")
    return space


def _dimension(entry: ConfigNode) -> Dimension:
    kind = next(kind for kind in KINDS if kind in entry)
    return Dimension(kind, tuple(plain(entry[kind])), entry.get("step", 1))


def _problems(key: str, entry: Any, node: ConfigNode) -> Iterator[Problem]:
    """What is wrong with the form of one entry."""
    place = node.position(key)
    if key in FIXED or key.split(".")[0] in FIXED:
        yield Problem(place, key, "is the same for every trial; it cannot be tuned")
        return
    if not isinstance(entry, ConfigNode):
        yield Problem(place, key, f"expected a range such as {{uniform: [0, 1]}} or {{choice: [a, b]}}, {_got(entry)}")
        return
    for word in entry:
        if word not in (*KINDS, "step"):
            yield Problem(entry.position(word), f"{key}.{word}", f"no such range{did_you_mean(word, KINDS)}")
            return
    kinds = [kind for kind in KINDS if kind in entry]
    if len(kinds) != 1:
        yield Problem(
            place, key, f"needs one of {', '.join(KINDS)}, {'has ' + ' and '.join(kinds) if kinds else 'has none'}"
        )
        return
    step = entry.get("step", 1)
    if "step" in entry and (kinds[0] != "int" or type(step) is not int or step < 1):
        yield Problem(entry.position("step"), f"{key}.step", "is for 'int' only, and an integer of at least 1")
    wrong = _wrong_values(kinds[0], entry[kinds[0]])
    if wrong:
        yield Problem(entry.position(kinds[0]), f"{key}.{kinds[0]}", wrong)


def _wrong_values(kind: str, values: Any) -> str:
    """What is wrong with a list of choices or a pair of bounds; empty where nothing is."""
    if not isinstance(values, list):
        return f"expected a list, {_got(values)}"
    if kind == "choice":
        labels = [_label(value) for value in plain(values)]
        twice = next((label for label in labels if labels.count(label) > 1), None)
        if twice is not None:
            return f"{twice} is listed twice"
        return "" if len(values) > 1 else "needs at least two choices"
    number: tuple[type, ...] = (int,) if kind in ("int", "log_int") else (int, float)
    if len(values) != 2 or not all(type(value) in number and math.isfinite(value) for value in values):
        return f"expected [lowest, highest], two {'integers' if number == (int,) else 'numbers'}"
    low, high = values
    if not low < high:
        return f"the lowest, {low:g}, must be below the highest, {high:g}"
    if kind.startswith("log") and low <= 0:
        return f"a logarithm needs values above 0, got {low:g}"
    return ""


def _refused(
    key: str, dimension: Dimension, node: ConfigNode, config: str, overrides: Sequence[str]
) -> Iterator[Problem]:
    """What the experiment says to the values of one key."""
    for value in dimension.values:
        try:
            open_experiment(config, [*overrides, override(key, value)])
        except ConfigError as error:
            for problem in error.problems:
                text = problem.removeprefix(f"-o {key}").lstrip(": ")
                yield Problem(node.position(key), key, f"{config} refuses {show(value)}: {text}")
            return


def _label(value: Any) -> Any:
    """What Optuna keeps of a choice: scalars as they are, anything else as JSON."""
    return value if value is None or isinstance(value, bool | int | float | str) else json.dumps(value)


def _got(value: Any) -> str:
    return f"got {show(value)}"
