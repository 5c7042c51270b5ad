"""The study of tools/tune.py: an SQLite file of trials that a kill leaves usable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.tune_space import Dimension
from ppmm.config import ConfigNode, changed_keys, dump, loads
from ppmm.engine.report_trial import PRUNED, make_pruner, open_storage
from ppmm.errors import ConfigError

__all__ = ["TuningStudy"]

FREE = ("name", "output", "device", "threads", "loader.workers", "trainer.log_every", "trainer.save_every", "export")
"""Keys whose change leaves the figures of a study comparable."""
RETRIES = 2
RETRIED, TRIES = "retried", "tries"


class TuningStudy:
    """Asks for trials and is told how they ended.

    Args:
        path: the SQLite file; made where there is none.
        config: the checked experiment.
        space: what is tuned.
        seed: equal seeds and equal ends of the earlier trials ask for equal values.
        jobs: trials at the same time.
        pruner: see `ReportTrial`.

    Raises:
        ConfigError: the file is no study, or one of another experiment or space.
    """

    def __init__(
        self,
        path: Path,
        config: ConfigNode,
        space: Mapping[str, Dimension],
        *,
        seed: int = 0,
        jobs: int = 1,
        pruner: str = "median",
    ) -> None:
        self.path, self.space, self.seed, self.jobs = path, space, seed, jobs
        self.monitor = config["trainer"].get("monitor", "accuracy")
        self.mode = config["trainer"].get("mode", "max")
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = open_storage(path)
        import optuna

        self._states = optuna.trial.TrialState
        names = optuna.get_all_study_names(storage)
        self.study = optuna.create_study(
            study_name=names[0] if names else config["name"],
            storage=storage,
            load_if_exists=True,
            direction="maximize" if self.mode == "max" else "minimize",
            pruner=make_pruner(pruner, config["trainer"]["epochs"]),
        )
        self._same(config)

    def _same(self, config: ConfigNode) -> None:
        """Keep what the study is of, or compare with it. Raises ConfigError."""
        space = {key: [one.kind, list(one.values), one.step] for key, one in self.space.items()}
        kept = self.study.user_attrs
        if "config" not in kept:
            self.study.set_user_attr("config", dump(config))
            self.study.set_user_attr("space", space)
            return
        changed = changed_keys(loads(kept["config"], file=f"{self.path}"), config)
        bound = [key for key in changed if not key.startswith(FREE)]
        if bound:
            raise ConfigError(
                f"{self.path} is a study of another experiment: {', '.join(bound)} differ; name another --study"
            )
        if kept["space"] != json.loads(json.dumps(space)):
            raise ConfigError(f"{self.path} is a study of another space; name another --study")

    @property
    def trials(self) -> list[Any]:
        """All trials, as Optuna has them."""
        found: list[Any] = self.study.get_trials(deepcopy=False)
        return found

    def counted(self) -> list[Any]:
        """The trials that have ended and are not made again."""
        ended = (self._states.COMPLETE, self._states.PRUNED, self._states.FAIL)
        return [trial for trial in self.trials if trial.state in ended and not trial.user_attrs.get(RETRIED)]

    def recover(self) -> list[int]:
        """Mark trials that a kill has left running as failed, and queue their values again; returns their numbers.

        Nobody else may be at work with the study.
        """
        running = [trial for trial in self.trials if trial.state == self._states.RUNNING]
        for trial in running:
            self._again(self._handle(trial.number), trial.params, trial.user_attrs.get(TRIES, 0))
        return [trial.number for trial in running]

    def ask(self) -> tuple[Any, dict[str, Any]]:
        """A new trial and its value of each key."""
        import optuna

        # Seeded by the number of the trial: a study that goes on must not ask for its first random values again.
        seed = int(np.random.SeedSequence([self.seed, len(self.trials)]).generate_state(1)[0])
        self.study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=self.jobs > 1)
        trial = self.study.ask()
        return trial, {key: dimension.suggest(trial, key) for key, dimension in self.space.items()}

    def finish(self, number: int) -> None:
        """A run ended by itself: its best epoch counts; what the study has pruned is marked so."""
        trial = self.trials[number]
        values = list(trial.intermediate_values.values())
        known = [value for value in values if np.isfinite(value)]
        if PRUNED in trial.user_attrs:
            self.study.tell(number, state=self._states.PRUNED)
        elif known:
            self.study.tell(number, max(known) if self.mode == "max" else min(known))
        else:
            self.fail(number, f"no epoch had a finite {self.monitor}")

    def fail(self, number: int, reason: str) -> None:
        """A run ended with an error; its values are not tried again."""
        self._handle(number).set_user_attr("error", reason)
        self.study.tell(number, state=self._states.FAIL)

    def killed(self, number: int, reason: str) -> bool:
        """A run was killed: its values are tried again, twice at most; returns whether they are."""
        trial = self.trials[number]
        tries = trial.user_attrs.get(TRIES, 0) + 1
        if tries > RETRIES:
            self.fail(number, f"{reason}, {tries} times")
            return False
        handle = self._handle(number)
        handle.set_user_attr("error", reason)
        self._again(handle, trial.params, tries)
        return True

    def values(self, trial: Any) -> dict[str, Any]:
        """The value of each key in a trial."""
        return {key: self.space[key].value_of(value) for key, value in trial.params.items()}

    def best(self) -> Any:
        """The best complete trial; None where there is none."""
        complete = [trial for trial in self.trials if trial.state == self._states.COMPLETE]
        if not complete:
            return None
        return (max if self.mode == "max" else min)(complete, key=lambda trial: trial.value)

    def _again(self, handle: Any, params: Mapping[str, Any], tries: int) -> None:
        # Queued first: a kill between the two makes a trial twice rather than not at all.
        if set(params) == set(self.space):
            self.study.enqueue_trial(dict(params), user_attrs={TRIES: tries, "retry_of": handle.number})
        handle.set_user_attr(RETRIED, True)
        self.study.tell(handle.number, state=self._states.FAIL)

    def _handle(self, number: int) -> Any:
        import optuna

        return optuna.trial.Trial(self.study, self.trials[number]._trial_id)
