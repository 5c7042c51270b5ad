"""The average that is evaluated and saved: its values, that the weights come back, batch statistics."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.averaging import Averaging
from ppmm.engine.batch_statistics import recompute_statistics
from ppmm.errors import CheckpointError
from ppmm.optim.averages import EMA, SWA


class Net(nn.Layer):
    """A linear layer of two names, a batch norm, dropout, and a counter that is no float."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)
        self.tied = nn.Layer()
        self.tied.weight = self.linear.weight
        self.norm = nn.BatchNorm1D(2, momentum=0.8)
        self.dropout = nn.Dropout(0.5)
        self.register_buffer("seen", paddle.zeros([1], "int64"))

    def forward(self, batch):
        return {"logits": self.dropout(self.norm(self.linear(batch["x"])))}


def arrays(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def moved(model, seed):
    """Other weights, statistics and count, as training would leave them."""
    rng = np.random.default_rng(seed)
    for name, tensor in model.state_dict().items():
        if name == "tied.weight":
            continue
        if tensor.is_floating_point():
            tensor.set_value(rng.random(tensor.shape).astype("float32"))
        else:
            tensor.set_value(np.full(tensor.shape, seed, "int64"))
    return arrays(model)


def test_ema_of_parameters_and_statistics_follows_its_equation():
    model = Net()
    averaging = Averaging(EMA(0.6), model)
    wanted = {}
    for step in range(1, 7):
        weights = moved(model, step)
        taken = step - 1
        decay = min(0.6, (1 + taken) / (10 + taken)) if taken else 0.0
        wanted = {
            name: decay * wanted.get(name, array) + (1 - decay) * array if array.dtype.kind == "f" else array
            for name, array in weights.items()
        }
        averaging.update(step, 100, False)
    found = averaging.arrays()
    assert averaging.taken == 6 and found["seen"] == [6]
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, err_msg=name)


def test_swa_is_the_equal_mean_of_the_weights_at_the_ends_of_the_last_epochs():
    model = Net()
    averaging = Averaging(SWA(0.5), model)
    seen = []
    for step in range(1, 13):
        weights = moved(model, step)
        averaging.update(step, 12, step % 2 == 0)
        if step in (8, 10, 12):
            seen.append(weights)
        if step < 8:
            assert averaging.arrays() == {}
    for name, array in averaging.arrays().items():
        if array.dtype.kind == "f":
            np.testing.assert_allclose(array, np.mean([weights[name] for weights in seen], axis=0), rtol=1e-6)


def test_the_average_stands_in_for_the_weights_which_come_back_bit_by_bit():
    model = Net()
    averaging = Averaging(EMA(0.5), model)
    with averaging.applied():
        pass
    for step in (1, 2, 3):
        own = moved(model, step)
        averaging.update(step, 9, False)
    average = averaging.arrays()
    with averaging.applied():
        pass
    tensors = {name: id(tensor) for name, tensor in model.state_dict().items()}
    with pytest.raises(RuntimeError), averaging.applied():
        for name, array in arrays(model).items():
            assert array.tobytes() == averaging.arrays()[name].tobytes()
        raise RuntimeError
    assert all(array.tobytes() == average[name].tobytes() for name, array in averaging.arrays().items())
    assert {name: id(tensor) for name, tensor in model.state_dict().items()} == tensors
    for name, array in arrays(model).items():
        assert array.tobytes() == own[name].tobytes(), name


def test_an_average_that_was_loaded_goes_on_bit_by_bit():
    model, other = Net(), Net()
    averaging = Averaging(EMA(0.5), model)
    for step in (1, 2, 3):
        moved(model, step)
        averaging.update(step, 9, False)
    again = Averaging(EMA(0.5), other)
    own = moved(other, 3)
    again.load(averaging.arrays(), averaging.taken, "here")
    assert all(array.tobytes() == own[name].tobytes() for name, array in arrays(other).items())
    for each, net in ((averaging, model), (again, other)):
        moved(net, 4)
        each.update(4, 9, False)
    for name, array in averaging.arrays().items():
        assert array.tobytes() == again.arrays()[name].tobytes(), name
    with pytest.raises(CheckpointError, match="of another architecture"):
        again.load({"linear.weight": np.zeros((3, 2), "float32")}, 1, "here")


def batches(count):
    rng = np.random.default_rng(5)
    return [{"x": paddle.to_tensor(rng.normal(size=(4, 3)).astype("float32"))} for _ in range(count)]


def test_statistics_of_the_average_are_those_of_the_batches_it_sees():
    model = Net()
    moved(model, 1)
    data = batches(5)
    averaging = Averaging(SWA(0.0, every=1, norm_batches=3), model)
    averaging.update(1, 9, False)
    before = arrays(model)
    model.train()
    with averaging.applied(data):
        features = [model.linear(batch["x"]).numpy() for batch in data[:3]]
        np.testing.assert_allclose(model.norm._mean.numpy(), np.mean([f.mean(0) for f in features], 0), rtol=1e-4)
        np.testing.assert_allclose(model.norm._variance.numpy(), np.mean([f.var(0) for f in features], 0), rtol=1e-4)
        mean = model.norm._mean.numpy()
    assert averaging.arrays()["norm._mean"].tobytes() == mean.tobytes()
    assert model.training and model.dropout.training
    assert all(array.tobytes() == before[name].tobytes() for name, array in arrays(model).items())


def test_statistics_of_a_frozen_batch_norm_stay():
    model = Net()
    own = moved(model, 1)
    averaging = Averaging(SWA(0.0, every=1), model)
    averaging.update(1, 9, False)
    with averaging.applied(batches(3), [model.norm]):
        assert all(array.tobytes() == own[name].tobytes() for name, array in arrays(model).items())


def test_batches_that_cannot_be_read_leave_average_and_weights_as_they_were():
    def broken():
        yield batches(1)[0]
        raise OSError("a disk that fails")

    model = Net()
    own = moved(model, 1)
    averaging = Averaging(SWA(0.0, every=1), model)
    averaging.update(1, 9, False)
    with pytest.raises(OSError, match="a disk that fails"), averaging.applied(broken()):
        pass
    for name, array in arrays(model).items():
        assert array.tobytes() == own[name].tobytes() == averaging.arrays()[name].tobytes(), name


def test_without_batches_or_batch_norms_nothing_is_computed_anew():
    model = Net()
    own = moved(model, 2)
    assert recompute_statistics(model, iter(()), 4) == 0
    assert all(array.tobytes() == own[name].tobytes() for name, array in arrays(model).items())
    assert recompute_statistics(nn.Linear(2, 2), None, 4) == 0
    assert recompute_statistics(model, None, 0) == 0


def test_an_empty_share_and_norms_that_rest_do_not_count():
    """With fewer rows than processes one of them has an empty batch; batch norms of frozen parts keep theirs."""
    model, other = Net(), Net()
    other.set_state_dict(model.state_dict())
    assert recompute_statistics(model, [{}, *batches(2), {}], 4) == 2
    assert recompute_statistics(other, batches(2), 4) == 2
    assert all(array.tobytes() == arrays(other)[name].tobytes() for name, array in arrays(model).items())
    before = arrays(model)
    assert recompute_statistics(model, batches(3), 4, [model.norm]) == 0
    assert all(array.tobytes() == before[name].tobytes() for name, array in arrays(model).items())
