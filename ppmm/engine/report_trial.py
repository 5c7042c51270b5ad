"""A run that is a trial of a study: it reports after each epoch, and ends when the study prunes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ppmm.engine.hooks import HookBase
from ppmm.errors import ConfigError
from ppmm.registry import HOOKS

__all__ = ["PRUNED", "ReportTrial", "make_pruner", "open_storage"]

PRUNED = "pruned"
"""User attribute of a trial: the epoch after which it was ended."""
LOCK_SECONDS = 120


@HOOKS.register("report_trial")
class ReportTrial(HookBase):
    """Tells a study of Optuna the monitored figure of each epoch; ``tools/tune.py`` writes this entry.

    Args:
        study: the SQLite file.
        trial: number of the trial that this run is.
        pruner: ``median`` ends a run that is worse than the median of the others at this epoch (Golovin et al. 2017),
            ``hyperband`` most runs early and few late (Li et al. 2018), ``none`` no run.
        epochs: of a whole run, for hyperband.

    Raises:
        ConfigError: Optuna is not installed, or there is no such trial.
    """

    def __init__(
        self, study: str, trial: int, pruner: Literal["median", "hyperband", "none"] = "median", epochs: int = 100
    ) -> None:
        if epochs < 1:
            raise ValueError(f"epochs must be at least 1, got {epochs}")
        self.path = Path(study)
        self.number = trial
        self.pruner = pruner
        self.epochs = epochs
        self._trial: Any = None

    def on_start(self, trainer: Any) -> None:
        storage = open_storage(self.path, must_exist=True)
        import optuna

        (name,) = optuna.get_all_study_names(storage)
        study = optuna.load_study(
            study_name=name,
            storage=storage,
            sampler=optuna.samplers.RandomSampler(),  # asks for nothing here
            pruner=make_pruner(self.pruner, self.epochs),
        )
        trials = study.get_trials(deepcopy=False)
        if not 0 <= self.number < len(trials):
            raise ConfigError(f"report_trial: {self.path} has no trial {self.number}")
        self._trial = optuna.trial.Trial(study, trials[self.number]._trial_id)

    def on_epoch(self, trainer: Any) -> None:
        from optuna.exceptions import UpdateFinishedTrialError

        epoch = trainer.state.epoch + (1 if trainer.state.batch else 0)
        try:
            self._trial.report(trainer.figures[trainer.monitor], epoch)
            if self._trial.should_prune():
                self._trial.set_user_attr(PRUNED, epoch)
                trainer.stop(f"pruned after epoch {epoch}: other trials were better by then")
        except UpdateFinishedTrialError:
            trainer.stop(f"trial {self.number} was given up by its study")


def open_storage(path: Path, must_exist: bool = False) -> Any:
    """The SQLite file of a study. Raises ConfigError without Optuna, or when the file is something else."""
    try:
        import optuna
        from sqlalchemy.exc import SQLAlchemyError
    except ImportError as error:
        raise ConfigError("tuning needs Optuna: pip install 'ppmm[tune]'") from error
    if must_exist and not path.is_file():
        raise ConfigError(f"report_trial: there is no study {path}")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        url = f"sqlite:///{path.absolute()}"
        waiting = {"connect_args": {"timeout": LOCK_SECONDS}}
        return optuna.storages.RDBStorage(url, waiting, skip_table_creation=must_exist)
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{path} is no study, or cannot be written: {reason}; name another file") from error


def make_pruner(name: str, epochs: int) -> Any:
    """Optuna's pruner of that name."""
    import optuna

    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)  # never after the first epoch
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=3)
    return optuna.pruners.NopPruner()
