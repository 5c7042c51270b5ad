"""What pruning promises, on models that are small; that it refuses what it cannot do, and then leaves them alone."""

import copy
import json

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from prunable import batch_of, encoder_model, fusion_model, stirred

from ppmm.app.checkpoints import load_checkpoint
from ppmm.compress.prune import Prune
from ppmm.engine.checkpoint import write_checkpoint
from ppmm.engine.weights import model_arrays
from ppmm.errors import CompressError, ConfigError
from ppmm.models.transforms.prune import Shrunk

IMAGE = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype("float32")


def network():
    paddle.seed(1)
    return stirred(
        nn.Sequential(
            nn.Conv2D(3, 8, 3), nn.BatchNorm2D(8), nn.ReLU(), nn.AdaptiveAvgPool2D(2), nn.Flatten(), nn.Linear(32, 5)
        )
    )


def state(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def test_the_least_important_filters_go_and_the_rest_answers_as_if_they_were_zero():
    model, image = network(), paddle.to_tensor(IMAGE)
    whole = state(model)
    gone = np.argsort(np.abs(whole["0.weight"]).sum((1, 2, 3)) + np.abs(whole["0.bias"]) * 0)[:3]
    masked = network()
    for layer in (masked[0], masked[1]):
        for parameter in (layer.weight, layer.bias):
            array = parameter.numpy().copy()
            array[gone] = 0
            parameter.set_value(array)
    result = Prune(0.4).apply(model, image)
    kept = np.setdiff1d(np.arange(8), gone)
    np.testing.assert_array_equal(model[0].weight.numpy(), whole["0.weight"][kept])
    np.testing.assert_array_equal(model[1]._mean.numpy(), whole["1._mean"][kept])
    # relu(0 * x + 0) is 0, so that zeros in convolution and norm alone are the masked model
    np.testing.assert_allclose(model(image).numpy(), masked(image).numpy(), atol=1e-5)
    assert result.report["flops"] == [2 * (8 * 36 * 27 + 32 * 5), 2 * (5 * 36 * 27 + 20 * 5)]
    assert result.report["parameters"] == [8 * 27 + 5 * 8 + 165, 5 * 27 + 5 * 5 + 105]
    assert (model[0]._out_channels, model[1]._num_features) == (5, 5)
    assert json.loads(json.dumps(result.report)) == result.report and json.dumps(result.transform)


def test_training_state_and_statistics_are_left_as_they_are():
    model = network()
    model.train()
    statistics = model[1]._mean.numpy().copy()
    before = paddle.get_rng_state()[0].current_seed() if hasattr(paddle.get_rng_state()[0], "current_seed") else None
    Prune(0.5).apply(model, paddle.to_tensor(IMAGE))
    assert model.training and all(parameter.grad is None for parameter in model.parameters())
    assert np.isin(model[1]._mean.numpy(), statistics).all()
    if before is not None:
        assert paddle.get_rng_state()[0].current_seed() == before


def test_an_optimizer_over_the_pruned_parameters_trains():
    model, image = network(), paddle.to_tensor(IMAGE)
    Prune(0.5).apply(model, image)
    model.train()
    optimizer = paddle.optimizer.AdamW(1e-2, parameters=model.parameters())
    losses = []
    for _ in range(30):
        loss = F.cross_entropy(model(image), paddle.to_tensor([0, 3]))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    assert losses[-1] < losses[0] / 2


def test_pruning_twice_and_what_a_checkpoint_replays():
    image = paddle.to_tensor(IMAGE)
    model, fresh = network(), network()
    results = [Prune(0.3).apply(model, image) for _ in range(2)]
    assert model[0].weight.shape[0] == 4  # 8 - 2, then 6 - 2
    for result in results:
        transform = json.loads(json.dumps(result.transform))
        assert transform["name"] == "prune"
        old = {name: list(tensor.shape) for name, tensor in fresh.state_dict().items()}
        Shrunk(**transform["args"])(fresh)
        new = {name: list(tensor.shape) for name, tensor in fresh.state_dict().items()}
        assert {name: shape for name, shape in new.items() if shape != old[name]} == transform["shapes"]
    fresh.set_state_dict(model.state_dict())
    np.testing.assert_array_equal(fresh(image).numpy(), model(image).numpy())


def test_a_fresh_model_of_another_form_is_refused():
    result = Prune(0.5).apply(network(), paddle.to_tensor(IMAGE))
    other = nn.Sequential(nn.Conv2D(3, 2, 3))
    before = state(other)
    with pytest.raises(ConfigError, match="prune: "):
        Shrunk(**result.transform["args"])(other)
    with pytest.raises(ConfigError, match="this model has no 'heads'"):
        Shrunk({"heads": [1]})(other)
    with pytest.raises(ConfigError, match=r"this model has no '0\.forward'"):
        Shrunk({}, {"0": {"forward": 1}})(other)
    assert all(np.array_equal(before[name], array) for name, array in state(other).items())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(3, 2)), "nothing can be pruned: 0.weight: it is an answer of the model"),
        (nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2)), "less than one unit of any group"),
    ],
)
def test_nothing_to_prune_is_an_error(model, message):
    with pytest.raises(CompressError, match=message):
        Prune(0.1).apply(model, paddle.rand([2, 3]))


