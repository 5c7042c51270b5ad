"""tools/tune.py: the space, the study, pruning, kills, and that the better setting is found."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ppmm.app import tune as app
from ppmm.app.experiment import open_experiment
from ppmm.app.tune import TrialEnd, TrialRun, run_trial, tune
from ppmm.app.tune_report import importances
from ppmm.app.tune_space import open_space, override
from ppmm.app.tune_study import TuningStudy
from ppmm.config import load
from ppmm.engine.report_trial import ReportTrial
from ppmm.errors import ConfigError, DataError, PpmmError

pytest.importorskip("optuna")
RATES = "optimizer.learning_rate: {log_uniform: [1e-5, 1e-1]}\n"


@pytest.fixture
def config(write_config: Callable[..., Path]) -> str:
    return str(write_config())


@pytest.fixture
def space(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "space.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


# --- the space ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "optimizer.learning_rat: {uniform: [0, 1]}",
            "space.yaml:1 optimizer.learning_rat: .*did you mean 'learning_rate'",
        ),
        ("optimzer.learning_rate: {uniform: [0, 1]}", "optimzer.*did you mean 'optimizer'"),
        ("optimizer.learning_rate: {log_unifrm: [1, 2]}", "space.yaml:1.*did you mean 'log_uniform'"),
        ("seed: {int: [0, 3]}\noptimizer.learning_rate: 0.1", "space.yaml:2 .*expected a range such as"),
        ("optimizer.learning_rate: {step: 2}", "needs one of choice, int, .* has none"),
        ("optimizer.learning_rate: {uniform: [0.1, 1], choice: [1, 2]}", "has choice and uniform"),
        ("optimizer.learning_rate: {uniform: [1, 0.1]}", "the lowest, 1, must be below the highest, 0.1"),
        ("optimizer.learning_rate: {log_uniform: [0, 0.1]}", "a logarithm needs values above 0, got 0"),
        ("optimizer.learning_rate: {uniform: [0.1]}", r"expected \[lowest, highest\], two numbers"),
        ("optimizer.learning_rate: {uniform: [0.1, .nan]}", r"expected \[lowest, highest\], two numbers"),
        ("loader.batch_size: {int: [1.5, 8]}", r"expected \[lowest, highest\], two integers"),
        ("loader.batch_size: {int: [1, 8], step: 0}", "step: is for 'int' only"),
        ("loader.batch_size: {uniform: [1, 8]}", None),
        ("loader.batch_size: {int: [0, 8]}", "space.yaml:1 loader.batch_size: .*refuses 0 .*must be at least 1"),
        ("model.fusion: {choice: [{name: gated}, {name: gatd}]}", "refuses a mapping.*did you mean 'gated'"),
        ("loader.batch_size: {choice: [8]}", "needs at least two choices"),
        ("loader.batch_size: {choice: [8, 8]}", "8 is listed twice"),
        ("trainer.monitor: {choice: [loss, accuracy]}", "is the same for every trial"),
        ("data.val.limit: {int: [1, 3]}", None),
        ("hooks: {choice: [[], []]}", "is the same for every trial"),
        ("{}", "no key to tune"),
    ],
)
def test_a_wrong_space_is_told(config: str, space: Callable[[str], str], text: str, says: str | None) -> None:
    if says is None:
        says = "expected|refuses|is the same for every trial"
    with pytest.raises(ConfigError, match=says):
        found = open_space(space(text), config)
        # a range of floats whose ends happen to be integers is refused at the first value between them
        open_experiment(config, [override(key, sum(one.values) / 2.1) for key, one in found.items()])


def test_values_reach_the_experiment(config: str, space: Callable[[str], str]) -> None:
    found = open_space(
        space(
            RATES
            + "loader.batch_size: {log_int: [4, 64]}\nmodel.fusion: {choice: [{name: gated}, {name: concat, dim: 4}]}"
        ),
        config,
    )
    drawn = SimpleNamespace(
        suggest_float=lambda key, low, high, log: 0.00123456789,
        suggest_int=lambda key, low, high, step, log: low if log else high,
        suggest_categorical=lambda key, labels: labels[1],
    )
    values = {key: dimension.suggest(drawn, key) for key, dimension in found.items()}
    assert values == {
        "optimizer.learning_rate": 0.001235, "loader.batch_size": 4, "model.fusion": {"name": "concat", "dim": 4},
    }  # fmt: skip
    config_node = open_experiment(config, [override(key, value) for key, value in values.items()])
    assert config_node["model"]["fusion"]["dim"] == 4 and config_node["optimizer"]["learning_rate"] == 0.001235


# --- trials without training ----------------------------------------------------------------------------------------


class Runs:
    """Stands for `run_trial`: five epochs that tend to 1 - (log10(rate) + 3)^2 / 10, told to the study by the hook.

    Trials of ``kills`` are killed in the third epoch.
    """

    def __init__(self, kills: tuple[int, ...] = ()) -> None:
        self.kills = kills
        self.rates: list[float] = []
        self.stopped: list[str] = []

    def __call__(self, run: TrialRun) -> TrialEnd:
        import math

        options = dict(word.split("=", 1) for word in run.arguments[run.arguments.index("-o") + 1 :])
        hook = json.loads(options["hooks"])[-1]
        assert hook.pop("name") == "report_trial" and options["name"] == f'"trial-{run.number:04d}"'
        rate = json.loads(options["optimizer.learning_rate"])
        self.rates.append(rate)
        report = ReportTrial(**hook)
        trainer = SimpleNamespace(monitor="accuracy", state=SimpleNamespace(epoch=0, batch=0), figures={}, stopped="")
        trainer.stop = lambda reason: setattr(trainer, "stopped", reason)
        report.on_start(trainer)
        for epoch in range(1, 6):
            if run.number in self.kills and epoch == 3:
                return TrialEnd(-9, "")
            trainer.state.epoch = epoch
            trainer.figures = {"accuracy": (1.0 - (math.log10(rate) + 3.0) ** 2 / 10) * epoch / 5}
            report.on_epoch(trainer)
            if trainer.stopped:
                break
        self.stopped.append(trainer.stopped)
        return TrialEnd(0, "")


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    fake = Runs()
    monkeypatch.setattr(app, "run_trial", fake)
    return fake


def test_the_better_of_two_settings_is_found_and_written(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs, capsys: pytest.CaptureFixture[str]
) -> None:
    path = space("optimizer.learning_rate: {choice: [1e-1, 1e-3]}\n")
    found = tune(config, path, ["trainer.epochs=5"], trials=4, out=str(tmp_path / "t"), pruner="none")
    assert set(runs.rates) == {0.1, 0.001} and found["best_overrides"] == ["optimizer.learning_rate=0.001"]
    best = next(trial for trial in found["trials"] if trial["trial"] == found["best"])
    assert best["value"] == pytest.approx(1.0) and best["epochs"] == 5
    assert best["curve"] == pytest.approx({str(epoch): epoch / 5 for epoch in range(1, 6)})
    tuned = open_experiment(tmp_path / "t" / "best.yaml")
    assert tuned["optimizer"]["learning_rate"] == 0.001 and tuned["name"] == "small-tuned" and "hooks" not in tuned
    said = capsys.readouterr().out
    assert f"next: python tools/train.py -c {config} -o trainer.epochs=5 optimizer.learning_rate=0.001\n" in said
    assert {file.name for file in (tmp_path / "t").glob("*.svg")} == {"history.svg", "parallel.svg"}


def test_a_study_goes_on_and_asks_as_if_it_had_never_stopped(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs
) -> None:
    path = space(RATES)
    tune(config, path, trials=3, out=str(tmp_path / "whole"), seed=3)
    whole, runs.rates = runs.rates, []
    tune(config, path, trials=1, out=str(tmp_path / "parts"), seed=3)
    tune(config, path, trials=3, out=str(tmp_path / "parts"), seed=3)
    assert runs.rates == whole and len(set(whole)) == 3
    tune(config, path, trials=3, out=str(tmp_path / "parts"), seed=3)
    assert len(runs.rates) == 3, "a complete study trained again"


@pytest.mark.parametrize(("pruner", "least"), [("median", 2), ("hyperband", 1)])
def test_bad_trials_are_pruned(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs, pruner: str, least: int
) -> None:
    found = tune(config, space(RATES), ["trainer.epochs=5"], trials=8, out=str(tmp_path / "t"), pruner=pruner)
    pruned = [trial for trial in found["trials"] if trial["state"] == "pruned"]
    best = max(trial["value"] for trial in found["trials"])
    assert pruned and all(least <= trial["epochs"] < 5 and trial["value"] < best for trial in pruned)
    assert sum("pruned after epoch" in reason for reason in runs.stopped) == len(pruned)
    assert found["trials"][found["best"]]["state"] == "complete"


def test_a_killed_trial_is_tried_again_with_the_same_values(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs
) -> None:
    runs.kills = (1,)
    found = tune(config, space(RATES), trials=3, out=str(tmp_path / "t"), pruner="none")
    assert [trial["state"] for trial in found["trials"]] == ["complete", "killed", "complete", "complete"]
    assert runs.rates[1] == runs.rates[2] and found["trials"][1]["error"] == "killed by signal 9"


def test_a_trial_that_is_always_killed_is_given_up(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs
) -> None:
    runs.kills = (1, 2, 3)
    found = tune(config, space(RATES), trials=2, out=str(tmp_path / "t"), pruner="none")
    assert [trial["state"] for trial in found["trials"]] == ["complete", "killed", "killed", "fail"]


def test_what_a_dead_tool_left_running_is_tried_again(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs
) -> None:
    """As after SIGKILL of tools/tune.py: trial 0 has no end."""
    path, file = space(RATES), tmp_path / "t" / "study.db"
    study = TuningStudy(file, open_experiment(config), open_space(path, config))
    _, values = study.ask()
    orphan = ReportTrial(str(file), 0)
    trainer = SimpleNamespace(monitor="accuracy", figures={"accuracy": 0.5}, state=SimpleNamespace(epoch=1, batch=0))
    orphan.on_start(trainer)
    found = tune(config, path, trials=1, out=str(tmp_path / "t"))
    assert [trial["state"] for trial in found["trials"]] == ["killed", "complete"]
    assert runs.rates == [values["optimizer.learning_rate"]]
    reasons: list[str] = []
    trainer.stop = reasons.append
    orphan.on_epoch(trainer)  # a run that outlived the tool
    assert reasons == ["trial 0 was given up by its study"]


def test_ctrl_c_ends_it_and_the_trial_comes_back(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = space(RATES)
    with monkeypatch.context() as patch:
        patch.setattr(app, "run_trial", lambda run: TrialEnd(130, "interrupted"))
        with pytest.raises(KeyboardInterrupt):
            tune(config, path, trials=2, out=str(tmp_path / "t"))
    found = tune(config, path, trials=1, out=str(tmp_path / "t"))
    assert [trial["state"] for trial in found["trials"]] == ["killed", "complete"]


def test_trials_that_all_fail_end_it(
    config: str, space: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "run_trial", lambda run: TrialEnd(2, "no such file x.jsonl (see log)"))
    with pytest.raises(PpmmError, match=r"the first 3 trials failed; the last: no such file x\.jsonl"):
        tune(config, space(RATES), trials=20, out=str(tmp_path / "t"))


def test_another_experiment_or_space_does_not_mix_in(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs
) -> None:
    study = {"trials": 1, "out": str(tmp_path / "t")}
    tune(config, space(RATES), **study)
    with pytest.raises(ConfigError, match=r"another experiment: trainer\.epochs differ; name another --study"):
        tune(config, space(RATES), ["trainer.epochs=7"], **study)
    with pytest.raises(ConfigError, match="another space; name another --study"):
        tune(config, space(RATES + "loader.batch_size: {int: [8, 16]}"), **study)
    tune(config, space(RATES), ["loader.workers=1"], **{**study, "trials": 2})  # changes no figure


@pytest.mark.parametrize("arguments", [{"trials": 0}, {"jobs": 0}])
def test_a_wrong_count_is_told(config: str, space: Callable[[str], str], arguments: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="both must be at least 1"):
        tune(config, space(RATES), **arguments)


def test_a_file_that_is_no_study_is_told(config: str, space: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database" * 1000)
    with pytest.raises(ConfigError, match=r"notes\.txt is no study"):
        tune(config, space(RATES), study=str(tmp_path / "notes.txt"), out=str(tmp_path / "t"))
    with pytest.raises(ConfigError, match="there is no study"):
        ReportTrial(str(tmp_path / "none.db"), 0).on_start(None)


def test_one_tool_at_a_time(config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs) -> None:
    held = (
        "import fcntl, sys, pathlib; sys.path.insert(0, '.'); from ppmm.app.claim import claim\n"
        f"lock = claim(pathlib.Path({str(tmp_path / 't')!r})); print('held', flush=True); sys.stdin.read()"
    )
    import subprocess

    with subprocess.Popen([sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(DataError, match="another run is at work in"):
            tune(config, space(RATES), trials=1, out=str(tmp_path / "t"))
        other.communicate()


def test_importances_name_the_key_that_matters(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs
) -> None:
    path = space(RATES + "optimizer.weight_decay: {uniform: [0.0, 0.1]}\n")
    found = tune(config, path, trials=7, out=str(tmp_path / "t"), pruner="none")
    assert found["importances"]["optimizer.learning_rate"] > 0.6
    assert "learning_rate" in (tmp_path / "t" / "importance.svg").read_text()
    assert sum(found["importances"].values()) == pytest.approx(1.0, abs=1e-3)
    few = TuningStudy(tmp_path / "few.db", open_experiment(config), open_space(path, config))
    assert importances(few) == {}


def test_several_jobs_and_ray_run_the_same_trials(
    config: str, space: Callable[[str], str], tmp_path: Path, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ppmm.app.ray_engine

    asked: list[tuple[str | None, int]] = []

    class Engine:
        def __init__(self, address: str | None, workers: int) -> None:
            asked.append((address, workers))

        def map(self, function: Callable[[Any], Any], pieces: list[Any]) -> Any:
            return ((number, function(piece)) for number, piece in enumerate(pieces))

    monkeypatch.setattr(ppmm.app.ray_engine, "RayEngine", Engine)
    found = tune(config, space(RATES), trials=3, jobs=2, engine="ray", address="auto", out=str(tmp_path / "t"))
    assert asked == [("auto", 2)] and len(found["trials"]) == 3 and len(runs.rates) == 3


# --- processes and real training ------------------------------------------------------------------------------------


def test_how_a_process_ends_is_told(tmp_path: Path) -> None:
    def end(code: str) -> TrialEnd:
        return run_trial(TrialRun(0, ["-c", code], str(tmp_path), str(tmp_path / "logs" / "x.log")))

    assert end("import os; os.kill(os.getpid(), 9)").code == -9
    failed = end("import sys; print('error: a wrong key', file=sys.stderr); sys.exit(2)")
    assert failed.code == 2 and failed.message.startswith("a wrong key (see ")
    assert end("print('fine')").code == 0


def test_real_runs_find_the_rate_that_learns(
    write_config: Callable[..., Path], space: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trainer itself, in this process: a rate of 1e-9 learns nothing, 1e-2 does."""
    from ppmm.app.train import train

    def here(run: TrialRun) -> TrialEnd:
        train(run.arguments[2], run.arguments[run.arguments.index("-o") + 1 :])
        return TrialEnd(0, "")

    monkeypatch.setattr(app, "run_trial", here)
    path = str(
        write_config(
            fields={"image": {"name": "image", "size": [16, 16], "channels": 1}},
            model={
                "name": "late_fusion", "encoders": {"image": {"name": "cnn", "channels": [4]}},
                "fusion": {"name": "concat", "dim": 8}, "head": {"name": "linear"},
            },
            trainer={"epochs": 2, "monitor": "loss", "mode": "min"},
        )
    )  # fmt: skip
    found = tune(path, space("optimizer.learning_rate: {choice: [1e-9, 1e-2]}"), trials=3, out=str(tmp_path / "t"))
    assert found["best_overrides"] == ["optimizer.learning_rate=0.01"]
    assert {trial["values"]["optimizer.learning_rate"] for trial in found["trials"]} == {1e-9, 1e-2}
    saved = load(tmp_path / "t" / "trials" / "trial-0000" / "config.yaml")
    assert saved["hooks"][-1]["name"] == "report_trial"
