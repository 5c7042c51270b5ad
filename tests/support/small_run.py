"""A small run as the app wires one: shuffled batches, batch norm, dropout, warm-up, clipping, accumulation."""

import json

import numpy as np
import paddle
from paddle import nn

from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.engine.averaging import Averaging
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.engine.evaluator import evaluate
from ppmm.engine.hooks import Checkpoints, EarlyStopping
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Trainer
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.metrics.accuracy import Accuracy
from ppmm.modalities.label import Label
from ppmm.modalities.numeric import NumericField
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.optim.schedules import WarmupCosine

ROWS = 26


class Rows:
    def __len__(self):
        return ROWS

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        return {"id": f"row {index}", "sensor": rng.normal(size=4).tolist(), "y": int(rng.integers(3))}


class Net(nn.Layer):
    """With batch statistics and dropout, both of which a resume must bring back."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1D(8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 3))

    def forward(self, batch):
        return {"logits": self.layers(batch["sensor"])}


def run_of(recipe, folder, hooks=(), save_every=None, seed=3, sam=None, average=None, **options):
    """A complete run as the app wires it: shuffled loader, dropout, warm-up, clipping, accumulation 2 of 7 batches."""
    paddle.seed(seed)
    model = Net()
    targets = {"y": Label([0, 1, 2])}
    data = Prepared(Rows(), {"sensor": NumericField(4)}, targets, seed=seed, training=True)
    loader = Loader(data, 4, shuffle=True)
    step = TrainStep(model, CrossEntropy("y"), None, None, seed, sam=sam)

    def save(name, trainer):
        arrays = {"m.safetensors": model_arrays(model), "s.safetensors": optimizer_arrays(model, step.optimizer)}
        manifest = {}
        if averaging is not None and averaging.taken:
            arrays["a.safetensors"], manifest["averaged"] = averaging.arrays(), averaging.taken
        write_checkpoint(folder / name, arrays, {"state.json": json.dumps(trainer.state_dict())}, manifest)

    averaging = None if average is None else Averaging(average, model)
    validation = Loader(Prepared(Rows(), data.fields, targets), 8)
    trainer = Trainer(
        step, loader, lambda poll: evaluate(model, validation.epoch(), [Accuracy("y")], step.objective).figures,
        [*hooks, EarlyStopping(50), Checkpoints(save, save_every)], averaging=averaging,
        **{"epochs": 3, "accumulate": 2} | options,
    )  # fmt: skip
    step.scheduler = scheduled(recipe.learning_rate, lambda number: WarmupCosine(0.2)(number, trainer.total_steps))
    step.optimizer = recipe.build(list(model.named_parameters()), step.scheduler, paddle.nn.ClipGradByGlobalNorm(0.5))
    return trainer


def resume(trainer, folder):
    found = read_checkpoint(folder)
    load_model(trainer.step.model, found.arrays("m.safetensors"), "here")
    load_optimizer(trainer.step.model, trainer.step.optimizer, found.arrays("s.safetensors"), "here")
    if "averaged" in found.manifest:
        trainer.averaging.load(found.arrays("a.safetensors"), found.manifest["averaged"], "here")
    trainer.load_state_dict(json.loads(found.text("state.json")))


def everything(trainer):
    arrays = model_arrays(trainer.step.model) | optimizer_arrays(trainer.step.model, trainer.step.optimizer)
    average = {} if trainer.averaging is None else trainer.averaging.arrays()
    arrays |= {f"average of {name}": array for name, array in average.items()}
    return {name: np.array(array) for name, array in arrays.items()}


def assert_identical(found, wanted):
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype and found[name].tobytes() == array.tobytes(), name
