"""Vision Transformer (Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import paddle
from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.errors import DataError
from ppmm.models.layers.attention import AttentionPooling
from ppmm.models.layers.transformer import TransformerEncoder
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["PatchPositions", "VisionTransformer"]


class PatchPositions(nn.Layer):
    """One learned vector per patch, added to it; between them bicubically for pictures of another size.

    So DeiT (Touvron et al. 2021) fine-tunes at another resolution; ends are repeated, and nothing is smoothed first.

    Args:
        dim: size of a token.
        rows, columns: patches of the pictures that it learns from.

    Inputs: grid [B,dim,h,w]. Returns: the same shape.
    """

    def __init__(self, dim: int, rows: int, columns: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        small = nn.initializer.TruncatedNormal(std=0.02)
        self.table = self.create_parameter([1, dim, rows, columns], default_initializer=small)

    def forward(self, grid: Tensor) -> Tensor:
        rows, columns = grid.shape[2], grid.shape[3]
        if rows == self.rows and columns == self.columns:
            return grid + self.table
        return grid + F.interpolate(self.table, size=[rows, columns], mode="bicubic", align_corners=False)

    def resized(self, table: np.ndarray) -> np.ndarray:
        """A ``table`` [1,dim,h,w] that was learned from pictures of another size, for those of this one.

        The very same array where the size is this one.
        """
        if table.ndim != 4 or list(table.shape[2:]) == [self.rows, self.columns]:
            return table
        values, size = paddle.to_tensor(table), [self.rows, self.columns]
        return np.asarray(F.interpolate(values, size=size, mode="bicubic", align_corners=False).numpy())


@ENCODERS.register("vit")
class VisionTransformer(nn.Layer):
    """Patches -> tokens with positions -> pre-norm Transformer -> one embedding.

    The published ViT-S/16 is ``patch: 16, dim: 384, depth: 12, heads: 6, size: [224, 224]`` (ViT-B/16: 768 and 12);
    here keys have no bias and the class token no position, which both change nothing that can be expressed.

    Args:
        in_channels: 1 or 3.
        size: height and width in pixels of the pictures that it learns from; those of another size get interpolated
            positions.
        patch: side of a patch in pixels; sides of pictures are multiples of it.
        dim: size of the embedding and of a token; a multiple of ``heads``.
        depth: Transformer blocks.
        heads: attention heads of a block.
        ffn: hidden size of the feed-forward parts; four times ``dim`` when None.
        pooling: the embedding is a class token, the attention of a learned query to all tokens, or their mean.
        dropout: on the embedded patches and in every block.
        drop_path: stochastic depth of the last block; it rises linearly from 0 at the first.

    A trained checkpoint may be read with another ``size`` of the image field, and of this encoder, in the YAML.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,dim], tokens [B,h*w,dim] (row by row, without class token).
    Raises DataError for pictures that patches do not fill.
    """

    any_size = True

    def __init__(
        self,
        in_channels: int,
        size: list[int] | None = None,
        patch: int = 4,
        dim: int = 128,
        depth: int = 6,
        heads: int = 4,
        ffn: int | None = None,
        pooling: Literal["class_token", "attention", "mean"] = "class_token",
        dropout: float = 0.0,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        height, width = _two_sides([32, 32] if size is None else size, patch)
        self.patch = patch
        self.embed = nn.Conv2D(in_channels, dim, patch, stride=patch)
        self.positions = PatchPositions(dim, height // patch, width // patch)
        self.dropout = nn.Dropout(dropout)
        self.encoder = TransformerEncoder(dim, depth, heads, ffn, dropout, drop_path)
        self.pool = POOLINGS[pooling](dim, heads, dropout)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        _check_sides(x.shape[2], x.shape[3], self.patch)
        grid = self.positions(self.embed(x))
        tokens = self.dropout(grid.flatten(2).transpose([0, 2, 1]))
        return self.pool(self.encoder, tokens)


class ClassTokenPool(nn.Layer):
    """A learned token goes through the blocks before the others; what comes out of it is the embedding."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        small = nn.initializer.TruncatedNormal(std=0.02)
        self.token = self.create_parameter([1, 1, dim], default_initializer=small)

    def forward(self, encoder: TransformerEncoder, tokens: Tensor) -> Encoded:
        first = paddle.zeros_like(tokens[:, :1]) + self.token
        encoded = encoder(paddle.concat([first, tokens], axis=1))
        return Encoded(encoded[:, 0], encoded[:, 1:])


class AttentionPool(nn.Layer):
    """A learned query attends to what comes out of the blocks."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attend = AttentionPooling(dim, heads, dropout)

    def forward(self, encoder: TransformerEncoder, tokens: Tensor) -> Encoded:
        encoded = encoder(tokens)
        return Encoded(self.attend(encoded), encoded)


class MeanPool(nn.Layer):
    """The mean of what comes out of the blocks."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()

    def forward(self, encoder: TransformerEncoder, tokens: Tensor) -> Encoded:
        encoded = encoder(tokens)
        return Encoded(encoded.mean(axis=1), encoded)


POOLINGS: dict[str, Callable[[int, int, float], nn.Layer]] = {
    "class_token": ClassTokenPool,
    "attention": AttentionPool,
    "mean": MeanPool,
}


def _two_sides(size: list[int], patch: int) -> list[int]:
    """``size`` itself. Raises ValueError unless it is two positive multiples of ``patch``."""
    if patch < 1:
        raise ValueError(f"patch must be at least 1 pixel, got {patch}")
    if len(size) != 2 or any(side < patch or side % patch for side in size):
        raise ValueError(f"size must be height and width in multiples of the patch of {patch} pixels, got {size}")
    return size


def _check_sides(height: int, width: int, patch: int) -> None:
    """Raises DataError where patches do not fill the picture."""
    if height % patch or width % patch:
        raise DataError(
            f"vit: a picture of {height}x{width} pixels cannot be cut into patches of {patch}x{patch}; resize pictures "
            f"(size of the image field) to multiples of {patch}"
        )
