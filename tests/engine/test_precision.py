"""Number formats of a step: what runs in which, that it trains, and that a resumed run goes on bit for bit."""

import json

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm import environment
from ppmm.engine.cpu_bfloat16 import bfloat16_products
from ppmm.engine.loss_scale import LossScale
from ppmm.engine.precision import MixedPrecision, Precision, lay_out_channels_last, make_precision
from ppmm.engine.step import DivergenceError, TrainStep, scheduled
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays
from ppmm.environment import Cpu
from ppmm.errors import CheckpointError, ConfigError, PpmmError
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.optim.optimizers import SGD, AdamW

WITH = Cpu("AuthenticAMD", "EPYC", frozenset({"avx512_bf16"}))
WITHOUT = Cpu("GenuineIntel", "Xeon Platinum 8180", frozenset({"avx512f"}))
needs_bf16 = pytest.mark.skipif(not environment.cpu().bf16, reason="this CPU does not multiply bfloat16")
CPU_PRECISIONS = ("bf16", "bf16_o2")


def rounded(array):
    """To bfloat16, by hand: the nearest number with 8 bits of mantissa, ties to even, as float32."""
    bits = np.asarray(array, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)


class Net(nn.Layer):
    """Every kind of layer that is treated in a way of its own."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10, 8)
        self.text = nn.LSTM(8, 8)
        self.image = nn.Sequential(nn.Conv2D(1, 4, 3), nn.BatchNorm2D(4), nn.ReLU(), nn.AdaptiveAvgPool2D(1))
        self.norm = nn.LayerNorm(12)
        self.head = nn.Sequential(nn.Linear(12, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 3))

    def forward(self, batch):
        text = self.text(self.words(batch["text"]))[0].mean(axis=1)
        both = paddle.concat([text, self.image(batch["image"]).flatten(1)], axis=-1)
        return {"logits": self.head(self.norm(both)), "text_embed": text}


def batches(count, rows=16):
    rng = np.random.default_rng(5)
    for _ in range(count):
        labels = rng.integers(0, 3, rows)
        image = rng.normal(size=(rows, 1, 6, 6)) + labels[:, None, None, None]
        yield {
            "text": paddle.to_tensor(rng.integers(0, 3, (rows, 5)) + 3 * labels[:, None]),
            "image": paddle.to_tensor(image.astype("float32")), "y": paddle.to_tensor(labels),
            "index": paddle.arange(rows),
        }  # fmt: skip


def step_of(name, recipe=None, model=None, objective=None):
    paddle.seed(7)
    model = Net() if model is None else model
    recipe = recipe or AdamW(learning_rate=0.01)
    scheduler = scheduled(recipe.learning_rate, lambda number: 1 - number / 100)
    optimizer = recipe.build(list(model.named_parameters()), scheduler, nn.ClipGradByGlobalNorm(1.0))
    precision = make_precision(name) if isinstance(name, str) else name
    return TrainStep(model, objective or CrossEntropy("y"), optimizer, scheduler, 3, precision=precision)


def losses(step, count, start=0):
    return [step([batch], start + number)["loss"] for number, batch in enumerate(list(batches(start + count))[start:])]


# --- which device computes in what -----------------------------------------------------------------------------------


def test_fp32_is_the_plain_step():
    assert type(make_precision("fp32", "cpu", WITHOUT)) is Precision


@pytest.mark.parametrize("name", ["fp16", "fp16_o2"])
def test_fp16_on_a_cpu_is_refused(name):
    with pytest.raises(ConfigError, match=rf"trainer.precision: {name} needs a GPU.*stay in float32.*bf16"):
        make_precision(name, "cpu", WITH)


@pytest.mark.parametrize("name", ["bf16", "bf16_o2"])
def test_bf16_needs_a_cpu_that_has_it(name):
    with pytest.raises(ConfigError, match=rf"{name} needs a CPU.*AVX512-BF16.*Xeon Platinum 8180 does not"):
        make_precision(name, "cpu", WITHOUT)
    assert isinstance(make_precision(name, "cpu", WITH), MixedPrecision)


def test_paddle_itself_stays_in_float32_on_a_cpu():
    """Why fp16 is refused and bfloat16 has a module of its own; should this change, both can go."""
    for dtype in ("float16", "bfloat16"):
        with pytest.warns(UserWarning, match="makes no effect"), paddle.amp.auto_cast(dtype=dtype):
            assert paddle.matmul(paddle.ones([2, 2]), paddle.ones([2, 2])).dtype == paddle.float32


# --- bfloat16 on a CPU -----------------------------------------------------------------------------------------------


@needs_bf16
@pytest.mark.parametrize(
    ("left", "right", "transposed"),
    [([4, 5], [5, 6], ()), ([2, 3, 4, 5], [6, 5], ("y",)), ([5, 4], [5, 6], ("x",)), ([2, 4, 5], [5, 1], ())],
)
def test_a_product_is_that_of_the_rounded_factors_and_so_are_its_gradients(left, right, transposed):
    rng = np.random.default_rng(1)
    x, y = (paddle.to_tensor(rng.normal(size=shape).astype("float32"), stop_gradient=False) for shape in (left, right))
    with bfloat16_products():
        product = paddle.matmul(x, y, "x" in transposed, "y" in transposed)
    product.sum().backward()
    a, b = (paddle.to_tensor(rounded(one.numpy()), stop_gradient=False) for one in (x, y))
    wanted = paddle.matmul(a, b, "x" in transposed, "y" in transposed)
    wanted.sum().backward()
    assert product.dtype == paddle.float32
    np.testing.assert_array_equal(product.numpy(), rounded(product.numpy()), "it is a bfloat16 number")
    np.testing.assert_allclose(product.numpy(), wanted.numpy(), rtol=2**-8, atol=1e-6)
    np.testing.assert_allclose(x.grad.numpy(), a.grad.numpy(), rtol=2**-7, atol=1e-6)
    np.testing.assert_allclose(y.grad.numpy(), b.grad.numpy(), rtol=2**-7, atol=1e-6)


@needs_bf16
@pytest.mark.parametrize("transposed", [(), ("x",), ("y",)])
@pytest.mark.parametrize("fixed", ["x", "y"])
def test_a_factor_that_does_not_learn_gets_no_gradient_and_the_other_the_same_as_ever(fixed, transposed):
    """Data, or a frozen weight: oneDNN's own kernel would end the process."""
    rng = np.random.default_rng(1)
    arrays = {"x": rng.normal(size=(5, 4)), "y": rng.normal(size=(4, 6))}
    found = {}
    for still in ("", fixed):
        x, y = (
            paddle.to_tensor((array.T if name in transposed else array).astype("float32"), stop_gradient=name == still)
            for name, array in arrays.items()
        )
        with bfloat16_products():
            product = paddle.matmul(x, y, "x" in transposed, "y" in transposed)
        (product * product.detach()).sum().backward()
        found[still] = {"x": x.grad, "y": y.grad}
    learns = "y" if fixed == "x" else "x"
    assert found[fixed][fixed] is None and found[""][fixed] is not None
    assert found[fixed][learns].numpy().tobytes() == found[""][learns].numpy().tobytes()
    with bfloat16_products(), paddle.no_grad():
        assert paddle.matmul(x, y, "x" in transposed, "y" in transposed).stop_gradient


