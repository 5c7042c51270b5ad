"""The training loop, written once."""

from __future__ import annotations

import math
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Literal, Protocol

from ppmm.engine.averaging import Averaging
from ppmm.engine.distributed import SINGLE
from ppmm.engine.step import TrainStep
from ppmm.errors import CheckpointError, DataError
from ppmm.types import Batch, Hook

__all__ = ["Batches", "Interrupted", "TrainState", "Trainer", "steps_in_all"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (or SIGTERM) was asked for and the step under way has ended; ``code`` is the exit code to use."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


class Batches(Protocol):
    """What the trainer needs of a loader."""

    batch_size: int

    def __len__(self) -> int: ...

    def epoch(self, epoch: int, start: int) -> Iterator[Batch]: ...


@dataclass
class TrainState:
    """Where a run is. A batch position of 0 means that the epoch has not begun.

    Attributes:
        epoch: the epoch under way, from 0.
        batch: batches of it that are done.
        step: optimizer steps done in all.
        seconds: training time so far, over all sessions.
        best: best value of the monitored figure, None before the first evaluation.
        best_step: step at which it was reached.
        stopped: why a hook ended the run, empty while it goes on; a resumed run has ended too.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    seconds: float = 0.0
    best: float | None = None
    best_step: int = 0
    stopped: str = ""
    hooks: dict[str, dict[str, Any]] = field(default_factory=dict)


def steps_in_all(batches: int, accumulate: int, epochs: int, max_steps: int | None = None) -> int:
    """Optimizer steps of a training with so many batches in an epoch; the last step of an epoch may have fewer."""
    steps = -(-batches // accumulate) * epochs
    return steps if max_steps is None else min(max_steps, steps)


class Trainer:
    """Runs epochs of optimizer steps; everything else is a hook.

    Args:
        step: one optimizer step.
        loader: batches by epoch and position.
        evaluate: returns figures of the validation split; called after each epoch with a function to poll between
            its batches, which raises `Interrupted` when the user asked for it.
        hooks: called in order at each event.
        epochs: how many.
        max_steps: end after so many optimizer steps.
        accumulate: batches per optimizer step.
        monitor: the figure that tells which epoch is best.
        mode: whether more of it is better.
        folder: where hooks write.
        averaging: of the weights, which is what is evaluated and saved; None takes the last ones.
    """

    def __init__(
        self,
        step: TrainStep,
        loader: Batches,
        evaluate: Callable[[Callable[[], None]], dict[str, float]],
        hooks: Sequence[Hook] = (),
        *,
        epochs: int,
        max_steps: int | None = None,
        accumulate: int = 1,
        monitor: str = "loss",
        mode: Literal["max", "min"] = "min",
        folder: Path = Path("."),
        averaging: Averaging | None = None,
    ) -> None:
        self.step = step
        self.loader = loader
        self.evaluate = evaluate
        self.hooks = list(hooks)
        self.epochs = epochs
        self.accumulate = accumulate
        self.monitor = monitor
        self.mode = mode
        self.folder = folder
        self.processes = getattr(step, "processes", SINGLE)
        self.averaging = averaging
        self.total_steps = steps_in_all(len(loader), accumulate, epochs, max_steps)
        self.state = TrainState()
        self.batches: list[Batch] = []
        self.waited = 0.0
        self.terms: dict[str, float] = {}
        self.figures: dict[str, float] = {}
        self.improved = False
        self._signal: int | None = None

    @property
    def learning_rate(self) -> float:
        """The rate of the last step."""
        return float(self.step.scheduler())

    def is_better(self, value: float, than: float, by: float = 0.0, mode: Literal["max", "min"] | None = None) -> bool:
        """Whether ``value`` beats ``than`` by more than ``by`` in the direction of ``mode``; NaN never does."""
        if math.isnan(than):
            return not math.isnan(value)
        return value > than + by if (mode or self.mode) == "max" else value < than - by

    def stop(self, reason: str) -> None:
        """Ask for the end after this epoch."""
        self.state.stopped = reason

    def fit(self) -> None:
        """Train from ``state`` to the end. Raises `Interrupted` after Ctrl-C, with everything saved by the hooks."""
        handlers = self._catch_signals()
        try:
            self._tell("on_start")
            if self.state.step:  # an evaluation may come before the next step, and is logged with the rate of the last
                self.step.set_rate(self.state.step - 1)
            while self.state.epoch < self.epochs and self.state.step < self.total_steps and not self.state.stopped:
                self._run_epoch()
        except BaseException as error:
            self._tell_stop(error)
            raise
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        self._tell_stop(None)

    def state_dict(self) -> dict[str, Any]:
        """Everything of the run that is not weights or optimizer state, as JSON values."""
        saved = {name: hook.state_dict() for name, hook in self._stateful().items()}
        return {**asdict(self.state), "hooks": saved}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on where ``saved`` was. Raises CheckpointError when it is not of this form."""
        try:
            self.state = TrainState(**saved)
        except TypeError as error:
            raise CheckpointError(f"the checkpoint's training state is not of this version: {error}") from error
        for name, hook in self._stateful().items():
            known = name if name in self.state.hooks else name.removesuffix(".0")  # the first checkpoints had no number
            if known in self.state.hooks:
                hook.load_state_dict(self.state.hooks[known])

    def _stateful(self) -> dict[str, Any]:
        """The hooks that have a state, by class and number among the hooks of that class."""
        named: dict[str, Any] = {}
        seen: Counter[str] = Counter()
        for hook in self.hooks:
            kind = type(hook).__name__
            if hasattr(hook, "state_dict"):
                named[f"{kind}.{seen[kind]}"] = hook
            seen[kind] += 1
        return named

    def _run_epoch(self) -> None:
        state = self.state
        batches = self.loader.epoch(state.epoch, state.batch)
        began = time.monotonic()
        while state.step < self.total_steps and self._take(batches):
            self.terms = self.step(self.batches, state.step)
            state.step += 1
            state.batch += len(self.batches)
            if self.averaging is not None:
                ended = state.batch >= len(self.loader) or state.step >= self.total_steps
                self.averaging.update(state.step, self.total_steps, ended)
            now = time.monotonic()
            state.seconds += now - began
            began = now
            self._tell("on_step")
        self._poll()
        with self._averaged():
            self.figures = self.evaluate(self._poll)
        value = self.figures[self.monitor]
        self.improved = self.is_better(value, float("nan") if state.best is None else state.best)
        if self.improved:
            state.best, state.best_step = value, state.step
        if state.batch >= len(self.loader):  # max_steps may end a run in the middle of an epoch
            state.epoch, state.batch = state.epoch + 1, 0
        self._tell("on_epoch")
        state.stopped = next(filter(None, self.processes.exchange(state.stopped)), "")

    def _averaged(self) -> AbstractContextManager[None]:
        """The model has its average within; what one process cannot read for its statistics ends all."""
        if self.averaging is None:
            return nullcontext()
        again = self.processes.agreed(self.loader.epoch(self.state.epoch, 0))
        return self.averaging.applied(again, getattr(self.step, "resting", ()))

    def _take(self, batches: Iterator[Batch]) -> bool:
        """Let ``batches`` of the trainer be those of the next step; False at the end of the epoch.

        Raises what another process could not read, too.
        """
        if self.processes.world == 1:
            self._poll()
        began = time.monotonic()
        group: list[Batch] = []
        problem = None
        try:
            group = list(islice(batches, self.accumulate))
        except DataError as error:
            if self.processes.world == 1:
                raise
            problem = error
        self.waited += time.monotonic() - began
        if self.processes.world > 1:
            self._poll(problem)
        if group:
            self.batches = group
        return bool(group)

    def _tell(self, event: str, *arguments: Any) -> None:
        for hook in self.hooks:
            getattr(hook, event)(self, *arguments)

    def _tell_stop(self, error: BaseException | None) -> None:
        """Tell every hook, whatever another one does then; what ended the run stays the error of the run."""
        failed: Exception | None = None
        for hook in self.hooks:
            try:
                hook.on_stop(self, error)
            except Exception as problem:
                failed = failed or problem
                if error is not None:
                    print(f"{type(hook).__name__}.on_stop: {type(problem).__name__}: {problem}", file=sys.stderr)
        if failed is not None and error is None:
            raise failed

    def _poll(self, problem: DataError | None = None) -> None:
        """End all processes at the same step when one was asked to end, or has met a ``problem``."""
        number = self.processes.agree(problem, self._signal or 0)
        if number:
            raise Interrupted(128 + number)

    def _catch_signals(self) -> dict[int, Any]:
        """Let Ctrl-C and SIGTERM end the run at the next step's end; a second one ends it at once."""

        def note(number: int, frame: FrameType | None) -> None:
            if self._signal is not None and (self.processes.world == 1 or number == signal.SIGINT):
                raise KeyboardInterrupt  # Paddle's launcher sends SIGTERM twice within a second
            self._signal = number

        try:
            return {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: signals are somebody else's
            return {}
