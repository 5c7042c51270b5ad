"""Deep canonical correlation analysis: embeddings of two modalities vary together."""

from __future__ import annotations

import paddle
from paddle import Tensor

from ppmm.errors import ConfigError
from ppmm.objectives.pairs import named_pairs, pair_rows
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["DeepCCA"]


@OBJECTIVES.register("deep_cca")
class DeepCCA:
    """L = k - the sum of the k largest canonical correlations of two embeddings over the batch.

    With covariances S_11 + r I, S_22 + r I, S_12 of the rows that have both fields, the correlations are the singular
    values of T = (S_11 + r I)^(-1/2) S_12 (S_22 + r I)^(-1/2) (Andrew et al. 2013, section 3). With Cholesky factors
    L_1, L_2 in place of the symmetric roots, L_1^-1 S_12 L_2^-T has the same ones; and as the gradient of the sum of
    the k largest is U_k V_k^T, no gradient goes through a decomposition whose values may coincide: all are finite.

    A batch should have several times as many rows as the embeddings have dimensions; with fewer, everything correlates.

    Args:
        fields: their embeddings ``F_embed`` [B,D_F] are compared, as they are.
        pairs: which of them with which; None for every two.
        components: k; None for the smaller of the two dimensions.
        regularisation: r, on the scale of the embeddings' variances.

    Returns: ``loss``; ``A_B_correlation`` of each pair, the mean of the k correlations.
    """

    whole_batch = True
    least_rows = 2

    def __init__(
        self,
        fields: list[str],
        pairs: list[list[str]] | None = None,
        components: int | None = None,
        regularisation: float = 1e-3,
    ) -> None:
        if components is not None and components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        if not regularisation > 0:
            raise ValueError(f"regularisation must be above 0, got {regularisation}")
        self.pairs = named_pairs(fields, pairs)
        self.components, self.regularisation = components, regularisation

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        losses: list[Tensor] = []
        correlations: dict[str, Tensor] = {}
        for first, second in self.pairs:
            rows = pair_rows(batch, first, second)
            left, right = (_centred(outputs[f"{field}_embed"], rows) for field in (first, second))
            most = min(left.shape[1], right.shape[1])
            count = most if self.components is None else self.components
            if count > most:
                raise ConfigError(f"components: {count} is more than the {most} dimensions of {first} or {second}")
            total = self._correlation(left, right, rows, count).astype("float32")
            losses.append(count - total)
            correlations[f"{first}_{second}_correlation"] = total.detach() / count
        return {"loss": sum(losses) / len(losses), **correlations}

    def _correlation(self, left: Tensor, right: Tensor, rows: Tensor, count: int) -> Tensor:
        """The sum of the ``count`` largest canonical correlations of centred [B,D] and [B,E]."""
        scale = 1 / paddle.clip(rows.astype("float64").sum() - 1, min=1.0)
        across = paddle.matmul(left, right, transpose_x=True) * scale
        half = paddle.linalg.triangular_solve(self._root(left, scale), across, upper=False)
        matrix = paddle.linalg.triangular_solve(self._root(right, scale), half.transpose([1, 0]), upper=False)
        with paddle.no_grad():
            u, _, v = paddle.linalg.svd(matrix.detach(), full_matrices=False)
            directions = paddle.matmul(u[:, :count], v[:count])
        return (directions * matrix).sum()

    def _root(self, centred: Tensor, scale: Tensor) -> Tensor:
        """The Cholesky factor [D,D] of the regularised covariance."""
        covariance = paddle.matmul(centred, centred, transpose_x=True) * scale
        return paddle.linalg.cholesky(covariance + self.regularisation * paddle.eye(centred.shape[1], dtype="float64"))


def _centred(embed: Tensor, rows: Tensor) -> Tensor:
    """Float64 [B,D] less the mean of the ``rows`` [B]; zeros in the others, whatever stands there."""
    taking_part = rows.unsqueeze(-1)
    embed = embed.astype("float64")
    embed = paddle.where(taking_part, embed, paddle.zeros_like(embed))
    weight = taking_part.astype("float64")
    return (embed - embed.sum(axis=0) / paddle.clip(weight.sum(), min=1.0)) * weight
