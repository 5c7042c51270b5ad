"""Mixup and CutMix: rows of a training batch are mixed with each other, and their labels become distributions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from ppmm.errors import ConfigError
from ppmm.registry import BATCH_AUGMENTATIONS
from ppmm.types import BatchAugmentation

__all__ = ["CutMix", "Mixup", "batch_generator", "mix_batch", "partners", "soft_targets"]

Arrays = dict[str, np.ndarray]
MIXUP_KINDS = ("image", "audio", "numeric")
BATCH_STREAM = 1
"""Keeps the draws of a batch apart from those of its rows, which are seeded by (seed, epoch, row)."""


def batch_generator(seed: int, keys: Sequence[tuple[int, int]] | np.ndarray) -> np.random.Generator:
    """The generator of one batch, from the run's seed and its (epoch, row) keys alone."""
    entropy = [seed, *np.asarray(keys, dtype=np.int64).reshape(-1).tolist()]
    return np.random.default_rng(np.random.SeedSequence(entropy, spawn_key=(BATCH_STREAM,)))


def mix_batch(
    batch: Arrays,
    mix: Sequence[BatchAugmentation],
    kinds: Mapping[str, str],
    classes: Mapping[str, int],
    rng: np.random.Generator,
) -> Arrays:
    """One of ``mix``, drawn with equal chance, applied to a batch.

    Args:
        batch: as collation gave it.
        mix: `Mixup`, `CutMix` ...
        kinds: kind of each field.
        classes: number of classes of each target that has classes.
        rng: of this batch.

    Returns:
        The batch with mixed fields and, for every target T in ``classes``, ``soft_T`` [B, classes] float32; ``T``
        itself stays each row's own label, so that metrics go on working.
    """
    chosen = mix[int(rng.integers(len(mix)))]
    mixed, partner, own = chosen(batch, kinds, rng)
    return {**mixed, **soft_targets(batch, classes, partner, own)}


def soft_targets(batch: Arrays, classes: Mapping[str, int], partner: np.ndarray, own: np.ndarray) -> Arrays:
    """``soft_T`` [B, classes] float32: ``own`` [B] of a row's label and the rest of that of its ``partner`` [B]."""
    soft = {}
    rows = np.arange(len(partner))
    for target, count in classes.items():
        labels = batch[target]
        shares = np.zeros((len(rows), count), dtype=np.float32)
        shares[rows, labels] = own
        shares[rows, labels[partner]] += 1.0 - own
        soft[f"soft_{target}"] = shares
    return soft


def partners(batch: Arrays, kinds: Collection[str], mixed: Collection[str], rng: np.random.Generator) -> np.ndarray:
    """For each row [B] the row to mix it with; itself where it must stay as it is.

    Labels may only be mixed where the whole input is. So a row that has a field outside ``mixed`` keeps to itself, and
    the others are shuffled among rows that have the same fields as they.

    Args:
        batch: with ``has_F`` of every field.
        kinds: the names of all fields.
        mixed: those that are mixed.
    """
    present = np.stack([batch[f"has_{field}"] for field in kinds], axis=1)
    fixed = present[:, [field not in mixed for field in kinds]].any(axis=1)
    partner = np.arange(len(present))
    for pattern in np.unique(present[~fixed], axis=0):
        rows = np.flatnonzero(~fixed & (present == pattern).all(axis=1))
        partner[rows] = rng.permutation(rows)
    return partner


