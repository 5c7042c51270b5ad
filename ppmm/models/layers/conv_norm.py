"""Convolution and batch normalisation (Ioffe and Szegedy 2015), the unit of ResNet and MobileNet."""

from __future__ import annotations

from paddle import nn

__all__ = ["conv_norm"]


def conv_norm(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1, epsilon: float = 1e-5
) -> nn.Sequential:
    """Convolution without bias and batch normalisation, padded so that stride 1 keeps the size.

    Weights begin normal with variance 2 / inputs (He et al. 2015), where Paddle's own initialisation counts the inputs
    of all groups: depthwise ones would begin far too small.
    """
    inputs = in_channels // groups * kernel * kernel
    conv = nn.Conv2D(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        weight_attr=nn.initializer.Normal(std=(2.0 / inputs) ** 0.5),
        bias_attr=False,
    )
    return nn.Sequential(conv, nn.BatchNorm2D(out_channels, epsilon=epsilon))