def test_arguments_that_make_no_sense():
    for options in ({"ratio": 0}, {"ratio": 1}, {"ratio": -1}, {}, {"ratio": 0.5, "criterion": "L1norm"}):
        with pytest.raises(CompressError):
            Prune(**options)
    with pytest.raises(CompressError, match="nothing can go from 5: it is an answer of the model"):
        Prune(ratios={"5": 0.5}).apply(network(), paddle.to_tensor(IMAGE))
    with pytest.raises(CompressError, match="needs gradients"):
        Prune(0.5, "taylor").apply(network(), paddle.to_tensor(IMAGE))
    with pytest.raises(CompressError, match="says nothing about this model"):
        Prune(0.5, "bn_scale").apply(nn.Sequential(nn.Linear(3, 6), nn.Linear(6, 2)), paddle.rand([2, 3]))


class Halves(nn.Layer):
    """Cuts by a number that pruning cannot know of, after a layer that could be pruned."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(3, 6), nn.Linear(6, 8), nn.Linear(4, 2)

    def forward(self, x):
        one, two = paddle.split(self.second(F.relu(self.first(x))), [4, 4], axis=-1)
        return self.head(one * two)


def test_a_broken_promise_names_the_layer_and_leaves_the_model_alone():
    paddle.seed(0)
    model = Halves()
    before, x = state(model), paddle.rand([2, 3])
    answer = model(x).numpy()
    with pytest.raises(CompressError, match="pruning second failed"):
        Prune(0.5).apply(model, x)
    assert all(np.array_equal(before[name], array) for name, array in state(model).items())
    np.testing.assert_array_equal(model(x).numpy(), answer)
    result = Prune(0.5, skip=["second"]).apply(model, x)
    assert model.first.weight.shape == [3, 3] and result.report["flops"][1] < result.report["flops"][0]


def test_a_model_that_cannot_be_traced():
    class Untraceable(nn.Layer):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            if not paddle.in_dynamic_mode():
                raise RuntimeError("eager only")
            return self.layer(x)

    with pytest.raises(CompressError, match="cannot be traced"):
        Prune(0.5).apply(Untraceable(), paddle.rand([2, 3]))


def test_a_copy_stays_whole():
    model = network()
    twin = copy.deepcopy(model)
    Prune(0.5).apply(model, paddle.to_tensor(IMAGE))
    assert twin[0].weight.shape == [8, 3, 3, 3] and twin(paddle.to_tensor(IMAGE)).shape == [2, 5]


def test_towers_of_a_fused_model_get_shares_of_their_own():
    model, batch = fusion_model("concat")
    result = Prune(ratios={"encoders.image.*": 0.5}).apply(model, batch)
    changed = {name.split(".")[1] for name in result.transform["shapes"]}
    assert changed == {"image"} and all(name.startswith("encoders") for name in result.transform["shapes"])


def test_every_embedding_size_that_is_stated_is_true():
    model, batch = encoder_model("wave_cnn")
    Prune(0.34).apply(model, batch)
    assert model.encoder.out_dim == model.encoder(batch["x"], batch["x_mask"]).pooled.shape[1] == 4


@pytest.mark.parametrize("criterion", ["l2", "fpgm", "random", "bn_scale"])
def test_other_criteria(criterion):
    model = network()
    Prune(0.5, criterion).apply(model, paddle.to_tensor(IMAGE))
    assert model[0].weight.shape[0] == 4


def test_a_pruned_checkpoint_reads_itself(trained, tmp_path):
    """Nothing but the folder is needed: the manifest's transforms give the fresh model its form."""
    loaded = load_checkpoint(trained.best)
    batch = batch_of({"image": "image", "text": "text", "audio": "audio"})
    batch |= {"image": batch["image"][:, :1, :16, :16], "audio": paddle.concat([batch["audio"]] * 2, axis=-1)}
    batch["text"] = batch["text"] % 5
    result = Prune(0.4).apply(loaded.model, batch)
    source = loaded.checkpoint
    names = [name for name in source.manifest["files"] if not name.endswith(".safetensors")]
    manifest = {**source.manifest, "transforms": [*source.manifest["transforms"], result.transform]}
    arrays = {"model.safetensors": model_arrays(loaded.model)}
    write_checkpoint(tmp_path / "pruned", arrays, {name: source.text(name) for name in names}, manifest)
    again = load_checkpoint(tmp_path / "pruned").model
    np.testing.assert_array_equal(again(batch)["logits"].numpy(), loaded.model(batch)["logits"].numpy())
    assert sum(p.size for p in again.parameters()) == result.report["parameters"][1] < result.report["parameters"][0]
