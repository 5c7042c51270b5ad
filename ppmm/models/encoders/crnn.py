"""Convolutions, columns from left to right, a BiLSTM over them (Shi et al. 2015, "CRNN", section 2)."""

from __future__ import annotations

from paddle import Tensor, nn
from paddle.nn import functional as F

from ppmm.models.layers.query_pooling import QueryPooling
from ppmm.models.layers.recurrent import Bidirectional
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["CRNN"]

ROWS = 4


@ENCODERS.register("crnn")
class CRNN(nn.Layer):
    """For pictures whose content is read from left to right: text lines, numbers, rows of things.

    One 3x3 convolution with stride 2, batch normalisation and ReLU per stage; stages after the second keep the width
    and halve the height only, as the pooling of the paper does. The rest of the height goes into the columns as four
    rows of means.

    Args:
        in_channels: 1 or 3.
        dim: size of the embedding and of a step, both directions together; even.
        channels: output channels of each stage.
        queries: parts that the pooling looks at, see `QueryPooling`.
        dropout: on the columns.

    Inputs: x [B,in_channels,H,W]. Returns: pooled [B,dim], tokens [B,W',dim], one per column.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int = 128,
        channels: list[int] | None = None,
        queries: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        sizes = [32, 64, 128] if channels is None else channels
        if not sizes:
            raise ValueError("channels must name at least one stage")
        stages: list[nn.Layer] = []
        for number, (before, size) in enumerate(zip([in_channels, *sizes], sizes, strict=False)):
            stride = 2 if number < 2 else (2, 1)
            conv = nn.Conv2D(before, size, 3, stride=stride, padding=1, bias_attr=False)
            stages += [conv, nn.BatchNorm2D(size), nn.ReLU()]
        self.stages = nn.Sequential(*stages)
        self.rows = nn.AdaptiveAvgPool2D((ROWS, None))
        self.project = nn.Linear(sizes[-1] * ROWS, dim)
        self.dropout = nn.Dropout(dropout)
        self.recurrent = Bidirectional(nn.LSTM, dim, dim)
        self.pool = QueryPooling(dim, dim, queries)
        self.out_dim = dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.rows(self.stages(x))
        columns = grid.transpose([0, 3, 1, 2]).flatten(2)
        steps = self.recurrent(self.dropout(F.relu(self.project(columns))))
        return Encoded(self.pool(steps), steps)
