"""A hook of your own: one line per epoch in a CSV, with how long the best epoch has stood.

plugins: [docs/examples/epoch_table.py]
hooks:
  - {name: epoch_table, figures: [loss, accuracy]}
"""

from __future__ import annotations

import csv
from typing import Any

from ppmm.engine.hooks import HookBase
from ppmm.registry import HOOKS


@HOOKS.register("epoch_table")
class EpochTable(HookBase):
    """Writes ``<run>/epochs.csv``: epoch, step, seconds, the figures, and epochs since the best one.

    Args:
        figures: figures of the validation, in the order of the columns; null takes all of them.
        file: name of the table in the run folder.
    """

    first_process_only = True  # of several processes, one writes

    def __init__(self, figures: list[str] | None = None, file: str = "epochs.csv") -> None:
        self.figures = figures
        self.file = file
        self.since_best = 0

    def on_start(self, trainer: Any) -> None:
        """A resumed run keeps the lines of the epochs that its checkpoint has."""
        self.path = trainer.folder / self.file
        lines: list[list[str]] = []
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                lines = [line for line in csv.reader(file) if line[0] == "epoch" or int(line[0]) <= trainer.state.epoch]
        self._write(lines, "w")

    def on_epoch(self, trainer: Any) -> None:
        names = self.figures or list(trainer.figures)
        self.since_best = 0 if trainer.improved else self.since_best + 1
        state = trainer.state
        head = [] if self.path.stat().st_size else [["epoch", "step", "seconds", *names, "since_best"]]
        figures = [trainer.figures[name] for name in names]
        self._write([*head, [state.epoch, state.step, round(state.seconds, 1), *figures, self.since_best]], "a")

    def on_stop(self, trainer: Any, error: BaseException | None) -> None:
        """Say why a run that did not reach its end stopped."""
        if error is not None:
            print(f"{self.path}: ended by {type(error).__name__} at step {trainer.state.step}")

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know; JSON values, saved in every checkpoint."""
        return {"since_best": self.since_best}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.since_best = saved["since_best"]

    def _write(self, lines: list[list[Any]], mode: str) -> None:
        with self.path.open(mode, encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)
