"""A frozen recurrent layer lets gradients pass and keeps its weights."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import TrainStep, scheduled
from ppmm.optim.optimizers import AdamW


class Net(nn.Layer):
    def __init__(self, kind):
        super().__init__()
        self.below = nn.Linear(3, 4)
        self.memory = kind(4, 4, direction="bidirect")
        self.head = nn.Linear(8, 1)

    def forward(self, batch):
        return {"y": self.head(self.memory(self.below(batch["x"]))[0].mean(axis=1))}


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.SimpleRNN])
def test_what_is_before_it_learns_as_if_it_were_not_frozen(kind):
    batch = {"x": paddle.to_tensor(np.random.default_rng(0).normal(size=(5, 6, 3)).astype("float32"))}
    found = []
    for frozen in (False, True):
        paddle.seed(4)
        model = Net(kind)
        for parameter in model.memory.parameters():
            parameter.stop_gradient = frozen
        before = [parameter.numpy().copy() for parameter in model.memory.parameters()]
        recipe = AdamW(0.1, weight_decay=0.5)
        scheduler = scheduled(0.1, lambda step: 1.0)
        optimizer = recipe.build(list(model.named_parameters()), scheduler, None)
        step = TrainStep(model, lambda outputs, batch: {"loss": (outputs["y"] ** 2).mean()}, optimizer, scheduler)
        step([batch], 0)
        found.append(model.below.weight.numpy())
        for parameter, array in zip(model.memory.parameters(), before, strict=True):
            assert parameter.stop_gradient == frozen
            assert np.array_equal(parameter.numpy(), array) == frozen
    assert found[0].tobytes() == found[1].tobytes()