@BATCH_AUGMENTATIONS.register("mixup")
class Mixup:
    """x = l x_i + (1 - l) x_j and y likewise, with one l ~ Beta(alpha, alpha) per batch (Zhang et al. 2018, mixup).

    Recordings of unequal length keep the mask of the longer one.

    Args:
        alpha: of the Beta distribution; the paper has 0.1 to 0.4 for ImageNet and 1 for CIFAR-10.
        probability: share of the batches that are mixed.
        fields: what to mix; None for every image, audio and numeric field. Rows that have others stay as they are.
    """

    def __init__(self, alpha: float = 0.2, probability: float = 1.0, fields: list[str] | None = None) -> None:
        _check(alpha, probability)
        self.alpha = alpha
        self.probability = probability
        self.fields = fields

    def __call__(
        self, batch: Arrays, kinds: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """The mixed batch, the partner of each row [B], and the weight of its own label [B]."""
        fields = _chosen(self.fields, kinds, MIXUP_KINDS, "mixup")
        share, draw = float(rng.beta(self.alpha, self.alpha)), rng.random()
        partner = partners(batch, kinds, fields, rng)
        if draw >= self.probability:
            partner = np.arange(len(partner))
        moved = partner != np.arange(len(partner))
        mixed = dict(batch)
        for field in fields:
            values = batch[field].copy()
            values[moved] = share * batch[field][moved] + (1.0 - share) * batch[field][partner[moved]]
            mixed[field] = values
            if f"{field}_mask" in batch:
                mixed[f"{field}_mask"] = batch[f"{field}_mask"] | batch[f"{field}_mask"][partner]
        return mixed, partner, np.where(moved, share, 1.0)


@BATCH_AUGMENTATIONS.register("cutmix")
class CutMix:
    """A rectangle of each image is that of another; labels are mixed by area (Yun et al. 2019, CutMix, section 3.1).

    With l ~ Beta(alpha, alpha) per batch, the sides are sqrt(1 - l) of the image's, the centre is uniform in the
    image, and what lies outside is cut off; the own label then weighs the share of pixels that are left.

    Args:
        alpha: of the Beta distribution; the paper has 1.
        probability: share of the batches that are mixed.
        fields: what to mix; None for every image field. Rows that have others stay as they are.
    """

    def __init__(self, alpha: float = 1.0, probability: float = 1.0, fields: list[str] | None = None) -> None:
        _check(alpha, probability)
        self.alpha = alpha
        self.probability = probability
        self.fields = fields

    def __call__(
        self, batch: Arrays, kinds: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[Arrays, np.ndarray, np.ndarray]:
        """The mixed batch, the partner of each row [B], and the weight of its own label [B]."""
        fields = _chosen(self.fields, kinds, ("image",), "cutmix")
        side, draw = float(np.sqrt(1.0 - rng.beta(self.alpha, self.alpha))), rng.random()
        centre = rng.random(2)
        partner = partners(batch, kinds, fields, rng)
        if draw >= self.probability:
            partner = np.arange(len(partner))
        moved = partner != np.arange(len(partner))
        mixed, left = dict(batch), []
        for field in fields:
            values = batch[field].copy()
            height, width = values.shape[-2:]
            (top, bottom), (start, stop) = _span(height, side, centre[0]), _span(width, side, centre[1])
            values[moved, :, top:bottom, start:stop] = batch[field][partner[moved], :, top:bottom, start:stop]
            mixed[field] = values
            left.append(1.0 - (bottom - top) * (stop - start) / (height * width))
        return mixed, partner, np.where(moved, float(np.mean(left)), 1.0)


def _span(length: int, side: float, centre: float) -> tuple[int, int]:
    """First and end pixel of a stretch of ``side`` x length around ``centre`` x length, cut at the borders."""
    cut, middle = int(length * side), int(length * centre)
    return max(0, middle - cut // 2), min(length, middle + cut // 2)


def _chosen(fields: list[str] | None, kinds: Mapping[str, str], able: Collection[str], name: str) -> list[str]:
    """The fields to mix. Raises ConfigError when one is missing or of a kind that cannot be mixed, or there is none."""
    for field in fields or ():
        if kinds.get(field) not in able:
            raise ConfigError(f"{name} cannot mix '{field}' ({kinds.get(field, 'no such field')}); it mixes "
                              f"{' and '.join(able)}")  # fmt: skip
    chosen = [field for field, kind in kinds.items() if kind in able] if fields is None else list(fields)
    if not chosen:
        raise ConfigError(f"{name} finds no field to mix; it mixes {' and '.join(able)}")
    return chosen


def _check(alpha: float, probability: float) -> None:
    if not 0 < alpha < math.inf:
        raise ConfigError(f"alpha: {alpha} must be positive and finite")
    if not 0.0 <= probability <= 1.0:
        raise ConfigError(f"probability: {probability} must be in 0..1")
