"""The processes that train one model together; here the case of a single one.

`ppmm.engine.process_group` has the case of several. Each of them has a part of the rows of every batch, in the order of
their ranks, and the same weights after every step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ppmm.errors import DataError, PpmmError

__all__ = ["SINGLE", "PeerError", "Processes"]

T = TypeVar("T")


class PeerError(PpmmError):
    """Another process of the run has ended, so that this one cannot go on."""


class Processes:
    """One process: nothing is exchanged.

    Attributes:
        rank: number of this process, from 0; the first one writes.
        world: how many there are.
    """

    rank = 0
    world = 1

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Tell the others that this process ends, and why."""

    def exchange(self, document: Any) -> list[Any]:
        """What each process gives (JSON values), in the order of their ranks; all of them must call it."""
        return [document]

    def agree(self, error: PpmmError | None = None, signal: int = 0) -> int:
        """The largest ``signal`` of all processes. Raises the error of one of them in all of them, as ``shared``."""
        if error is not None and self.world == 1:
            raise error
        if self.world == 1:
            return signal
        told = {"error": None if error is None else str(error), "data": isinstance(error, DataError), "signal": signal}
        found = self.exchange(told)
        for rank, other in enumerate(found):
            if error is None and other["error"] is not None:
                error = (DataError if other["data"] else PpmmError)(f"process {rank}: {other['error']}")
        if error is not None:
            error.shared = True
            raise error
        return int(max(other["signal"] for other in found))

    def together(self, work: Callable[[], T]) -> T:
        """``work()``, once every process has done it. Raises the PpmmError of one of them in all of them."""
        if self.world == 1:
            return work()
        try:
            done = work()
        except PpmmError as error:
            self.agree(error)
            raise
        self.agree()
        return done

    def agreed(self, items: Iterable[T]) -> Iterator[T]:
        """``items``, of which each process has as many; an error in making one is raised in all of them."""
        if self.world == 1:
            yield from items
            return
        iterator = iter(items)
        while True:
            found = self.together(lambda: list(_next(iterator)))
            if not found:
                return
            yield found[0]

    def sum_rows(self, rows: int) -> int:
        """Rows of a step over all processes."""
        return int(sum(self.exchange(rows)))

    def sum_terms(self, terms: Mapping[str, float]) -> dict[str, float]:
        """The sum of each figure over all processes; one that has no rows may lack them."""
        total: dict[str, float] = {}
        for each in self.exchange(dict(terms)):
            for name, value in each.items():
                total[name] = total.get(name, 0.0) + value
        return total

    def sum_gradients(self, parameters: Sequence[Any]) -> None:
        """Give each parameter the sum of its gradients over all processes; one without a gradient counts as 0."""

    def gather(self, tensor: Any, shapes: Sequence[Sequence[int]], dtype: str) -> list[Any]:
        """A tensor of each process, in the order of their ranks.

        Args:
            tensor: of this process; None where it has no rows.
            shapes: of each; [0] where it has none.
            dtype: of all of them.
        """
        return [tensor]

    def share_weights(self, *layers: Any) -> None:
        """Give the parameters and buffers of ``layers`` the values of the first process."""

    def share_from(self, owned: Sequence[tuple[Any, int]]) -> None:
        """Give each parameter the value that it has in the process of the number beside it."""

    def average_statistics(self, model: Any) -> None:
        """Give the running statistics of ``model`` their mean over all processes.

        They are linear in what each process has seen, so that it makes no difference how often this is done.
        """


def _next(iterator: Iterator[T]) -> Iterator[T]:
    """The next one only."""
    for item in iterator:
        yield item
        return


SINGLE = Processes()
