"""Samples -> one batch of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ppmm.data.mixing import mix_batch
from ppmm.types import BatchAugmentation, Field, Sample, Target

__all__ = ["Collate"]


class Collate:
    """Stacks samples to the batch keys of `ppmm.types`; an absent field becomes zeros and ``has_F`` False.

    Args:
        fields: by name.
        targets: by name.
        mix: one of these mixes the rows of a training batch.
    """

    def __init__(
        self, fields: Mapping[str, Field], targets: Mapping[str, Target], mix: Sequence[BatchAugmentation] = ()
    ) -> None:
        self.fields = fields
        self.targets = targets
        self.mix = list(mix)

    def __call__(self, samples: Sequence[Sample], rng: np.random.Generator | None = None) -> dict[str, np.ndarray]:
        """One batch; mixed when there is a generator and something to mix with."""
        batch = {"index": np.stack([sample["index"] for sample in samples])}
        for name, field in self.fields.items():
            batch.update(field.collate(name, [sample.get(name) for sample in samples]))
        for name in self.targets:
            batch[name] = np.stack([sample[name] for sample in samples])
        if rng is None or not self.mix:
            return batch
        kinds = {name: field.kind for name, field in self.fields.items()}
        classes = {name: target.out_dim or 0 for name, target in self.targets.items() if target.kind == "label"}
        return mix_batch(batch, self.mix, kinds, classes, rng)
