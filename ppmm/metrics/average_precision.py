"""Precision over recall: average precision of each class and its mean."""

from __future__ import annotations

import numpy as np

from ppmm.metrics.class_scores import ClassCurve, ClassScores, Counts
from ppmm.registry import METRICS

__all__ = ["MeanAveragePrecision", "PrAuc"]


@METRICS.register("pr_auc")
class PrAuc(ClassScores):
    """Area under the precision-recall curve as average precision: the sum of (R_n - R_(n-1)) P_n over the thresholds.

    No interpolation, which would flatter (as scikit-learn's ``average_precision_score``). Binary, one class against the
    rest (unweighted mean), or of several labels (mean). Not defined for a class that no row has. Arguments as
    `ClassScores`.
    """

    name = "pr_auc"
    axes = ("recall", "precision")

    def curve(self, counts: Counts) -> ClassCurve | None:
        if counts.right[-1] == 0:
            return None
        recall = counts.right / counts.right[-1]
        precision = counts.right / (counts.right + counts.wrong)
        area = float((np.diff(recall, prepend=0.0) * precision).sum())
        return ClassCurve(area, np.append(0.0, recall), np.append(precision[0], precision))


@METRICS.register("mean_average_precision")
class MeanAveragePrecision(PrAuc):
    """mAP: the mean of the labels' average precisions, the usual figure where a row has several labels."""

    name = "mean_average_precision"
