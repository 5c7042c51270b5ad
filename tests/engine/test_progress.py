"""Lines about a run where stderr is not a terminal."""

from types import SimpleNamespace

from ppmm.engine.progress import Progress
from ppmm.engine.trainer import TrainState


def trainer_at(step, **more):
    loader = SimpleNamespace(batch_size=8)
    values = {"terms": {"loss": 1.25}, "total_steps": 20, "epochs": 2, "accumulate": 1, "figures": {}}
    values |= {"improved": False, "loader": loader, "state": TrainState(step=step)} | more
    return SimpleNamespace(**values)


def test_lines(capsys):
    progress = Progress(seconds=0.0)
    progress.terminal = False
    progress.on_start(trainer_at(10))
    progress.on_step(trainer_at(11))
    ended = TrainState(step=20, epoch=1)
    progress.on_epoch(trainer_at(20, state=ended, figures={"accuracy": 0.75, "loss": 0.5}, improved=True))
    progress.on_epoch(trainer_at(20, state=ended, figures={"accuracy": float("nan")}))
    progress.on_stop(trainer_at(20, state=TrainState(step=20, stopped="enough")), None)
    progress.on_stop(trainer_at(20, state=TrainState(step=20, stopped="enough")), ValueError())
    step, best, other, stop = capsys.readouterr().err.splitlines()
    assert step.startswith("epoch 1/2 step 11/20 loss 1.250 ") and step.endswith(" left")
    assert best == "epoch 1/2 val accuracy 0.7500 loss 0.5000 *" and other == "epoch 1/2 val accuracy nan"
    assert stop == "stopped: enough"


def test_quiet_between_the_lines(capsys):
    progress = Progress(seconds=3600.0)
    progress.terminal = False
    progress.on_start(trainer_at(0))
    for step in range(1, 5):
        progress.on_step(trainer_at(step))
    assert capsys.readouterr().err == ""
