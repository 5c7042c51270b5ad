"""The convolutional networks of paddle.vision.models without their classifiers, from local weights or none."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from paddle import Tensor, nn
from paddle.vision.models import densenet, mobilenetv1, mobilenetv2, mobilenetv3, resnet, shufflenetv2, vgg

from ppmm.models.pretrained import copy_weights, read_weights
from ppmm.registry import ENCODERS, did_you_mean
from ppmm.types import Encoded

__all__ = ["BACKBONES", "Backbone", "PaddleVision"]


class Backbone(NamedTuple):
    """A constructor, its output channels, what the names of its classifier begin with, where its weights are."""

    build: Callable[..., Any]
    channels: int
    classifier: str
    url: str


def _family(module: ModuleType, classifier: str, channels: dict[str, int], **keys: str) -> dict[str, Backbone]:
    """The networks of one module; ``keys`` are their names in its table of URLs, where they differ."""
    urls = {name: module.model_urls.get(keys.get(name, name), ("",))[0] for name in channels}
    return {
        name: Backbone(getattr(module, name), size, classifier, urls[name] or "weights from where you have them")
        for name, size in channels.items()
    }


BACKBONES = {
    **_family(
        resnet,
        "fc.",
        {
            "resnet18": 512, "resnet34": 512, "resnet50": 2048, "resnet101": 2048, "resnet152": 2048,
            "resnext50_32x4d": 2048, "resnext50_64x4d": 2048, "resnext101_32x4d": 2048, "resnext101_64x4d": 2048,
            "resnext152_32x4d": 2048, "resnext152_64x4d": 2048, "wide_resnet50_2": 2048, "wide_resnet101_2": 2048,
        },
    ),
    **_family(vgg, "classifier.", {"vgg11": 512, "vgg13": 512, "vgg16": 512, "vgg19": 512}),
    **_family(mobilenetv1, "fc.", {"mobilenet_v1": 1024}, mobilenet_v1="mobilenetv1_1.0"),
    **_family(mobilenetv2, "classifier.", {"mobilenet_v2": 1280}, mobilenet_v2="mobilenetv2_1.0"),
    **_family(
        mobilenetv3,
        "classifier.",
        {"mobilenet_v3_small": 576, "mobilenet_v3_large": 960},
        mobilenet_v3_small="mobilenet_v3_small_x1.0",
        mobilenet_v3_large="mobilenet_v3_large_x1.0",
    ),
    **_family(
        densenet,
        "out.",
        {"densenet121": 1024, "densenet161": 2208, "densenet169": 1664, "densenet201": 1920, "densenet264": 2688},
    ),
    **_family(
        shufflenetv2,
        "_fc.",
        {
            "shufflenet_v2_x0_25": 512, "shufflenet_v2_x0_33": 512, "shufflenet_v2_x0_5": 1024,
            "shufflenet_v2_x1_0": 1024, "shufflenet_v2_x1_5": 1024, "shufflenet_v2_x2_0": 2048,
            "shufflenet_v2_swish": 1024,
        },
    ),
}  # fmt: skip


@ENCODERS.register("paddle_vision")
class PaddleVision(nn.Layer):
    """A network of paddle.vision.models up to its last grid of features.

    Args:
        in_channels: 3; these networks are for colour pictures.
        backbone: a name in `BACKBONES`, such as resnet50, mobilenet_v3_large or densenet121.
        weights: a safetensors file with the names of paddle.vision, to start a training run from; the classifier in it
            is left out. None: random. Nothing is ever downloaded.
        dropout: on the pooled embedding.

    Inputs: x [B,3,H,W]. Returns: pooled [B,D], tokens [B,h*w,D] (row by row), h and w a 32nd of H and W.
    """

    def __init__(self, in_channels: int, backbone: str, weights: str | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"no backbone '{backbone}' in paddle.vision.models{did_you_mean(backbone, BACKBONES)}")
        if in_channels != 3:
            raise ValueError(f"{backbone} is for 3 channels, got {in_channels}; set channels: 3 of the image field")
        self.source = BACKBONES[backbone]
        self.weights = weights
        self.backbone = self.source.build(pretrained=False, num_classes=0, with_pool=False)
        self.pool = nn.AdaptiveAvgPool2D(1)
        self.dropout = nn.Dropout(dropout)
        self.out_dim = self.source.channels

    def load_pretrained(self) -> None:
        """Take ``weights``. Raises ConfigError when the file is missing or of another network."""
        if self.weights is not None:
            arrays = read_weights(self.weights, self.source.url)
            copy_weights(self.backbone, arrays, self.weights, (self.source.classifier,))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        grid = self.backbone(x)
        pooled = self.dropout(self.pool(grid).flatten(1))
        return Encoded(pooled, grid.flatten(2).transpose([0, 2, 1]))
