"""Low-rank updates: equations, what is trained, merging, clear refusals."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.frozen_recurrence import recurrent_layers, through_frozen_recurrence
from ppmm.errors import ConfigError
from ppmm.models.layers.lora import LoRAConv2D, LoRALinear
from ppmm.models.layers.replace import has_mergeable, merge_layers
from ppmm.models.layers.transformer import TransformerBlock
from ppmm.models.transforms.lora import LoRA


class Net(nn.Layer):
    """Convolutions with and without groups, a norm, a Transformer block, a recurrent layer, a head; a layer twice."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2D(3, 8, 3, stride=2, padding=1, dilation=2), nn.Conv2D(8, 8, 3, groups=8))
        self.block = TransformerBlock(8, 2)
        self.memory = nn.GRU(8, 8)
        self.head = nn.Linear(8, 5, bias_attr=False)
        self.again = self.head

    def forward(self, x):
        tokens = self.block(self.stem(x).flatten(2).transpose([0, 2, 1]))
        embed = self.memory(tokens)[0].mean(axis=1)
        return self.head(embed) + self.again(embed.tanh())


def net(seed=1):
    paddle.seed(seed)
    model = Net()
    model.eval()
    return model


def x(seed=0):
    return paddle.to_tensor(np.random.default_rng(seed).normal(size=(2, 3, 12, 12)).astype("float32"))


def shaken(model):
    """B of each update is no longer zero."""
    rng = np.random.default_rng(3)
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            parameter.set_value(rng.normal(size=parameter.shape).astype("float32") * 0.3)
    return model


def trained(model):
    return [name for name, parameter in model.named_parameters() if not parameter.stop_gradient]


def test_a_linear_layer_answers_w_x_plus_scaled_b_a_x():
    paddle.seed(0)
    base = nn.Linear(6, 4)
    layer = LoRALinear(base, 2, 5.0)
    rng = np.random.default_rng(1)
    a, b, x = (rng.normal(size=shape).astype("float32") for shape in ((6, 2), (2, 4), (3, 7, 6)))
    layer.lora_a.set_value(a)
    layer.lora_b.set_value(b)
    wanted = x @ base.weight.numpy() + base.bias.numpy() + 2.5 * (x @ a @ b)
    np.testing.assert_allclose(layer(paddle.to_tensor(x)).numpy(), wanted, atol=1e-5)


def test_a_convolution_has_the_update_of_its_unrolled_matrix():
    paddle.seed(0)
    base = nn.Conv2D(3, 4, (3, 2), stride=2, padding=(1, 0))
    layer = LoRAConv2D(base, 2, 4.0)
    rng = np.random.default_rng(1)
    layer.lora_b.set_value(rng.normal(size=(4, 2, 1, 1)).astype("float32"))
    matrix = layer.lora_b.numpy().reshape(4, 2) @ layer.lora_a.numpy().reshape(2, 18)
    other = nn.Conv2D(3, 4, (3, 2), stride=2, padding=(1, 0))
    other.weight.set_value(base.weight.numpy() + 2.0 * matrix.reshape(4, 3, 3, 2))
    other.bias.set_value(base.bias)
    np.testing.assert_allclose(layer(x()).numpy(), other(x()).numpy(), atol=1e-5)


def test_training_begins_with_the_model_as_it_was_and_trains_only_updates_and_what_no_pattern_names():
    model = net()
    before = model(x()).numpy()
    own = trained(model)
    LoRA(["stem.*", "block.attention.*"], rank=2)(model)
    np.testing.assert_allclose(model(x()).numpy(), before, atol=1e-6)
    adapted = ["stem.0", *(f"block.attention.{name}" for name in ("query", "key", "value", "out"))]
    updates = {f"{name}.{factor}" for name in adapted for factor in ("lora_a", "lora_b")}
    free = {name for name in own if not name.startswith(("stem.", "block.attention."))}
    assert set(trained(model)) == updates | free
    assert "stem.1.weight" in own and "stem.1.weight" not in trained(model)


def test_all_of_the_base_is_trained_where_asked():
    model = net()
    own = trained(model)
    LoRA(["*"], rank=2, train_base=True)(model)
    assert set(own) < set(trained(model))


def test_merged_layers_answer_the_same_and_nothing_of_lora_is_left():
    model = net()
    names = set(model.state_dict())
    LoRA(["*"], rank=2, alpha=3.0)(model)
    wanted = shaken(model)(x()).numpy()
    assert np.abs(wanted - net()(x()).numpy()).max() > 0.1
    assert has_mergeable(model)
    merge_layers(model)
    assert not has_mergeable(model) and set(model.state_dict()) == names
    assert type(model.head) is nn.Linear and model.again is model.head
    np.testing.assert_allclose(model(x()).numpy(), wanted, atol=1e-6)


def test_a_training_step_moves_the_updates_alone():
    model = net()
    LoRA(["*"], rank=2, dropout=0.2)(model)
    model.train()
    before = {name: parameter.numpy().copy() for name, parameter in model.named_parameters()}
    optimizer = paddle.optimizer.AdamW(0.1, parameters=model.parameters(), weight_decay=0.5)
    for seed in range(2):
        with through_frozen_recurrence(recurrent_layers(model)):
            (model(x(seed)) ** 2).mean().backward()
        optimizer.step()
        optimizer.clear_grad()
    moved = {name for name, parameter in model.named_parameters() if not np.array_equal(before[name], parameter)}
    assert moved == {name for name in before if "lora_" in name}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"match": ["encoder.*"]}, "match 'encoder.\\*' names no layer; "),
        ({"match": ["blok.*"]}, "did you mean 'block'"),
        ({"match": ["memory"]}, "names a recurrent layer; only linear layers and convolutions"),
        ({"match": ["stem.1"]}, "names no linear layer and no convolution without groups; there is stem.0, block"),
        ({"match": ["block"]}, "write 'block.\\*' for those inside of block"),
        ({"match": ["head", "nothing"]}, "match 'nothing' names no layer"),
        ({"match": ["head"], "rank": 6}, "rank 6 is larger than the 8x5 matrix of head"),
    ],
)
def test_what_cannot_be_adapted(arguments, message):
    model = net()
    own = trained(model)
    with pytest.raises(ConfigError, match=message):
        LoRA(**arguments)(model)
    assert trained(model) == own and not has_mergeable(model)


def test_a_layer_is_adapted_once():
    """Else the factors of the first update would be frozen with all that the second one's patterns match."""
    model = net()
    LoRA(["head"], rank=1)(model)
    own = trained(model)
    with pytest.raises(ConfigError, match="match covers head, which an earlier lora adapts already"):
        LoRA(["*"], rank=1)(model)
    assert trained(model) == own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"match": []}, "match must name layers"),
        ({"match": ["*"], "rank": 0}, "rank must be at least 1, got 0"),
        ({"match": ["*"], "alpha": 0.0}, "alpha must be above 0"),
        ({"match": ["*"], "dropout": 1.0}, "dropout must be in"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        LoRA(**arguments)
