"""One Transformer for all fields (Castrejon et al. 2016, "Learning Aligned Cross-Modal Representations from Weakly
Aligned Data": layers after the encoders whose weights all modalities share)."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.field_projections import TokenProjections
from ppmm.models.layers.transformer import TransformerEncoder
from ppmm.registry import TRUNKS
from ppmm.types import Encoded

__all__ = ["SharedTransformer"]


@TRUNKS.register("shared_transformer")
class SharedTransformer(nn.Layer):
    """Y_k = Transformer([norm(x_k) W_k + b_k] + positions + e_k) with the same weights for every field k.

    W_k bring the fields to one size and the learned vector e_k tells them apart; all else is shared. x_k are the
    field's embedding, as a summary token, and its tokens; pooled is Y_k[0], tokens are the rest.

    Args:
        in_dims: size of each field's embedding and tokens.
        dim: size of the results; even, and a multiple of ``heads``.
        layers: Transformer blocks.
        heads: attention heads.
        joint: whether the tokens of all present fields attend to each other too (one sequence), as fused
            classification wants; a two-tower model must leave it false, since its fields are embedded one at a time.
        dropout: in the blocks.

    Inputs: encoded, present {field: [B] bool}. Returns: {field: Encoded}, zero where a field is absent.
    """

    def __init__(
        self,
        in_dims: dict[str, int],
        dim: int = 128,
        layers: int = 2,
        heads: int = 4,
        joint: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layers < 1:
            raise ValueError(f"layers must be at least 1, got {layers}")
        self.projections = TokenProjections(in_dims, dim)
        self.transformer = TransformerEncoder(dim, layers, heads, None, dropout)
        self.joint = joint
        self.out_dims = dict.fromkeys(in_dims, dim)

    def forward(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> dict[str, Encoded]:
        sequences = self.projections(encoded, present)
        steps = self._together(sequences) if self.joint else self._apart(sequences)
        results = {}
        for field, (_, mask) in sequences.items():
            has_tokens = encoded[field].tokens is not None
            tokens, token_mask = (steps[field][:, 1:], mask[:, 1:]) if has_tokens else (None, None)
            results[field] = Encoded(steps[field][:, 0], tokens, token_mask)
        return results

    def _apart(self, sequences: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        return {field: self.transformer(tokens, mask) for field, (tokens, mask) in sequences.items()}

    def _together(self, sequences: Mapping[str, tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        tokens, masks = (paddle.concat([pair[part] for pair in sequences.values()], axis=1) for part in (0, 1))
        steps = self.transformer(tokens, masks)
        results, start = {}, 0
        for field, (own, _) in sequences.items():
            end = start + own.shape[1]
            results[field] = steps[:, start:end]
            start = end
        return results