@needs_bf16
def test_float32_comes_back_after_the_context_even_after_an_error():
    x = paddle.to_tensor(np.float32([[1 + 2**-12]]))
    plain = paddle._C_ops.matmul
    with pytest.raises(ValueError, match="oops"), bfloat16_products():
        assert float(paddle.matmul(x, x)) == 1.0
        raise ValueError("oops")
    assert paddle._C_ops.matmul is plain
    assert float(paddle.matmul(x, x)) == pytest.approx(1 + 2**-11, abs=2**-20) != 1.0


@needs_bf16
def test_other_types_and_forms_are_multiplied_as_ever():
    with bfloat16_products():
        assert paddle.matmul(paddle.ones([2, 3], "float64"), paddle.ones([3, 2], "float64")).dtype == paddle.float64
        assert paddle.nn.functional.linear(paddle.zeros([0, 3]), paddle.ones([3, 2])).shape == [0, 2]
        fine = paddle.full([2, 2, 2], 1 + 2**-12)  # would be 1 in bfloat16
        assert float(paddle.matmul(fine, fine)[0, 0, 0]) > 2.0 and paddle.matmul(fine, paddle.ones([2])).shape == [2, 2]
        assert paddle.matmul(fine, paddle.ones([2, 3]), transpose_x=True).shape == [2, 2, 3]


# --- what the model sees ---------------------------------------------------------------------------------------------


