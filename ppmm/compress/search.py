"""Which share of each tower may go so that a target is met: a table of measured blocks predicts, real models decide.

The table has, for each tower and ratio, what pruning that tower alone saves and costs. Savings and costs of several
towers are taken to add up (as latency tables of architecture search do: Cai et al. 2019, "ProxylessNAS", section 3.3);
what is chosen is then built and measured, and the measurement corrects the prediction for the next one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ppmm.errors import CompressError, ConfigError
from ppmm.registry import did_you_mean

__all__ = ["Block", "Candidate", "Goal", "Outcome", "Plan", "pareto_front", "read_goals"]

Ratios = tuple[float, ...]
"""The share that goes of each tower, in the order of the plan's towers; 0 leaves one alone."""
MEASURES = {"latency": ("ms",), "speedup": ("x",), "size": ("x", "MB")}
"""What a target may be about, and in which units."""


@dataclass(frozen=True)
class Goal:
    """One target, such as ``latency=5ms``, ``speedup=4x``, ``size=8x`` or ``size=2MB``."""

    name: str
    value: float
    unit: str

    def limits(self, latency: float, size: float) -> tuple[float, float]:
        """The largest latency in ms and size in bytes that meet it, from those of the dense model."""
        infinite = float("inf")
        if self.name == "size":
            return infinite, size / self.value if self.unit == "x" else self.value * 1e6
        return (self.value if self.unit == "ms" else latency / self.value), infinite


def read_goals(texts: Sequence[str]) -> list[Goal]:
    """``["speedup=4x", "size=8x"]``. Raises ConfigError that says what can be asked for."""
    goals = []
    for text in texts:
        found = re.fullmatch(r"(\w+)=([0-9.eE+-]+)\s*(ms|x|MB)", text.strip())
        name = text.split("=")[0].strip()
        if name not in MEASURES:
            raise ConfigError(f"--target {text}: nothing to aim at is called '{name}'{did_you_mean(name, MEASURES)}")
        if found is None or found[3] not in MEASURES[name]:
            wanted = " or ".join(f"{name}=5{unit}" for unit in MEASURES[name])
            raise ConfigError(f"--target {text}: write {wanted}")
        try:
            value = float(found[2])
        except ValueError:
            value = -1.0
        if not 0 < value < float("inf") or (found[3] == "x" and value <= 1):
            least = "above 1" if found[3] == "x" else "above 0"
            raise ConfigError(f"--target {text}: the number must be {least}")
        goals.append(Goal(name, value, found[3]))
    if not goals:
        raise ConfigError("--target: name one, such as speedup=4x")
    return goals


@dataclass(frozen=True)
class Block:
    """One tower pruned alone: what it saves (ms, bytes) and what it costs (of the monitored figure)."""

    saved_ms: float
    saved_bytes: float
    drop: float


@dataclass(frozen=True)
class Candidate:
    """Ratios with what the table predicts for them."""

    ratios: Ratios
    latency: float
    size: float
    drop: float


@dataclass(frozen=True)
class Outcome:
    """A candidate that was built, trained and measured, in one precision."""

    ratios: Ratios
    precision: str
    latency: float
    size: float
    drop: float


@dataclass
class Plan:
    """What to build next.

    Args:
        towers: names, in the order of the ratios.
        table: {tower: {ratio: block}}; a tower that cannot be pruned has none.
        latency: of the dense model, ms.
        size: of the dense model, bytes.
        factors: {precision: (latency, size) as shares of those of float32}, measured on the dense model.

    Attributes:
        corrections: of the predicted latency by precision, from what was measured so far.
    """

    towers: list[str]
    table: Mapping[str, Mapping[float, Block]]
    latency: float
    size: float
    factors: Mapping[str, tuple[float, float]]
    corrections: dict[str, float] = field(default_factory=dict)

    def candidates(self) -> Iterator[Candidate]:
        """Every combination of ratios, in float32."""
        choices = [[0.0, *sorted(self.table.get(tower, {}))] for tower in self.towers]
        for ratios in itertools.product(*choices):
            blocks = [self.table[tower][ratio] for tower, ratio in zip(self.towers, ratios, strict=True) if ratio > 0]
            latency = max(self.latency - sum(block.saved_ms for block in blocks), 0.02 * self.latency)
            size = max(self.size - sum(block.saved_bytes for block in blocks), 0.0)
            yield Candidate(ratios, latency, size, sum(block.drop for block in blocks))

    def fits(self, candidate: Candidate, precision: str, max_latency: float, max_size: float) -> bool:
        """Whether it is predicted to meet both limits in a precision."""
        slower, larger = self.factors[precision]
        latency = candidate.latency * slower * self.corrections.get(precision, 1.0)
        return latency <= max_latency and candidate.size * larger <= max_size

    def next(self, max_latency: float, max_size: float, tried: Sequence[Ratios]) -> Candidate | None:
        """What is predicted to lose least among those that fit in some precision and are not tried; None without any.

        Among equals the smaller one, which costs nothing more.
        """
        fitting = [
            candidate
            for candidate in self.candidates()
            if candidate.ratios not in tried
            and any(self.fits(candidate, precision, max_latency, max_size) for precision in self.factors)
        ]
        return min(fitting, key=lambda one: (round(one.drop, 6), one.latency, one.size), default=None)

    def smallest(self, tried: Sequence[Ratios]) -> Candidate | None:
        """The fastest of those that are not tried, for a target that nothing is predicted to meet."""
        left = [candidate for candidate in self.candidates() if candidate.ratios not in tried]
        return min(left, key=lambda one: (one.latency, one.size), default=None)

    def learn(self, outcome: Outcome) -> None:
        """Correct the prediction by a measurement, half way, since it is noisy."""
        slower, _ = self.factors[outcome.precision]
        predicted = next(one.latency for one in self.candidates() if one.ratios == outcome.ratios) * slower
        known = self.corrections.get(outcome.precision)
        measured = outcome.latency / predicted
        self.corrections[outcome.precision] = measured if known is None else (known + measured) / 2


def pareto_front(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those of which no other is as fast, as small and loses as little, and is better in one of these; fastest first.

    Raises CompressError without any.
    """
    if not outcomes:
        raise CompressError("nothing was measured")
    front = [one for one in outcomes if not any(_beats(other, one) for other in outcomes)]
    return sorted(dict.fromkeys(front), key=lambda one: (one.latency, one.drop, one.size))


def _beats(one: Outcome, other: Outcome) -> bool:
    ours, theirs = (one.latency, one.size, one.drop), (other.latency, other.size, other.drop)
    return ours != theirs and all(a <= b for a, b in zip(ours, theirs, strict=True))
