"""Where the time of a step goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Any

import paddle
from paddle import profiler

from ppmm.engine.hooks import HookBase
from ppmm.engine.precision import Precision

__all__ = ["Profile"]

SECTIONS = ("data", "forward", "loss", "backward", "optimizer", "hooks", "other")


class Profile(HookBase):
    """Writes ``profile/trace.json``, ``steps.json`` and ``steps.md`` in the run folder; first among the hooks.

    The trace is for chrome://tracing or https://ui.perfetto.dev. The table has, for each profiled step and on average,
    the milliseconds of ``data`` (waiting for the batches), ``forward`` (the model), ``loss`` (the objective),
    ``backward``, ``optimizer`` (clipping and update), ``hooks`` and ``other`` (seeding, schedule, what is between).
    On a GPU each section waits for the device: sections are right, the step is slower than without.

    Nothing is wrapped before the first and after the last profiled step.

    Args:
        first: the first step that is profiled, counted from the start of the session; less where it is a short one.
        count: how many.
    """

    first_process_only = True

    def __init__(self, first: int = 10, count: int = 20) -> None:
        self.first = first
        self.count = count
        self.clock = _Clock()
        self._before: tuple[Any, Any] | None = None
        self._profiler: Any = None
        self._begin = 0

    def on_start(self, trainer: Any) -> None:
        left = trainer.total_steps - trainer.state.step
        self._begin = trainer.state.step + min(self.first, max(0, left - self.count))
        # Loader and end of the hooks are met once a batch and once a step: wrapped throughout, at no cost that shows.
        self._before = (trainer.loader, trainer.step.precision)
        trainer.loader = _TimedLoader(trainer.loader, self.clock)
        trainer.hooks.append(_LastHook(self))
        if left > 0 and trainer.state.step >= self._begin:
            self._open(trainer)

    def on_step(self, trainer: Any) -> None:
        self.clock.enter("hooks")

    def end_step(self, trainer: Any) -> None:
        """After the other hooks: what comes now is of the next step, or of none."""
        self.clock.enter(None)
        if self._profiler is not None:
            self.clock.end_step(trainer.state.step)
            if len(self.clock.steps) == self.count:
                self._close(trainer)
        elif not self.clock.steps and trainer.state.step >= self._begin:
            self._open(trainer)

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        if self._profiler is not None:
            self._close(trainer)
        if self._before is not None:
            trainer.loader = self._before[0]

    def _open(self, trainer: Any) -> None:
        targets = [profiler.ProfilerTarget.CPU]
        if paddle.device.is_compiled_with_cuda():
            targets.append(profiler.ProfilerTarget.GPU)
        self._profiler = profiler.Profiler(targets=targets, on_trace_ready=lambda done: None)
        trainer.step.precision = _TimedPrecision(trainer.step.precision, self.clock)
        self._profiler.start()
        self.clock.running = True

    def _close(self, trainer: Any) -> None:
        assert self._before is not None
        self.clock.enter(None)
        self.clock.running = False
        self._profiler.stop()
        trainer.step.precision = self._before[1]
        folder = trainer.folder / "profile"
        folder.mkdir(parents=True, exist_ok=True)
        self._profiler.export(str(folder / "trace.json"), format="json")
        self._profiler = None
        steps = self.clock.steps
        if steps:
            means = {name: sum(step[name] for step in steps) / len(steps) for name in (*SECTIONS, "total")}
            document = {"unit": "ms", "steps": steps, "mean": means}
            (folder / "steps.json").write_text(json.dumps(document, indent=2), encoding="utf-8")
            (folder / "steps.md").write_text(_table(steps, means), encoding="utf-8")


class _LastHook(HookBase):
    """Ends the time of the hooks."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def on_step(self, trainer: Any) -> None:
        self.profile.end_step(trainer)


class _Clock:
    """Adds up the time of the sections of each step, in ms."""

    def __init__(self) -> None:
        self.running = False
        self.steps: list[dict[str, float]] = []
        self.sums = dict.fromkeys(SECTIONS, 0.0)
        self.current: str | None = None
        self.since = 0.0
        self.event: Any = None

    def enter(self, section: str | None) -> None:
        """End the section under way and begin ``section``; None is what belongs to no step."""
        if not self.running:
            return
        if paddle.device.get_device().startswith("gpu"):
            paddle.device.synchronize()
        now = perf_counter()
        if self.current is not None:
            self.sums[self.current] += (now - self.since) * 1e3
            self.event.end()
        self.current, self.since = section, now
        if section is not None:
            self.event = profiler.RecordEvent(f"ppmm.{section}")
            self.event.begin()

    def end_step(self, number: int) -> None:
        self.steps.append({"step": number, **self.sums, "total": sum(self.sums.values())})
        self.sums = dict.fromkeys(SECTIONS, 0.0)


class _TimedLoader:
    """A loader whose waiting time is known."""

    def __init__(self, loader: Any, clock: _Clock) -> None:
        self._loader = loader
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def __len__(self) -> int:
        return len(self._loader)

    def epoch(self, epoch: int, start: int) -> Iterator[Any]:
        batches = iter(self._loader.epoch(epoch, start))
        while True:
            self._clock.enter("data")
            batch = next(batches, None)
            self._clock.enter("other" if batch is not None else None)
            if batch is None:
                return
            yield batch


class _TimedPrecision(Precision):
    """A precision whose forward, backward and update are timed; between forward and backward is the loss."""

    def __init__(self, precision: Precision, clock: _Clock) -> None:
        self._precision = precision
        self._clock = clock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._precision, name)

    def prepare(self, model: Any) -> None:
        self._precision.prepare(model)

    @contextmanager
    def forward(self) -> Iterator[None]:
        self._clock.enter("forward")
        with self._precision.forward():
            yield
        self._clock.enter("loss")

    def full(self, outputs: Any) -> Any:
        return self._precision.full(outputs)

    def backward(self, loss: Any) -> None:
        self._clock.enter("backward")
        self._precision.backward(loss)
        self._clock.enter("other")

    def update(self, optimizer: Any) -> dict[str, float]:
        self._clock.enter("optimizer")
        figures = self._precision.update(optimizer)
        self._clock.enter("other")
        return figures

    def state_dict(self) -> dict[str, Any]:
        return self._precision.state_dict()

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self._precision.load_state_dict(saved)


def _table(steps: list[dict[str, float]], means: dict[str, float]) -> str:
    """Markdown: a row for each step, then the mean and each section's share."""
    columns = (*SECTIONS, "total")
    lines = [f"| step (ms) | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    for step in steps:
        lines.append(f"| {step['step']:.0f} | {' | '.join(f'{step[name]:.2f}' for name in columns)} |")
    lines.append(f"| **mean** | {' | '.join(f'{means[name]:.2f}' for name in columns)} |")
    whole = max(means["total"], 1e-9)
    lines.append(f"| **share** | {' | '.join(f'{100 * means[name] / whole:.1f} %' for name in columns)} |")
    return "\n".join(lines) + "\n"
