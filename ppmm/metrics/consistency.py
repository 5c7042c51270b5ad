"""Share of groups of rows that are right throughout."""

from __future__ import annotations

from typing import Any

import numpy as np

from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["Consistency"]


@METRICS.register("consistency")
class Consistency:
    """Share of groups in which every row is answered rightly (Suhr et al. 2019, NLVR2, section 5).

    A group is what one ``group`` key has in common: a sentence with all its pictures in NLVR2's definition, or all
    statements of one picture. One number is kept for each group.

    Args:
        target: batch key of the class ids, [B].
        group: batch key of the groups, [B] int64.
        logits: output key, [B,classes].
    """

    def __init__(self, target: str, group: str, logits: str = "logits") -> None:
        self.target, self.group, self.logits = target, group, logits
        self.reset()

    def reset(self) -> None:
        self._right: dict[int, bool] = {}

    def update(self, outputs: Outputs, batch: Batch) -> None:
        labels = np.asarray(batch[self.target]).reshape(-1)
        logits = np.asarray(outputs[self.logits])
        right = np.where(np.isnan(logits), -np.inf, logits).argmax(axis=-1) == labels
        for group, good in zip(np.asarray(batch[self.group]).reshape(-1).tolist(), right.tolist(), strict=True):
            self._right[group] = self._right.get(group, True) and good

    def compute(self) -> dict[str, float]:
        return {"consistency": sum(self._right.values()) / len(self._right) if self._right else float("nan")}

    def details(self) -> dict[str, Any]:
        counts = {"group": self.group, "groups": len(self._right), "right": sum(self._right.values())}
        return {"consistency": counts}
