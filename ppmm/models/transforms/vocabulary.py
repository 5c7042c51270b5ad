"""The form of a model whose field knows fewer tokens, for one that was built as it was before."""

from __future__ import annotations

from typing import Any

from ppmm.errors import ConfigError
from ppmm.models.resize import resize, tensors_of
from ppmm.registry import TRANSFORMS, did_you_mean

__all__ = ["Vocabulary"]


@TRANSFORMS.register("vocabulary")
class Vocabulary:
    """Cuts tables of tokens to fewer rows; their rows are loaded afterwards.

    Args:
        field: whose tokens these are.
        before: size of the vocabulary that the model is built with: who rebuilds it gives the field's encoder this one,
            and not the size of the tokenizer.json beside it.
        tables: rows of each table that are left, by the parameter's name.
    """

    def __init__(self, field: str, before: int, tables: dict[str, int]) -> None:
        self.field, self.before, self.tables = field, before, tables

    def __call__(self, model: Any) -> None:
        """Raises ConfigError where the model has no such tables; it is then left as it was."""
        own, arrays = tensors_of(model), {}
        for name, rows in self.tables.items():
            if name not in own:
                raise ConfigError(f"vocabulary: this model has no '{name}'{did_you_mean(name, own)}")
            if own[name].ndim != 2 or not 0 < rows <= own[name].shape[0]:
                raise ConfigError(f"vocabulary: {name} is {own[name].shape} here and cannot have {rows} rows")
            arrays[name] = own[name].numpy()[:rows]
        resize(model, arrays)
