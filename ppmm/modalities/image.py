"""Images as fields: decode, convert, resize, augment, normalise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np

from ppmm.errors import ConfigError, DataError
from ppmm.modalities.augmenting import apply_steps, take_steps
from ppmm.modalities.field import FieldBase, stack_fixed
from ppmm.modalities.file_source import read_file
from ppmm.modalities.image_crop import ImageRandomResizedCrop
from ppmm.modalities.image_file import EncodedImage
from ppmm.modalities.image_resize import Fit, Interpolation, fit_image, resize_image
from ppmm.registry import FIELDS
from ppmm.types import Augmentation, FieldSpec

__all__ = ["ImageField"]

SHRINKS = (8, 4, 2, 1)
"""By how much a JPEG decoder can shrink."""


@FIELDS.register("image")
class ImageField(FieldBase):
    """Path, encoded bytes or pixels -> float32 [C, H, W].

    Args:
        size: (height, width) of the output in pixels.
        channels: 1 (grey) or 3 (RGB).
        mean: subtracted per channel from values in 0..1; None for 0.
        std: divides per channel; None for 1.
        max_pixels: refuse images whose header states more, before decoding.
        max_bytes: refuse larger files.
        fit: ``stretch`` to the size, ``crop`` (shorter side to size, centre) or ``letterbox`` (borders of ``fill``).
        interpolation: ``area``, ``bilinear``, ``bicubic`` or ``fast``, see `image_resize`.
        fill: grey level of the borders of ``letterbox``, 0..255.
        random_crop: in training, picks the part of the whole picture that is stretched to the size, in place of
            ``fit``: ``image_random_resized_crop``. ``area`` is ``fast`` there, and with these two a JPEG of which
            twice, four or eight times the size is taken is decoded to a half, a quarter or an eighth (evaluation and
            serving always decode the whole).
        augment: applied in training to uint8 [H, W, C] after resizing.
    """

    kind = "image"

    def __init__(
        self,
        size: tuple[int, int],
        channels: Literal[1, 3] = 3,
        mean: list[float] | None = None,
        std: list[float] | None = None,
        max_pixels: int = 50_000_000,
        max_bytes: int = 100 * 1024 * 1024,
        fit: Fit = "stretch",
        interpolation: Interpolation = "area",
        fill: int = 0,
        random_crop: Augmentation | None = None,
        augment: list[Augmentation] | None = None,
    ) -> None:
        self.height, self.width = (int(side) for side in size)
        if min(self.height, self.width) < 1:
            raise ConfigError(f"size: [{self.height}, {self.width}] must be positive (height, width)")
        if channels not in (1, 3):
            raise ConfigError(f"channels: {channels} must be 1 (grey) or 3 (RGB)")
        self.channels = channels
        self.mean = _per_channel("mean", mean, channels, 0.0)
        self.std = _per_channel("std", std, channels, 1.0)
        if (self.std <= 0).any():
            raise ConfigError(f"std: {std} must be positive")
        self._table = ((np.arange(256, dtype=np.float32)[:, None] / 255.0 - self.mean) / self.std).T.copy()
        self.max_pixels = max_pixels
        self.max_bytes = max_bytes
        if not 0 <= fill <= 255:
            raise ConfigError(f"fill: {fill} must be a grey level, 0 to 255")
        self.fitting: Fit = fit
        self.interpolation: Interpolation = interpolation
        self.fill = fill
        self.random_crop = take_steps([] if random_crop is None else [random_crop], "picture", "random_crop")
        self.augment = take_steps(augment, "image", "augment")

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Decode and transform one image.

        Args:
            value: str or Path, bytes of an image file, or uint8 [H, W] or [H, W, 3] in RGB order.
            rng: augments when given.

        Returns:
            float32 [C, H, W].

        Raises:
            DataError: the value is not an image that can be read.
        """
        return self._normalised(apply_steps(self.augment, self._resized(self._opened(value), rng), rng))

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """``name`` [B, C, H, W] float32 and ``has_name`` [B] bool."""
        return stack_fixed(name, arrays, (self.channels, self.height, self.width), "float32")

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shapes of what `collate` returns."""
        shape = (None, self.channels, self.height, self.width)
        return {name: FieldSpec(shape, "float32"), f"has_{name}": FieldSpec((None,), "bool")}

    def provides(self) -> dict[str, int]:
        """``in_channels`` for an image encoder."""
        return {"in_channels": self.channels}

    def _normalised(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H, W, C] -> float32 [C, H, W], by a table of the 256 values of each channel."""
        out = np.empty((self.channels, self.height, self.width), dtype=np.float32)
        for channel, plane in enumerate(cv2.split(pixels)):
            cv2.LUT(plane, self._table[channel], out[channel])
        return out

    def _opened(self, value: Any) -> EncodedImage | np.ndarray:
        """An image file, or uint8 [H, W] or RGB [H, W, 3]. Raises DataError."""
        if isinstance(value, str | Path):
            return EncodedImage(read_file(value, "image", self.max_bytes), f"'{value}'", self.max_pixels)
        if isinstance(value, bytes | bytearray | memoryview):
            size = memoryview(value).nbytes
            if size > self.max_bytes:
                raise DataError(f"image of {size:,} bytes is too large; at most {self.max_bytes:,} (max_bytes)")
            return EncodedImage(bytes(value), f"of {size:,} bytes", self.max_pixels)
        if isinstance(value, np.ndarray):
            return _check_pixels(value, self.max_pixels)
        raise DataError(f"an image must be a path, bytes or a uint8 array, not {type(value).__name__}")

    def _resized(self, picture: EncodedImage | np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
        """uint8 [height, width, C], writeable. Raises DataError."""
        if rng is not None and self.random_crop:
            filtering: Interpolation = "fast" if self.interpolation == "area" else self.interpolation
            part = self._with_channels(self._random_part(picture, rng))
            pixels = resize_image(part, self.height, self.width, filtering)
        else:
            whole = self._with_channels(_pixels(picture))
            pixels = fit_image(whole, self.height, self.width, self.fitting, self.interpolation, self.fill)
        pixels = pixels.reshape(self.height, self.width, self.channels)
        return pixels if pixels.flags.writeable else pixels.copy()

    def _random_part(self, picture: EncodedImage | np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """What ``random_crop`` chooses; decoded smaller where no more than needed is left of it all the same."""
        (crop,) = self.random_crop
        if not (isinstance(picture, EncodedImage) and isinstance(crop, ImageRandomResizedCrop)):
            return crop(_pixels(picture), rng)
        top, left, tall, wide = crop.box(picture.height, picture.width, rng)
        shrink = 1
        if picture.shrinks and self.interpolation in ("area", "fast"):
            shrink = next(by for by in SHRINKS if by == 1 or min(tall // self.height, wide // self.width) >= by)
        bottom, right = top + tall, left + wide
        top, bottom, left, right = (round(edge / shrink) for edge in (top, bottom, left, right))
        return picture.pixels(shrink)[top:bottom, left:right]

    def _with_channels(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [H,W,C] with the C of this field, or [H,W] for one channel."""
        if pixels.ndim == 2:
            return pixels if self.channels == 1 else cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)
        return pixels if self.channels == 3 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def _pixels(picture: EncodedImage | np.ndarray) -> np.ndarray:
    return picture.pixels() if isinstance(picture, EncodedImage) else picture


def _per_channel(name: str, values: list[float] | None, channels: int, default: float) -> np.ndarray:
    """float32 [C]. Raises ConfigError when the number of values is not that of the channels."""
    if values is None:
        return np.full(channels, default, dtype=np.float32)
    if len(values) != channels:
        raise ConfigError(f"{name}: {len(values)} values for {channels} channels; give one per channel")
    return np.asarray(values, dtype=np.float32)


def _check_pixels(pixels: np.ndarray, max_pixels: int) -> np.ndarray:
    """An array given as an image. Raises DataError."""
    if pixels.dtype != np.uint8:
        raise DataError(f"an image array must be uint8 in 0..255, not {pixels.dtype}")
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim != 2 and not (pixels.ndim == 3 and pixels.shape[2] == 3):
        raise DataError(f"an image array must be [height, width] or [height, width, 3] (RGB), not {pixels.shape}")
    if pixels.size == 0:
        raise DataError(f"an image array of shape {pixels.shape} has no pixels")
    if pixels.shape[0] * pixels.shape[1] > max_pixels:
        raise DataError(f"an image array of shape {pixels.shape} has more than {max_pixels:,} pixels (max_pixels)")
    return np.ascontiguousarray(pixels)
