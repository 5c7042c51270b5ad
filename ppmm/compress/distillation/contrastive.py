"""What a retrieval model finds like what, taken over from a teacher."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import paddle
from paddle import Tensor
from paddle.nn import functional as F

from ppmm.types import Batch, Outputs

__all__ = ["contrastive_loss", "shared_embeddings"]

HIDDEN = -1e4


def shared_embeddings(student: Outputs, teacher: Outputs) -> list[str]:
    """Fields F of which both models give ``F_embed``."""
    return [name.removesuffix("_embed") for name in student if name.endswith("_embed") and name in teacher]


def contrastive_loss(
    student: Outputs, teacher: Outputs, batch: Batch, fields: Sequence[str], temperature: float
) -> Tensor:
    """Mean over ordered pairs of fields a, b and rows i of KL(p^t_i || p^s_i), p^t_ij = softmax_j(t_a_i . t_b_j / tau).

    p^s is the same of the student. Contrastive relational distillation (Yang et al. 2024, CLIP-KD, CRD). t and s are
    ``F_embed`` [B,D] of teacher and student; their sizes may differ. A row without one of
    the two fields neither asks nor is found.
    """
    losses = []
    for first, second in permutations(fields, 2):
        rows = batch[f"has_{first}"].astype("float32")
        hidden = (1.0 - batch[f"has_{second}"].astype("float32")).unsqueeze(0) * HIDDEN
        rows = rows * batch[f"has_{second}"].astype("float32")
        wanted, got = (
            F.log_softmax(_similarities(outputs, first, second) / temperature + hidden, axis=-1)
            for outputs in (teacher, student)
        )
        gain = (wanted.exp() * (wanted - got)).sum(axis=-1)
        losses.append((gain * rows).sum() / paddle.clip(rows.sum(), min=1.0))
    return paddle.stack(losses).mean()


def _similarities(outputs: Outputs, first: str, second: str) -> Tensor:
    left, right = (outputs[f"{field}_embed"].astype("float32") for field in (first, second))
    return paddle.matmul(left, right, transpose_y=True)
