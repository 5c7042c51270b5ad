"""Curves, pictures and histograms for VisualDL or TensorBoard."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from ppmm.engine.batch_pictures import batch_pictures
from ppmm.engine.event_files import EventWriter, open_events
from ppmm.engine.hooks import HookBase
from ppmm.engine.parameter_watch import ParameterWatch
from ppmm.engine.resources import Pace, Processor, memory_figures
from ppmm.engine.weights import trained_parameters
from ppmm.registry import HOOKS

__all__ = ["Scalars"]


@HOOKS.register("scalars")
class Scalars(HookBase):
    """Writes under ``<run>/scalars``: loss and learning rate by step, figures of the validation by epoch.

    ``visualdl --logdir output`` or ``tensorboard --logdir output`` shows them. What is not finite is left out. A
    resumed run first removes the points after its checkpoint's step, so that no point stands twice.

    Args:
        every: steps between two points.
        writer: whose files.
        system: also write ``system/...``: CPU percent of the process and of the machine, resident memory, memory of
            the GPU, samples per second, and the share of the training time that waited for data.
        images: so many rows of a batch of each epoch as the model sees them: images, and audio features as
            spectrograms.
        histograms: steps between two histograms of each parameter's weights (``weight/...``) and gradients
            (``gradient/...``), with ``update_ratio/...``, the norm of that step's update over the weight's; null
            writes none.
    """

    first_process_only = True

    def __init__(
        self,
        every: int = 10,
        writer: Literal["visualdl", "tensorboard"] = "visualdl",
        system: bool = True,
        images: int = 0,
        histograms: int | None = None,
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1, got {every}")
        if images < 0:
            raise ValueError(f"images must be at least 0, got {images}")
        if histograms is not None and histograms < 1:
            raise ValueError(f"histograms must be at least 1, or null for none, got {histograms}")
        self.every, self.kind, self.system, self.images, self.histograms = every, writer, system, images, histograms
        self.writer: EventWriter | None = None
        self.pictured = -1

    def on_start(self, trainer: Any) -> None:
        self.began = trainer.state.step
        self.writer, self.there = open_events(self.kind, trainer.folder / "scalars", self.began)
        self.pace, self.processor = Pace(trainer), Processor()
        self.watch = ParameterWatch(trained_parameters(trainer.step.model, trainer.step.objective))
        self._arm(trainer)

    def on_step(self, trainer: Any) -> None:
        step = trainer.state.step
        self.pace.count(trainer)
        if self.images and self.pictured != trainer.state.epoch:
            self.pictured = trainer.state.epoch
            self._write_pictures(trainer)
        if self.histograms is not None and step % self.histograms == 0:
            self._write_parameters(step)
        if step % self.every == 0:
            figures = {f"train/{name}": value for name, value in trainer.terms.items()}
            if self.system:
                system = {**self.processor.read(), **memory_figures(), **self.pace.read(trainer)}
                figures |= {f"system/{name}": value for name, value in system.items()}
            self._write({**figures, "learning_rate": trainer.learning_rate}, step)
        self._arm(trainer)

    def on_epoch(self, trainer: Any) -> None:
        step = trainer.state.step
        figures = {f"val/{name}": value for name, value in trainer.figures.items()}
        if step == self.began:  # resumed between the last step of an epoch and its evaluation
            figures = {tag: value for tag, value in figures.items() if tag not in self.there}
        self._write(figures, step)
        if self.writer is not None:
            self.writer.flush()

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        if self.writer is not None:
            self.watch.disarm()
            self.writer.close()

    def _arm(self, trainer: Any) -> None:
        if self.histograms is not None and (trainer.state.step + 1) % self.histograms == 0:
            self.watch.arm()

    def _write(self, figures: dict[str, float], step: int) -> None:
        assert self.writer is not None
        for tag, value in figures.items():
            if math.isfinite(value):
                self.writer.scalar(tag, value, step)

    def _write_pictures(self, trainer: Any) -> None:
        assert self.writer is not None
        for field, pictures in batch_pictures(trainer.batches[0], self.images).items():
            for number, picture in enumerate(pictures):
                self.writer.image(f"{field}/{number}", picture, trainer.state.step)

    def _write_parameters(self, step: int) -> None:
        assert self.writer is not None
        for reading in self.watch.read():
            for kind, values in (("weight", reading.weight), ("gradient", reading.gradient)):
                finite = values[np.isfinite(values)] if values is not None else np.zeros(0)
                if finite.size:
                    self.writer.histogram(f"{kind}/{reading.name}", finite, step)
            if reading.update_ratio is not None:
                self._write({f"update_ratio/{reading.name}": reading.update_ratio}, step)
