"""Image-text matching with hard negatives: does this picture go with this text, or this speech with that caption?"""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.objectives.pairs import named_pairs, pair_rows, positive_pairs, similarities
from ppmm.registry import OBJECTIVES
from ppmm.types import Batch, Outputs

__all__ = ["ImageTextMatching"]

NEVER = -1e9


@OBJECTIVES.register("image_text_matching")
class ImageTextMatching(nn.Layer):
    """Binary cross entropy of each pair and of two negatives to it: a wrong text, and a wrong picture.

    The model answers for every combination of rows, ``A_B_match`` [B,B] (see `PairMatching`): 0 and above says that
    row i's A and row j's B go together. Negatives are drawn where the embeddings are close: for row i an other one j
    that does not belong to it with probability proportional to exp(c_ij / temperature), c_ij their cosine (Li et al.
    2021, ALBEF, section 3.2); in evaluation the closest one. No gradient goes through the choice. It is meant to stand
    beside a contrastive objective in a ``weighted_sum``. Of more than two fields each pair has negatives of its own:
    image and text, image and speech, text and speech.

    Args:
        fields: their embeddings ``F_embed`` [B,D] tell what is hard.
        pairs: which of them with which; None for every two.
        positives: targets (keys); rows in which any of them is equal are no negatives of one another.
        temperature: of the draw; low ones take the hardest.

    Returns: ``loss``; ``match_accuracy``, the share of the pairs and negatives that are told apart rightly; both are
    means over the pairs of fields. With several of them also ``A_B_match_accuracy`` of each.

    Attributes:
        reads: outputs that the model must give.
    """

    def __init__(
        self,
        fields: list[str],
        pairs: list[list[str]] | None = None,
        positives: list[str] | None = None,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be above 0, got {temperature}")
        self.pairs = named_pairs(fields, pairs)
        self.reads = [f"{first}_{second}_match" for first, second in self.pairs]
        self.positives, self.temperature = list(positives or []), temperature

    def forward(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]:
        found = [self._of_pair(outputs, batch, first, second) for first, second in self.pairs]
        loss, right = (sum(parts) / len(parts) for parts in zip(*found, strict=True))
        each = {f"{name}_accuracy": part for name, (_, part) in zip(self.reads, found, strict=True)}
        return {"loss": loss, "match_accuracy": right, **(each if len(each) > 1 else {})}

    def _of_pair(self, outputs: Outputs, batch: Batch, first: str, second: str) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of one pair of fields."""
        rows = pair_rows(batch, first, second)
        inside = rows.unsqueeze(0).logical_and(rows.unsqueeze(1))
        match = outputs[f"{first}_{second}_match"].astype("float32")
        match = paddle.where(inside, match, paddle.zeros_like(match))
        negative = inside.logical_and(positive_pairs(batch, self.positives, rows).logical_not())
        cosines = similarities(outputs, first, second, rows).detach()
        counts = rows.astype("float32")
        losses, right, weights = -F.log_sigmoid(paddle.diagonal(match)), paddle.diagonal(match) >= 0, counts
        total, hits = (losses * counts).sum(), (right.astype("float32") * counts).sum()
        for logits, close, able in (
            (match, cosines, negative),
            (match.transpose([1, 0]), cosines.transpose([1, 0]), negative.transpose([1, 0])),
        ):
            chosen = (logits * self._draw(close, able)).sum(axis=-1)
            having = able.any(axis=-1).astype("float32")
            total = total - (F.log_sigmoid(-chosen) * having).sum()
            hits = hits + ((chosen < 0).astype("float32") * having).sum()
            weights = weights + having
        size = paddle.clip(weights.sum(), min=1.0)
        return total / size, hits / size

    def _draw(self, close: Tensor, able: Tensor) -> Tensor:
        """One negative per row, as a one-hot float32 [B,B]."""
        scores = close / self.temperature
        if self.training:  # the largest of logits plus Gumbel noise is a draw from their softmax
            noise = paddle.clip(paddle.rand(scores.shape), min=1e-9, max=1 - 1e-6)
            scores = scores - paddle.log(-paddle.log(noise))
        scores = paddle.where(able, scores, paddle.full_like(scores, NEVER))
        return F.one_hot(scores.argmax(axis=-1), scores.shape[-1]) * able.astype("float32")
