"""In which number formats a step computes."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

__all__ = ["Precision"]


class Precision:
    """Float32 throughout: the forward pass as it is, the gradient unscaled, the optimizer's own step."""

    def forward(self) -> AbstractContextManager[Any]:
        """The context of forward pass and loss."""
        return nullcontext()

    def backward(self, loss: Any) -> None:
        """Add the gradient of ``loss`` to that of the parameters."""
        loss.backward()

    def update(self, optimizer: Any) -> None:
        """Let the optimizer take its step."""
        optimizer.step()
