"""How far a run is and how long it will take."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from ppmm.engine.hooks import HookBase

__all__ = ["Progress"]


class Progress(HookBase):
    """A bar with samples/s and the time left; plain lines every ``seconds`` where stderr is not a terminal."""

    first_process_only = True

    def __init__(self, seconds: float = 15.0) -> None:
        self.seconds = seconds
        self.bar: tqdm | None = None
        self.terminal = sys.stderr.isatty()
        self.said = self.began = 0.0
        self.began_step = 0

    def on_start(self, trainer: Any) -> None:
        self.said = self.began = time.monotonic()
        self.began_step = trainer.state.step
        if self.terminal:
            self.bar = tqdm(total=trainer.total_steps, initial=trainer.state.step, unit="step", dynamic_ncols=True)

    def on_step(self, trainer: Any) -> None:
        if self.bar is not None:
            self.bar.set_description(f"epoch {trainer.state.epoch + 1}/{trainer.epochs}", refresh=False)
            self.bar.set_postfix_str(f"{self._speed(trainer):.0f} samples/s, loss {trainer.terms['loss']:.3f}", False)
            self.bar.update()
        elif time.monotonic() - self.said >= self.seconds:
            self.said = time.monotonic()
            state = trainer.state
            left = (trainer.total_steps - state.step) * (self.said - self.began) / (state.step - self.began_step)
            self._say(
                f"epoch {state.epoch + 1}/{trainer.epochs} step {state.step}/{trainer.total_steps} "
                f"loss {trainer.terms['loss']:.3f} {self._speed(trainer):.0f} samples/s, at most {_clock(left)} left"
            )

    def on_epoch(self, trainer: Any) -> None:
        figures = " ".join(f"{name} {value:.4f}" for name, value in trainer.figures.items())
        number = trainer.state.epoch + (1 if trainer.state.batch else 0)
        self._say(f"epoch {number}/{trainer.epochs} val {figures}{' *' if trainer.improved else ''}")

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        if self.bar is not None:
            self.bar.close()
        if trainer.state.stopped and error is None:
            self._say(f"stopped: {trainer.state.stopped}")

    def _speed(self, trainer: Any) -> float:
        steps = trainer.state.step - self.began_step
        samples = steps * trainer.loader.batch_size * trainer.accumulate
        return float(samples / max(1e-9, time.monotonic() - self.began))

    def _say(self, text: str) -> None:
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
