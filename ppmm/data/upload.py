"""Batches of arrays -> tensors on the device, the next one under way while a step computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import paddle

from ppmm.errors import DataError
from ppmm.types import Batch

__all__ = ["one_ahead", "uploaded"]

Arrays = Mapping[str, np.ndarray]


def uploaded(batches: Iterable[Arrays]) -> Iterator[Batch]:
    """Tensors on the device in use, in the same order.

    On a GPU each batch is copied to page-locked memory, and from there to the device without waiting, before the one
    ahead of it is handed out: the copy runs while that one is computed. On a CPU there is nothing to copy to.
    """
    if paddle.device.get_device().startswith("gpu"):
        yield from one_ahead(batches, _to_gpu)
        return
    for batch in batches:
        yield {name: paddle.to_tensor(array) for name, array in batch.items()}


def one_ahead(batches: Iterable[Arrays], upload: Callable[[Arrays], tuple[Batch, Any]]) -> Iterator[Batch]:
    """What ``upload`` makes of each batch, which is called for the next one before one is handed out.

    Args:
        batches: arrays that are good until the next batch is asked for.
        upload: returns the tensors, and what must live until they are used up.

    A DataError comes after the batches before it, as without looking ahead.
    """
    waiting: tuple[Batch, Any] | None = None
    coming: tuple[Batch, Any] | None
    failed: DataError | None = None
    rest = iter(batches)
    while True:
        try:
            arrays = next(rest, None)
            coming = None if arrays is None else upload(arrays)
        except DataError as error:
            coming, failed = None, error
        if waiting is not None:
            yield waiting[0]
        if failed is not None:
            raise failed
        if coming is None:
            return
        waiting = coming


def _to_gpu(arrays: Arrays) -> tuple[Batch, Any]:
    locked = {name: paddle.to_tensor(array, place=paddle.CUDAPinnedPlace()) for name, array in arrays.items()}
    return {name: tensor.cuda(blocking=False) for name, tensor in locked.items()}, locked
