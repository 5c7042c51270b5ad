"""Samples -> one batch of arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ppmm.types import Field, Sample, Target

__all__ = ["Collate"]


class Collate:
    """Stacks samples to the batch keys of `ppmm.types`; an absent field becomes zeros and ``has_F`` False."""

    def __init__(self, fields: Mapping[str, Field], targets: Mapping[str, Target]) -> None:
        self.fields = fields
        self.targets = targets

    def __call__(self, samples: Sequence[Sample]) -> dict[str, np.ndarray]:
        batch = {"index": np.stack([sample["index"] for sample in samples])}
        for name, field in self.fields.items():
            batch.update(field.collate(name, [sample.get(name) for sample in samples]))
        for name in self.targets:
            batch[name] = np.stack([sample[name] for sample in samples])
        return batch