@needs_bf16
@pytest.mark.parametrize("name", CPU_PRECISIONS)
def test_products_run_in_bfloat16_norms_and_recurrences_and_losses_in_float32(name):
    step = step_of(name)
    seen = {}
    model = step.model
    for layer in ("head.0", "norm", "image.1", "text", "words"):
        target = dict(model.named_sublayers())[layer]
        target.register_forward_post_hook(lambda part, x, y, layer=layer: seen.update({layer: y}))
    batch = next(batches(1))
    with step.precision.forward():
        outputs = step.precision.full(model(batch))
    hidden = seen["head.0"] - model.head[0].bias
    if name == "bf16":  # what the product gave before its bias is a bfloat16 number, but for the sum's own rounding
        near = rounded(hidden.numpy())
        assert np.abs(hidden.numpy() - near).max() < 1e-6
    for layer in ("norm", "image.1"):
        values = seen[layer].numpy()
        assert (values != rounded(values)).mean() > 0.9, layer
    words = seen["words"].numpy()
    assert np.array_equal(words, rounded(words)) == (name == "bf16_o2"), "O2 rounds the weights themselves"
    assert all(value.dtype == paddle.float32 for value in outputs.values())
    assert all(parameter.dtype == paddle.float32 for parameter in model.parameters())


@needs_bf16
def test_o2_gives_the_weights_back_and_the_gradient_to_the_masters():
    step = step_of("bf16_o2")
    before = dict(step.model.named_parameters())
    arrays = {name: parameter.numpy().copy() for name, parameter in before.items()}
    with step.precision.forward():
        inside = dict(step.model.named_parameters())
        weight = inside["head.0.weight"]
        assert weight is not before["head.0.weight"]
        np.testing.assert_array_equal(weight.numpy(), rounded(arrays["head.0.weight"]))
        for kept in ("norm.weight", "image.1.weight", "text.weight_ih_l0"):
            assert inside[kept] is before[kept], kept
        loss = step.model(next(batches(1)))["logits"].sum()
    loss.backward()
    after = dict(step.model.named_parameters())
    assert list(after) == list(before) and all(after[name] is before[name] for name in before)
    trained = [name for name in before if not before[name].stop_gradient]  # not the statistics of the batch norm
    assert all(np.array_equal(after[name].numpy(), arrays[name]) for name in trained)
    assert all(before[name].grad is not None for name in trained)
    assert before["head.0.weight"].grad.dtype == paddle.float32


