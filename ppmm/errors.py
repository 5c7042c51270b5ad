"""The errors that a user can cause or meet; each says where, what is wrong, and what to do instead."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["CheckpointError", "CompressError", "ConfigError", "DataError", "ExportError", "PpmmError"]


class PpmmError(Exception):
    """Base of every error that ppmm raises on purpose; the tools print it without a stack trace.

    Attributes:
        shared: every process of a run raises it at this point, so that they can still do something together.
    """

    shared = False


class ConfigError(PpmmError):
    """A YAML or an override is wrong.

    Args:
        problems: one line per problem, each beginning with its place (``file.yaml:9 model.fusion.dmi: ...``).
    """

    def __init__(self, problems: str | Sequence[str]) -> None:
        self.problems: list[str] = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class DataError(PpmmError):
    """A file, row or request cannot become a sample."""


class CheckpointError(PpmmError):
    """A checkpoint cannot be written, read, or does not fit the model."""


class CompressError(PpmmError):
    """A compression step failed or had no effect."""


class ExportError(PpmmError):
    """A graph or bundle cannot be written, read, trusted or run."""
