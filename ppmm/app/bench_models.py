"""The standard models of the training benchmark, with random batches of their kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import paddle

from ppmm.models.encoders.cnn import CNN
from ppmm.models.encoders.resnet import ResNet
from ppmm.models.encoders.text_rnn import BiLSTM
from ppmm.models.encoders.text_transformer import TextTransformer
from ppmm.models.encoders.vit import VisionTransformer
from ppmm.models.fusion.concat import ConcatFusion
from ppmm.models.heads.linear import LinearHead
from ppmm.models.late_fusion import LateFusion
from ppmm.models.two_tower import TwoTower
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.objectives.info_nce import InfoNCE
from ppmm.types import Batch

__all__ = ["CASES", "Case"]

WORDS = 10_000
"""Of the vocabulary of a text classifier."""
CLIP_WORDS, CLIP_LENGTH = 49_408, 77
"""Of CLIP's text tower (Radford et al. 2021, table 20)."""


class Case(NamedTuple):
    """``rows`` of a batch, ``quick_rows`` in a short run, ``steps`` of a round; ``build`` gives model and objective."""

    name: str
    build: Callable[[], tuple[Any, Any]]
    batch: Callable[[int, int], Batch]
    rows: int
    quick_rows: int
    steps: int
    rounds: int


def _classifier(field: str, encoder: Any, classes: int) -> tuple[Any, Any]:
    """Without dropout: the two loops draw their random numbers in another way."""
    model = LateFusion(
        {field: encoder}, fusion=ConcatFusion({field: encoder.out_dim}, 256), head=LinearHead(256, classes)
    )
    return model, CrossEntropy("label")


def _small_cnn() -> tuple[Any, Any]:
    return _classifier("image", CNN(3, [32, 64, 128]), 10)


def _resnet50() -> tuple[Any, Any]:
    return _classifier("image", ResNet(3, depth=50), 1000)


def _transformer() -> tuple[Any, Any]:
    return _classifier("text", TextTransformer(WORDS, dim=256, layers=4, heads=4, dropout=0.0), 10)


def _bilstm() -> tuple[Any, Any]:
    return _classifier("text", BiLSTM(WORDS, dim=256), 10)


def _clip() -> tuple[Any, Any]:
    image = VisionTransformer(3, [224, 224], patch=32, dim=768, depth=12, heads=12)
    text = TextTransformer(CLIP_WORDS, dim=512, layers=12, heads=8, dropout=0.0)
    return TwoTower({"image": image, "text": text}, dim=512), InfoNCE(["image", "text"])


def _images(size: int) -> Callable[[int, int], Batch]:
    def batch(rows: int, number: int) -> Batch:
        rng = np.random.default_rng(number)
        return _tensors(
            image=rng.normal(size=(rows, 3, size, size)).astype(np.float32), has_image=np.ones(rows, bool),
            label=rng.integers(0, 10, rows),
        )  # fmt: skip

    return batch


def _texts(length: int) -> Callable[[int, int], Batch]:
    def batch(rows: int, number: int) -> Batch:
        rng = np.random.default_rng(number)
        return _tensors(
            text=rng.integers(1, WORDS, (rows, length)), text_mask=np.ones((rows, length), bool),
            has_text=np.ones(rows, bool), label=rng.integers(0, 10, rows),
        )  # fmt: skip

    return batch


def _pairs(rows: int, number: int) -> Batch:
    return {**_images(224)(rows, number), **_texts(CLIP_LENGTH)(rows, number)}


def _tensors(**arrays: np.ndarray) -> Batch:
    rows = len(next(iter(arrays.values())))
    return {name: paddle.to_tensor(array) for name, array in {**arrays, "index": np.arange(rows)}.items()}


CASES = (
    Case("small CNN", _small_cnn, _images(32), 64, 8, 10, 15),
    Case("ResNet-50", _resnet50, _images(224), 4, 1, 1, 8),
    Case("Transformer x 4", _transformer, _texts(64), 16, 4, 5, 15),
    Case("BiLSTM", _bilstm, _texts(32), 32, 8, 10, 15),
    Case("CLIP ViT-B/32", _clip, _pairs, 4, 2, 1, 6),
)
