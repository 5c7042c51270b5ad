"""What a row may look like: the bounds that a check compares with."""

from __future__ import annotations

from dataclasses import dataclass

from ppmm.errors import ConfigError

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Bounds of a check.

    Args:
        min_side: smallest width and height of an image, pixels.
        max_pixels: largest width x height.
        min_seconds: shortest recording.
        max_seconds: longest recording.
        silence_db: a recording whose peak is below, in dB of full scale, is silent.
        clipped_share: share of clipped samples above which a recording is reported.
        min_chars: shortest text, characters.
        max_chars: longest text, characters.
        languages: ISO 639-1 codes of the languages that texts may be in; empty allows any.
        imbalance: largest ratio of the most frequent to the rarest class.
        required: columns that no row may lack.
    """

    min_side: int = 8
    max_pixels: int = 50_000_000
    min_seconds: float = 0.05
    max_seconds: float = 600.0
    silence_db: float = -60.0
    clipped_share: float = 0.001
    min_chars: int = 1
    max_chars: int = 10_000
    languages: tuple[str, ...] = ()
    imbalance: float = 20.0
    required: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises ConfigError where a lower bound is above its upper one."""
        for low, high in (("min_seconds", "max_seconds"), ("min_chars", "max_chars")):
            if not 0 <= getattr(self, low) <= getattr(self, high):
                raise ConfigError(f"{low} {getattr(self, low)} must be from 0 to {high} {getattr(self, high)}")
        if self.min_side < 1 or self.max_pixels < 1:
            raise ConfigError("min_side and max_pixels must be at least 1")
        if not (self.imbalance >= 1 and 0 <= self.clipped_share <= 1 and self.silence_db <= 0):  # also refuses NaN
            raise ConfigError("imbalance must be at least 1, clipped_share from 0 to 1, silence_db at most 0")
        for code in self.languages:
            if len(code) != 2 or not code.islower():
                raise ConfigError(f"language '{code}' is no two-letter code such as en or zh")
