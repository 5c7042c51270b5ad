"""Each process keeps the optimizer state of its own share of the parameters (ZeRO stage 1, Rajbhandari et al. 2020)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import paddle

from ppmm.engine.distributed import Processes

__all__ = ["ShardedOptimizer", "owners_of"]


def owners_of(sizes: Mapping[str, int], world: int) -> dict[str, int]:
    """Name of each parameter -> the process that updates it: the largest first, each to the one with least so far."""
    loads = [0] * world
    found = {}
    for name in sorted(sizes, key=lambda name: (-sizes[name], name)):
        rank = loads.index(min(loads))
        loads[rank] += sizes[name]
        found[name] = rank
    return found


class ShardedOptimizer:
    """An optimizer of Paddle's that updates a share of the parameters; the others come from their owners.

    Every process has the whole gradients. Clipping sees all of them, so that the result is that of an optimizer in each
    process, bit for bit; what is saved is the memory of its state (two numbers for each parameter with Adam) and the
    time of the update, for an exchange of the weights.

    Args:
        optimizer: built over all parameters.
        named_parameters: of the same, by structured name.
        processes: those that share them.
    """

    def __init__(self, optimizer: Any, named_parameters: Sequence[tuple[str, Any]], processes: Processes) -> None:
        self.optimizer = optimizer
        self.processes = processes
        owners = owners_of({name: int(parameter.size) for name, parameter in named_parameters}, processes.world)
        self.parameters = [(parameter, owners[name]) for name, parameter in named_parameters]
        self.mine = {name for name, rank in owners.items() if rank == processes.rank}
        self.gathered: dict[str, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["optimizer"], name)

    def owns(self, name: str) -> bool:
        """Whether the parameter of this structured name is updated here."""
        return name in self.mine

    def step(self) -> None:
        """Update the own share, then exchange weights."""
        trained = [(parameter, rank) for parameter, rank in self.parameters if _has_gradient(parameter)]
        clip = self.optimizer._grad_clip
        if clip is not None:
            for parameter, gradient in clip([(parameter, parameter.grad) for parameter, _ in trained]):
                parameter.grad = gradient
        for parameter, rank in trained:
            if rank != self.processes.rank:
                parameter.clear_gradient(False)
        self.optimizer._grad_clip = None
        try:
            if any(rank == self.processes.rank for _, rank in trained):
                self.optimizer.step()
        finally:
            self.optimizer._grad_clip = clip
        self.processes.share_from(trained)

    def gather(self, own: Mapping[str, np.ndarray]) -> None:
        """Bring the state of all processes into ``gathered`` of the first one; all of them must call it.

        Args:
            own: what `ppmm.engine.weights.optimizer_arrays` finds here.
        """
        self.gathered = {}
        forms = self.processes.exchange({key: [list(array.shape), str(array.dtype)] for key, array in own.items()})
        for rank, found in enumerate(forms):
            for key, (shape, dtype) in found.items():
                tensor = paddle.to_tensor(own[key]) if rank == self.processes.rank else None
                shapes = [shape if other == rank else [0] for other in range(self.processes.world)]
                array = self.processes.gather(tensor, shapes, dtype)[rank]
                if self.processes.rank == 0:
                    self.gathered[key] = array.numpy().reshape(shape)


def _has_gradient(parameter: Any) -> bool:
    return not parameter.stop_gradient and parameter.grad is not None