@needs_bf16
def test_tied_weights_stay_tied_in_o2():
    class Tied(nn.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight

        def forward(self, batch):
            return {"logits": self.second(self.first(batch["x"]))}

    model = Tied()
    precision = make_precision("bf16_o2")
    precision.prepare(model)
    with precision.forward():
        assert model.first._parameters["weight"] is model.second._parameters["weight"]


@needs_bf16
@pytest.mark.parametrize("name", CPU_PRECISIONS)
@pytest.mark.parametrize("recipe", [AdamW(learning_rate=0.01), SGD(learning_rate=0.1)], ids=["adamw", "sgd"])
def test_it_learns_as_float32_does(name, recipe):
    full, low = (np.array(losses(step_of(kind, recipe), 30)) for kind in ("fp32", name))
    assert full[-5:].mean() < 0.6 * full[:5].mean()
    assert 0 < np.abs(full - low).max() < 0.05 * full[0], "near, but not the same: it did compute in bfloat16"


# --- resume ----------------------------------------------------------------------------------------------------------


def saved(step):
    return (
        {name: array.copy() for name, array in model_arrays(step.model).items()},
        {name: array.copy() for name, array in optimizer_arrays(step.model, step.optimizer).items()},
        json.dumps(step.precision.state_dict()),
    )


def restored(name, state, recipe):
    step = step_of(name, recipe)
    for parameter in step.model.parameters():
        parameter.set_value(parameter * 0 + 9)
    load_model(step.model, state[0], "here")
    load_optimizer(step.model, step.optimizer, state[1], "here")
    step.precision.load_state_dict(json.loads(state[2]))
    return step


@needs_bf16
@pytest.mark.parametrize("name", CPU_PRECISIONS)
@pytest.mark.parametrize("recipe", [AdamW(learning_rate=0.01), SGD(learning_rate=0.1)], ids=["adamw", "sgd"])
def test_six_steps_are_three_saved_and_three_more(name, recipe):
    whole = step_of(name, recipe)
    wanted = losses(whole, 6)
    first = step_of(name, recipe)
    begun = losses(first, 3)
    second = restored(name, saved(first), recipe)
    assert begun + losses(second, 3, start=3) == wanted
    for found, right in zip(saved(second)[:2], saved(whole)[:2], strict=True):
        assert found.keys() == right.keys()
        for key, array in right.items():
            assert array.dtype == np.float32 or key.endswith("num_batches_tracked"), key
            assert found[key].tobytes() == array.tobytes(), key


# --- loss scaling, whose arithmetic is the same on every device ------------------------------------------------------


class Scaled(MixedPrecision):
    """Float16's scaling around a float32 forward pass."""

    def __init__(self):
        super().__init__("float16", device="cpu")

    def forward(self):
        return Precision().forward()


def test_gradients_are_unscaled_before_they_are_clipped():
    full, scaled = step_of(Precision()), step_of(Scaled())
    assert losses(scaled, 4) == losses(full, 4)
    for name, array in saved(full)[0].items():
        np.testing.assert_array_equal(saved(scaled)[0][name], array, name)


def test_an_overflow_skips_the_step_and_halves_the_scale():
    step = step_of(Scaled())
    batch = next(batches(1))
    step([batch], 0)
    before = saved(step)
    step.model.head[3].bias.register_hook(lambda gradient: gradient * float("inf"))
    terms = step([batch], 1)
    assert np.isfinite(terms["loss"]) and terms["skipped"] == 1.0 and terms["loss_scale"] == 2.0**14
    after = saved(step)
    for part in (0, 1):
        weights = {key for key in before[part] if "_mean" not in key and "_variance" not in key}
        assert all(before[part][key].tobytes() == after[part][key].tobytes() for key in weights)
    assert all(p.grad is None or not p.grad.numpy().any() for p in step.model.parameters())


def test_a_loss_that_is_not_finite_is_a_divergence_and_no_overflow():
    step = step_of(Scaled(), objective=lambda outputs, batch: {"loss": outputs["logits"].sum() * float("nan")})
    with pytest.raises(DivergenceError, match="step 0"):
        step([next(batches(1))], 0)
    assert step.precision.scale.value == 2.0**15


def test_scale_doubles_after_patience_good_steps_and_counts_anew_after_a_bad_one():
    scale = LossScale(8.0, patience=3)
    weight = paddle.create_parameter([2], "float32")

    def take(gradient):
        weight.clear_gradient()
        (weight * paddle.to_tensor(gradient)).sum().backward()
        return scale.unscale([weight])

    good, bad = np.float32([4, 8]), np.float32([1, np.nan])
    taken = [(take(good), scale.value) for _ in range(3)]
    assert taken == [(True, 8.0), (True, 8.0), (True, 16.0)]
    assert weight.grad.numpy().tolist() == [0.5, 1.0]
    assert [take(one) for one in (good, good, bad, good, good)] == [True, True, False, True, True]
    assert scale.state_dict() == {"value": 8.0, "good": 2}
    again = LossScale(patience=3)
    again.load_state_dict(json.loads(json.dumps(scale.state_dict())))
    scale = again
    assert take(good) and scale.value == 16.0


def test_gradients_that_no_scale_makes_finite_end_the_run():
    scale = LossScale(1.0)
    weight = paddle.create_parameter([1], "float32")
    (weight * float("nan")).sum().backward()
    with pytest.raises(PpmmError, match="not finite at any loss scale"):
        for _ in range(20):
            scale.unscale([weight])


def test_state_of_another_form_is_refused():
    with pytest.raises(CheckpointError, match="loss scale"):
        Scaled().load_state_dict({"scale": 3})


# --- on a GPU --------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["bf16", "bf16_o2", "fp16", "fp16_o2"])
def test_gpu_precisions_learn_as_float32_does(name):
    paddle.set_device("gpu:0")
    full, low = (np.array(losses(step_of(kind), 30)) for kind in ("fp32", name))
    assert 0 < np.abs(full - low).max() < 0.05 * full[0]
    step = step_of(name)
    seen = {}
    step.model.head[0].register_forward_post_hook(lambda part, x, y: seen.update(linear=y.dtype))
    step.model.norm.register_forward_post_hook(lambda part, x, y: seen.update(norm=y.dtype))
    step([next(batches(1))], 0)
    assert seen == {"linear": paddle.bfloat16 if name.startswith("bf16") else paddle.float16, "norm": paddle.float32}


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["bf16_o2", "fp16_o2"])
def test_gpu_resume_is_exact(name):
    paddle.set_device("gpu:0")
    whole, first = step_of(name), step_of(name)
    wanted, begun = losses(whole, 6), losses(first, 3)
    second = restored(name, saved(first), AdamW(learning_rate=0.01))
    np.testing.assert_allclose(begun + losses(second, 3, start=3), wanted, rtol=1e-5)
    assert second.precision.state_dict() == whole.precision.state_dict()


def test_a_gpu_is_told_which_layout_to_take(monkeypatch):
    told = []
    monkeypatch.setattr("paddle.incubate.autotune.set_config", told.append)
    for wanted in (True, False):
        lay_out_channels_last(wanted, "gpu:0")
    lay_out_channels_last(False, "cpu")
    assert told == [{"layout": {"enable": True}}, {"layout": {"enable": False}}]
