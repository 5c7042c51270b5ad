"""Parts that do not learn for some epochs: weights, decay, statistics, optimizer state, resume."""

import numpy as np
import pytest
from small_run import assert_identical, everything, resume, run_of

from ppmm.engine.freeze import Freeze
from ppmm.engine.hooks import HookBase
from ppmm.errors import ConfigError
from ppmm.optim.averages import SWA
from ppmm.optim.optimizers import SGD, AdamW

LOWER = ("layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias", "layers.1._mean", "layers.1._variance")


class Watch(HookBase):
    """What weights, statistics and optimizer state are at the end of each epoch."""

    def __init__(self):
        self.seen = []

    def on_epoch(self, trainer):
        self.seen.append(everything(trainer))


@pytest.mark.parametrize("recipe", [AdamW(0.05, weight_decay=0.5), SGD(0.1, weight_decay=0.5)], ids=["adamw", "sgd"])
def test_frozen_layers_stay_to_the_bit_and_then_learn(recipe, tmp_path):
    watch = Watch()
    trainer = run_of(recipe, tmp_path, [Freeze(["layers.0", "layers.1.*"], until=2), watch])
    before = everything(trainer)
    trainer.fit()
    for epoch in (0, 1):
        for name in LOWER:
            assert watch.seen[epoch][name].tobytes() == before[name].tobytes(), name
        assert not np.array_equal(watch.seen[epoch]["layers.4.weight"], before["layers.4.weight"])
        assert not [name for name in watch.seen[epoch] if name.startswith(("layers.0.weight|", "layers.1.weight|"))]
    for name in LOWER:
        assert not np.array_equal(watch.seen[2][name], before[name]), name
    assert [name for name in watch.seen[2] if name.startswith("layers.0.weight|")]


def test_batch_norms_go_on_counting_where_asked(tmp_path):
    watch = Watch()
    trainer = run_of(AdamW(0.05), tmp_path, [Freeze(["layers.0.*", "layers.1.*"], eval_mode=False), watch])
    before = everything(trainer)
    trainer.fit()
    assert watch.seen[-1]["layers.1.weight"].tobytes() == before["layers.1.weight"].tobytes()
    assert not np.array_equal(watch.seen[-1]["layers.1._mean"], before["layers.1._mean"])


@pytest.mark.parametrize("at", [2, 4, 6, 8, 9])
def test_resume_in_and_after_the_frozen_epochs_is_exact(at, tmp_path):
    """4 steps an epoch; set free after epoch 2, step 8."""

    class Kill(HookBase):
        def on_step(self, trainer):
            if trainer.state.step == at + 1:
                raise RuntimeError("killed")

    def hooks():
        return [Freeze(["layers.0.*", "layers.1.*"], until=2)]

    whole = run_of(AdamW(0.05), tmp_path / "whole", hooks())
    whole.fit()
    with pytest.raises(RuntimeError):
        run_of(AdamW(0.05), tmp_path / "cut", [*hooks(), Kill()], save_every=1).fit()
    last = run_of(AdamW(0.05), tmp_path / "cut", hooks())
    resume(last, tmp_path / "cut" / "last")
    assert last.state.step == at
    last.fit()
    assert_identical(everything(last), everything(whole))


def test_what_was_frozen_before_stays_frozen(tmp_path):
    trainer = run_of(AdamW(0.05), tmp_path, [Freeze(["layers.0.*"], until=1)])
    bias = trainer.step.model.layers[0].bias
    bias.stop_gradient = True
    before = bias.numpy().copy()
    trainer.fit()
    assert bias.stop_gradient and bias.numpy().tobytes() == before.tobytes()
    assert not trainer.step.model.layers[0].weight.stop_gradient


def test_bad_arguments(tmp_path):
    with pytest.raises(ValueError, match="match must name parameters"):
        Freeze([])
    with pytest.raises(ValueError, match="until must be at least 1 epoch"):
        Freeze(["*"], until=0)
    with pytest.raises(ConfigError, match=r"freeze: no parameter matches 'encoder.\*'; there are layers.0.weight"):
        run_of(AdamW(), tmp_path, [Freeze(["encoder.*"])]).fit()


def test_an_average_of_weights_keeps_the_statistics_of_frozen_batch_norms(tmp_path):
    """SWA computes those of the others anew."""
    found = {}
    for name, hooks in (("frozen", [Freeze(["layers.0", "layers.1"])]), ("free", [])):
        trainer = run_of(AdamW(0.05), tmp_path / name, hooks, average=SWA(0.0, every=1))
        before = everything(trainer)["layers.1._mean"]
        trainer.fit()
        found[name] = np.array_equal(trainer.averaging.arrays()["layers.1._mean"], before)
    assert found == {"frozen": True, "free": False}
