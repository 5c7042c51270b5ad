"""How well a class is ranked above the others: the area under the ROC curve."""

from __future__ import annotations

import numpy as np

from ppmm.metrics.class_scores import ClassCurve, ClassScores, Counts
from ppmm.registry import METRICS

__all__ = ["RocAuc"]


@METRICS.register("roc_auc")
class RocAuc(ClassScores):
    """Area under the ROC curve: binary, one class against the rest (unweighted mean), or of several labels (mean).

    It equals the share of pairs of a right and a wrong row that are ordered rightly, ties counting half (Fawcett
    2006). Not defined for a class that all rows have or none. Arguments as `ClassScores`.
    """

    name = "roc_auc"
    axes = ("false positive rate", "true positive rate")

    def curve(self, counts: Counts) -> ClassCurve | None:
        if counts.right[-1] == 0 or counts.wrong[-1] == 0:
            return None
        x = np.append(0.0, counts.wrong / counts.wrong[-1])
        y = np.append(0.0, counts.right / counts.right[-1])
        return ClassCurve(float(np.trapz(y, x)), x, y)
