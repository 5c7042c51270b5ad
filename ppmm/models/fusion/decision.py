"""Averaging of decisions: a classifier per field (Kittler et al. 1998, "On Combining Classifiers", the sum rule)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.encoded import pooled_of
from ppmm.models.layers.field_projections import count_present
from ppmm.registry import FUSIONS
from ppmm.types import Encoded

__all__ = ["DecisionFusion"]

HIDDEN = -3e4
"""Added to the log probability of an absent field: it counts exactly nothing, and half precision can hold it."""


@FUSIONS.register("decision")
class DecisionFusion(nn.Layer):
    """h = log((1 / sum_k p_k) sum_k p_k softmax(W_k norm(x_k) + b_k)): the mean of the present fields' probabilities.

    The result is logits already: take the head ``identity``.

    Args:
        in_dims: size of each field's embedding.
        classes: size of the result.
        dropout: on the normalised embeddings.

    Inputs: encoded (pooled [B,D_k] is used), present {field: [B] bool}. Returns: [B,classes].
    """

    target_kinds = ("label",)
    """One of several classes: over a single number a softmax is constant, and several labels exclude one another."""

    def __init__(self, in_dims: dict[str, int], classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norms = nn.LayerDict({field: nn.LayerNorm(size) for field, size in in_dims.items()})
        self.classifiers = nn.LayerDict({field: nn.Linear(size, classes) for field, size in in_dims.items()})
        self.dropout = nn.Dropout(dropout)
        self.out_dim = classes

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        answers = []
        for field, classifier in self.classifiers.items():
            embed = self.dropout(self.norms[field](pooled_of(encoded[field], present[field])))
            hidden = (1.0 - present[field].astype(embed.dtype)) * HIDDEN
            answers.append(F.log_softmax(classifier(embed), axis=-1) + hidden.unsqueeze(-1))
        total = paddle.logsumexp(paddle.stack(answers, axis=1), axis=1)
        flags = {field: present[field] for field in self.classifiers}
        return total - paddle.log(count_present(flags, total))
