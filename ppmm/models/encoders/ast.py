"""Audio Spectrogram Transformer: log-mel features as patches (Gong et al. 2021)."""

from __future__ import annotations

import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.masking import keep
from ppmm.models.layers.pooled_transformer import PooledTransformer, Pooling
from ppmm.models.layers.sinusoidal_positions import SinusoidalPositions
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["AST"]


@ENCODERS.register("ast")
class AST(nn.Layer):
    """Overlapping square patches of the features, each a token, and a pre-norm Transformer over them.

    A clip may have any length: a patch's place in time is a sinusoid, its place in frequency is learned.

    Args:
        in_features: mel bands M.
        dim: size of a token and of the embedding; a multiple of ``heads``, even.
        layers: number of blocks.
        heads: attention heads.
        patch: frames and bands of a patch; fewer bands are padded with zeros.
        stride: frames and bands from one patch to the next, at most ``patch``.
        ffn: hidden size of the feed-forward parts; four times ``dim`` when None.
        dropout: on the tokens and in every block.
        drop_path: stochastic depth of the last block.
        pooling: ``class`` token, ``mean`` over the patches, or ``attention`` of a learned query.

    Inputs: x [B,T,M], mask [B,T] bool or None. Returns: pooled [B,dim], tokens [B,T'*F',dim] (those of one time next to
    one another), token_mask [B,T'*F'], with T' = ceil(T / stride).
    """

    def __init__(
        self,
        in_features: int,
        dim: int = 192,
        layers: int = 4,
        heads: int = 4,
        patch: int = 16,
        stride: int = 10,
        ffn: int | None = None,
        dropout: float = 0.1,
        drop_path: float = 0.0,
        pooling: Pooling = "class",
    ) -> None:
        super().__init__()
        if not 1 <= stride <= patch:
            raise ValueError(f"stride must be in 1 .. patch, got stride {stride} and patch {patch}")
        self.stride = stride
        bands = max(in_features, patch)
        self.sides = [0, bands - in_features, 0, patch - 1]
        self.rows = (bands - patch) // stride + 1
        self.project = nn.Conv2D(1, dim, patch, stride=stride)
        normal = nn.initializer.TruncatedNormal(std=0.02)
        self.frequency = self.create_parameter([1, 1, self.rows, dim], default_initializer=normal)
        self.positions = SinusoidalPositions(dim)
        self.dropout = nn.Dropout(dropout)
        self.transformer = PooledTransformer(dim, layers, heads, ffn, dropout, drop_path, pooling)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        picture = F.pad(keep(x, mask).unsqueeze(1), self.sides)
        grid = self.project(picture).transpose([0, 2, 3, 1])  # [B,T',F',dim]
        places = self.positions.table(grid[:, :, 0]).unsqueeze(2)
        tokens = self.dropout((grid + places + self.frequency).flatten(1, 2))
        if mask is not None:
            steps = mask[:, :: self.stride].unsqueeze(-1)
            mask = paddle.concat([steps] * self.rows, axis=-1).reshape([0, -1])
        return self.transformer(tokens, mask)
