"""The profile: what it writes, that its sections are the step's, and that it is off otherwise."""

import json

import paddle
import pytest
from paddle import nn

from ppmm.engine.hooks import HookBase
from ppmm.engine.precision import Precision
from ppmm.engine.profile import SECTIONS, Profile
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Trainer
from ppmm.optim.optimizers import SGD

NOW = [0.0]
"""The clock, in seconds: it stands still but for what the tests add."""


def spend(seconds):
    NOW[0] += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr("ppmm.engine.profile.perf_counter", lambda: NOW[0])


class Slow(nn.Layer):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, batch):
        return {"logits": self.layer(batch["x"])}


class Batches:
    """Five batches of two rows, each waited for."""

    batch_size = 2

    def __init__(self, nap=0.0):
        self.nap = nap

    def __len__(self):
        return 5

    def epoch(self, epoch, start=0):
        for _ in range(start, 5):
            spend(self.nap)
            yield {"x": paddle.ones([2, 4]), "index": paddle.arange(2)}


class Lazy(HookBase):
    def __init__(self, nap=0.0):
        self.nap = nap

    def on_step(self, trainer):
        spend(self.nap)


def run(folder, profile, accumulate=1, naps=(0.0, 0.0, 0.0), epochs=2, evaluate_nap=0.0):
    paddle.seed(1)
    model = Slow()
    recipe = SGD()
    scheduler = scheduled(0.1, lambda number: 1.0)

    def objective(outputs, batch):
        spend(naps[1])
        return {"loss": (outputs["logits"] ** 2).mean()}

    def evaluate(poll):
        spend(evaluate_nap)
        return {"loss": 0.0}

    step = TrainStep(model, objective, recipe.build(list(model.named_parameters()), scheduler), scheduler)
    hooks = [*([profile] if profile else []), Lazy(naps[2])]
    trainer = Trainer(step, Batches(naps[0]), evaluate, hooks, epochs=epochs, accumulate=accumulate, folder=folder)
    trainer.fit()
    return trainer


def test_each_section_has_the_time_that_was_spent_in_it(tmp_path):
    run(tmp_path, Profile(first=1, count=3), accumulate=2, naps=(0.1, 0.2, 0.3))
    document = json.loads((tmp_path / "profile" / "steps.json").read_text())
    zero = {"forward": 0.0, "backward": 0.0, "optimizer": 0.0, "other": 0.0}
    assert document["steps"] == [  # 5 batches in groups of 2
        {"step": number, "data": data, "loss": loss, "hooks": pytest.approx(300), **zero, "total": pytest.approx(total)}
        for number, data, loss, total in (
            (2, pytest.approx(200), pytest.approx(400), 900),
            (3, pytest.approx(100), pytest.approx(200), 600),
            (4, pytest.approx(200), pytest.approx(400), 900),
        )
    ]
    mean = {"data": 500 / 3, "loss": 1000 / 3, "hooks": 300.0, "total": 800.0} | zero
    assert document["mean"] == pytest.approx(mean) and set(mean) == {*SECTIONS, "total"}
    table = (tmp_path / "profile" / "steps.md").read_text()
    assert "| step (ms) | data | forward | loss | backward | optimizer | hooks | other | total |" in table
    assert "| **mean** | 166.67 |" in table and "| **share** | 20.8 % |" in table


def test_the_trace_has_sections_and_operators(tmp_path):
    run(tmp_path, Profile(first=1, count=2))
    events = json.loads((tmp_path / "profile" / "trace.json").read_text())["traceEvents"]
    names = " ".join(str(event.get("name")) for event in events)
    assert "ppmm.forward" in names and "ppmm.optimizer" in names and "matmul" in names
    assert not (tmp_path / "profiler_log").exists()


def test_evaluation_between_two_epochs_is_no_part_of_a_step(tmp_path):
    run(tmp_path, Profile(first=3, count=4), evaluate_nap=1.0)
    steps = json.loads((tmp_path / "profile" / "steps.json").read_text())["steps"]
    assert [step["step"] for step in steps] == [4, 5, 6, 7] and all(step["total"] == 0 for step in steps)


def test_a_short_run_is_profiled_to_its_end(tmp_path):
    trainer = run(tmp_path, Profile(), epochs=1)
    steps = json.loads((tmp_path / "profile" / "steps.json").read_text())["steps"]
    assert [step["step"] for step in steps] == [1, 2, 3, 4, 5]
    assert type(trainer.step.precision) is Precision and type(trainer.loader) is Batches, "all is as it was"


def test_it_changes_no_number(tmp_path):
    profiled, plain = run(tmp_path, Profile(first=2, count=3)), run(tmp_path, None)
    for name, tensor in plain.step.model.state_dict().items():
        assert tensor.numpy().tobytes() == profiled.step.model.state_dict()[name].numpy().tobytes()
