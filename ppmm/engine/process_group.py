"""Several processes over paddle.distributed: gloo on CPUs, NCCL on GPUs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import paddle
from paddle import Tensor
from paddle import distributed as dist

from ppmm.engine.distributed import PeerError, Processes
from ppmm.engine.peer_watch import PeerWatch
from ppmm.engine.star import Star, connect
from ppmm.engine.weights import running_statistics

__all__ = ["ProcessGroup"]

SLOT = 2048
"""Bytes of a first document, of where the first process is found."""
BUCKET = 8 * 2**20
"""Numbers of a bucket of gradients: few calls, and little memory beside the gradients themselves."""
WIRE = {"bool": "uint8", "float16": "float32", "bfloat16": "float32"}
"""What gloo cannot move goes as another type that holds all its values."""


class ProcessGroup(Processes):
    """The processes that Paddle's launcher has started.

    Gradients are summed by one exchange of flat buckets after the last backward pass, in place of paddle.DataParallel:
    accumulated batches, gradient caching and fields that a process has no row of then need no rule of their own.

    Args:
        host: where the others reach the first process.

    Raises PeerError, in every method that exchanges something, when another process has ended.
    """

    def __init__(self, host: str = "127.0.0.1") -> None:
        dist.init_parallel_env()
        self.rank, self.world = dist.get_rank(), dist.get_world_size()
        self.gloo = dist.get_backend().lower() == "gloo"
        self.watch: PeerWatch | None = None
        self.star: Star | None = None
        star = Star(self.rank, connect(self.rank, self.world, host, self._first_exchange)[1])
        self.watch = PeerWatch(self.rank, *connect(self.rank, self.world, host, star.exchange))
        self.star = star

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.watch is not None:
            self.watch.leave(error)

    def exchange(self, document: Any) -> list[Any]:
        star = self.star
        assert star is not None
        found: list[list[Any]] = []
        self._guard(lambda: found.append(star.exchange(document)))
        return found[0]

    def _first_exchange(self, document: Any) -> list[Any]:
        """The same through Paddle, of documents of at most `SLOT` bytes: how the processes find one another."""
        flat = np.frombuffer(json.dumps(document).encode().ljust(SLOT), dtype=np.uint8)
        return [json.loads(each.numpy().tobytes()) for each in self._all_gather(paddle.to_tensor(flat))]

    def sum_gradients(self, parameters: Sequence[Any]) -> None:
        trained = [parameter for parameter in parameters if not parameter.stop_gradient]
        for bucket in _buckets(trained):
            self._sum_bucket(bucket)

    def _sum_bucket(self, bucket: Sequence[Any]) -> None:
        """Sum the gradients of one bucket, and with them how many processes have each."""
        dtype = "float64" if bucket[0].dtype == paddle.float64 else "float32"
        gradients = [parameter.grad for parameter in bucket]
        parts = [
            paddle.zeros([parameter.size], dtype) if gradient is None else gradient.detach().astype(dtype).flatten()
            for parameter, gradient in zip(bucket, gradients, strict=True)
        ]
        having = paddle.to_tensor([float(gradient is not None) for gradient in gradients], dtype=dtype)
        flat = paddle.concat([*parts, having])
        self._run(partial(dist.all_reduce, flat))
        having = flat[-len(bucket) :].numpy()
        start = 0
        for parameter, count in zip(bucket, having, strict=True):
            if count:
                piece = flat[start : start + parameter.size]
                parameter.grad = piece.reshape(parameter.shape).astype(parameter.dtype)
            start += parameter.size

    def gather(self, tensor: Tensor | None, shapes: Sequence[Sequence[int]], dtype: str) -> list[Tensor | None]:
        sizes = [int(np.prod(shape)) for shape in shapes]
        wire = WIRE.get(dtype, dtype)
        flat = paddle.zeros([max(sizes)], wire)
        if tensor is not None:
            own = tensor.detach().astype(wire).flatten()
            flat = own if len(own) == len(flat) else paddle.concat([own, flat[len(own) :]])
        found = self._all_gather(flat)
        return [
            each[:size].reshape(list(shape)).astype(dtype) if size else None
            for each, size, shape in zip(found, sizes, shapes, strict=True)
        ]

    def share_weights(self, *layers: Any) -> None:
        with paddle.no_grad():
            for layer in layers:
                for tensor in layer.state_dict().values() if isinstance(layer, paddle.nn.Layer) else ():
                    self._run(partial(dist.broadcast, tensor, 0))

    def share_from(self, owned: Sequence[tuple[Any, int]]) -> None:
        with paddle.no_grad():
            for rank in range(self.world):
                for bucket in _buckets([parameter for parameter, owner in owned if owner == rank]):
                    dtype = "float64" if bucket[0].dtype == paddle.float64 else "float32"
                    flat = paddle.concat([parameter.detach().astype(dtype).flatten() for parameter in bucket])
                    self._run(partial(dist.broadcast, flat, rank))
                    if rank != self.rank:
                        _spread(flat, bucket)

    def average_statistics(self, model: Any) -> None:
        floats = running_statistics(model)
        if not floats:
            return
        with paddle.no_grad():
            flat = paddle.concat([tensor.astype("float64").flatten() for tensor in floats])
            self._run(partial(dist.all_reduce, flat))
            flat = flat / self.world
            start = 0
            for tensor in floats:
                tensor.set_value(flat[start : start + tensor.size].reshape(tensor.shape).astype(tensor.dtype))
                start += tensor.size

    def _all_gather(self, tensor: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        self._run(partial(dist.all_gather, found, tensor))
        return found

    def _run(self, call: Callable[[], Any]) -> None:
        """One exchange through Paddle; over gloo only once all are there, since it waits for 30 s at most."""
        if self.gloo and self.star is not None:
            self.exchange(None)
        self._guard(call)

    def _guard(self, call: Callable[[], Any]) -> None:
        """``call()``. Raises PeerError that says who is missing."""
        try:
            call()
        except (RuntimeError, OSError, ValueError) as error:
            reason = None if self.watch is None else self.watch.reason(wait=5.0)
            raise PeerError(reason or f"the processes of the run lost one another: {error}") from error


def _spread(flat: Tensor, parameters: Sequence[Any]) -> None:
    """Give the parameters their parts of ``flat``."""
    start = 0
    for parameter in parameters:
        piece = flat[start : start + parameter.size]
        parameter.set_value(piece.reshape(parameter.shape).astype(parameter.dtype))
        start += parameter.size


def _buckets(parameters: Sequence[Any]) -> Iterator[list[Any]]:
    """Parameters of one kind of float, at most `BUCKET` numbers at a time (a larger one alone)."""
    for wide in (False, True):
        bucket: list[Any] = []
        for parameter in parameters:
            if (parameter.dtype == paddle.float64) != wide:
                continue
            if bucket and sum(each.size for each in bucket) + parameter.size > BUCKET:
                yield bucket
                bucket = []
            bucket.append(parameter)
        if bucket:
            yield bucket
