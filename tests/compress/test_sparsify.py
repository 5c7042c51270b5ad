"""Zeros: which weights become so, that they stay so, and what is said of it."""

import numpy as np
import paddle
import pytest
from made_context import MadeContext
from paddle import nn

from ppmm.compress.slim_shims import load_paddleslim
from ppmm.compress.sparsity import gradual, largest_half_of_four, magnitude_masks
from ppmm.compress.steps.sparsify import Sparsify
from ppmm.errors import CompressError, ConfigError
from ppmm.models.transforms.sparse import Sparse


class Small(nn.Layer):
    outputs = ("logits",)

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1D(4, 8, 3, padding=1)
        self.norm = nn.BatchNorm1D(8)
        self.head = nn.Linear(8, 3)

    def forward(self, batch):
        return {"logits": self.head(nn.functional.relu(self.norm(self.conv(batch["x"]))).mean(axis=2))}


def small():
    paddle.seed(3)
    return Small(), {"x": paddle.randn([8, 4, 6])}


def train(model, batch, steps=5):
    optimizer = paddle.optimizer.AdamW(0.01, parameters=model.parameters(), weight_decay=0.1)
    for _ in range(steps):
        (model(batch)["logits"] ** 2).sum().backward()
        optimizer.step()
        optimizer.clear_grad()


def test_the_smallest_go_from_all_layers_or_from_each():
    weights = {"a": np.array([[0.1, -5.0], [3.0, 4.0]]), "b": np.array([-0.2, 0.3, 0.4, 2.0])}
    together = magnitude_masks(weights, 0.5, "global")
    assert together["a"].tolist() == [[False, True], [True, True]]
    assert together["b"].tolist() == [False, False, False, True]
    each = magnitude_masks(weights, 0.5, "uniform")
    assert each["a"].tolist() == [[False, True], [False, True]] and each["b"].tolist() == [False, False, True, True]


def test_two_of_four_along_the_inputs():
    weight = np.array([[1.0, 9.0], [-4.0, 8.0], [2.0, 0.1], [-3.0, 0.2]])  # [in,out]
    assert largest_half_of_four(weight, 0).T.tolist() == [[False, True, False, True], [True, True, False, False]]
    assert largest_half_of_four(weight, 1) is None
    filters = np.arange(2 * 8 * 3).reshape(2, 8, 3).astype(float)
    keep = largest_half_of_four(filters, 1)
    assert keep[0, :, 0].tolist() == [False, False, True, True] * 2 and keep.mean() == 0.5


def test_the_schedule_of_zhu_and_gupta():
    np.testing.assert_allclose(gradual(0.8, 4), [0.8 * (1 - 0.75**3), 0.8 * (1 - 0.5**3), 0.8 * (1 - 0.25**3), 0.8])


@pytest.mark.parametrize("options", [{"ratio": 0.75, "rounds": 3}, {"pattern": "2:4"}])
def test_zeros_stay_zero_when_training_goes_on_and_in_a_model_that_is_built_again(options):
    model, batch = small()
    context = MadeContext(batch, training=lambda model: train(model, batch))
    result = Sparsify(**options).apply(model, context)
    assert len(context.trained) == options.get("rounds", 1)
    assert result.report["sparsity"] == pytest.approx(options.get("ratio", 0.5), abs=0.01)
    assert "latency stays as it was" in result.report["gain"] and result.report["zipped"] < 0.95
    before = {name: layer.weight.numpy() for name, layer in model.named_sublayers() if name in ("conv", "head")}
    again, _ = small()
    Sparse(**result.transforms[0]["args"])(again)
    again.set_state_dict(model.state_dict())
    for one in (model, again):
        one.train()
        train(one, batch)
        for name, array in before.items():
            now = getattr(one, name).weight.numpy()
            assert not now[array == 0].any() and (now[array != 0] != array[array != 0]).all()
    if "pattern" in options:
        assert (before["conv"] != 0).reshape(8, 1, 4, 3).sum(axis=2).max() == 2


def test_a_weight_that_another_step_has_put_in_is_kept_sparse_too():
    model, batch = small()
    Sparsify(epochs=0).apply(model, MadeContext(batch))
    zeros = model.head.weight.numpy() == 0
    fresh = paddle.create_parameter(model.head.weight.shape, "float32")
    fresh.set_value(model.head.weight)
    model.head.weight = fresh
    model.train()
    train(model, batch)
    assert not model.head.weight.numpy()[zeros].any()


def test_masks_are_those_of_paddleslim_but_for_the_weight_at_its_threshold():
    """It keeps what is at least as large as the last weight that is to go, that one too."""
    load_paddleslim()
    from paddleslim.dygraph.prune.unstructured_pruner import UnstructuredPruner

    ours, batch = small()
    theirs, _ = small()
    Sparsify(ratio=0.5, ranking="uniform", epochs=0).apply(ours, MadeContext(batch))
    pruner = UnstructuredPruner(theirs, "ratio", ratio=0.5, local_sparsity=True)
    pruner.step()
    for name in ("conv", "head"):
        weight = getattr(theirs, name).weight
        gone = getattr(ours, name).weight.numpy() == 0
        last = np.abs(weight.numpy()) == np.abs(weight.numpy()[gone]).max()
        assert last.sum() == 1
        assert np.array_equal(pruner.masks[weight.name].numpy().astype(bool), ~gone | last), name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ratio": 0.0}, "ratio must be above 0 and below 1"),
        ({"ratio": 1.0}, "ratio must be"),
        ({"pattern": "1:2"}, "pattern must be unstructured or 2:4"),
        ({"pattern": "2:4", "ratio": 0.6}, "exactly half"),
        ({"ranking": "local"}, "ranking must be"),
        ({"rounds": 0}, "rounds must be"),
        ({"rounds": 2, "epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_values_that_make_no_sense(arguments, words):
    with pytest.raises(ConfigError, match=words):
        Sparsify(**arguments)


def test_layers_that_cannot_be_made_sparse():
    model, batch = small()
    with pytest.raises(CompressError, match="layers: 'norm' names norm, which cannot be changed: it is a BatchNorm1D"):
        Sparsify(layers=["norm"]).apply(model, MadeContext(batch))
    with pytest.raises(CompressError, match="layers: 'haed' names no layer; did you mean 'head'"):
        Sparsify(layers=["haed"]).apply(model, MadeContext(batch))
    model.conv = nn.Conv1D(6, 8, 3)
    with pytest.raises(CompressError, match=r"no layer can be made sparse.*no multiple of four"):
        Sparsify(pattern="2:4", layers=["conv"]).apply(model, MadeContext(batch))
    with pytest.raises(ConfigError, match="no layer 'haed'"):
        Sparse(["haed"])(model)
