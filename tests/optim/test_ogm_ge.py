"""OGM-GE: coefficients by hand, what happens to gradients, and the model's answers to single fields."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.step import TrainStep, scheduled
from ppmm.errors import ConfigError
from ppmm.models.encoders.mlp import MLPEncoder
from ppmm.models.fusion.sum_mean import SumMeanFusion
from ppmm.models.heads.linear import LinearHead
from ppmm.models.late_fusion import LateFusion
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.optim.ogm_ge import OGMGE
from ppmm.optim.optimizers import SGD
from ppmm.registry import GRADIENT_RULES

DIMS = {"image": 40, "audio": 30, "text": 20}


class Towers(nn.Layer):
    """Encoders with gradients of a known size, and nothing else."""

    def __init__(self, fields):
        super().__init__()
        self.fields = tuple(fields)
        self.encoders = nn.LayerDict({field: nn.Linear(DIMS[field], 50) for field in fields})
        for layer in self.encoders.values():
            (layer.weight.sum() * 2.0 + layer.bias.sum() * 3.0).backward()


def logits_for(probability):
    """Two classes, the second with this probability."""
    return [0.0, float(np.log(probability / (1 - probability)))]


def seen(scores, has=None):
    """One batch in which field F gives the right class (1) the probabilities ``scores[F]``."""
    rows = len(next(iter(scores.values())))
    outputs = {f"{field}_logits": paddle.to_tensor([logits_for(p) for p in values]) for field, values in scores.items()}
    batch = {"label": paddle.ones([rows], dtype="int64")}
    for field in scores:
        batch[f"has_{field}"] = paddle.to_tensor((has or {}).get(field, [True] * rows))
    return outputs, batch


def gradients(model):
    return {name: parameter.grad.numpy().copy() for name, parameter in model.named_parameters()}


def test_two_fields_by_hand():
    """s = 0.8 and 0.4, so r = 2 and 0.5: the image is slowed down by 1 - tanh(0.3 * 2), the audio is left alone."""
    model = Towers(["image", "audio"])
    outputs, batch = seen({"image": [0.9, 0.7], "audio": [0.3, 0.5]})
    figures = OGMGE("label", alpha=0.3, noise=0.0)(model, [outputs], [batch])
    assert figures == pytest.approx({"balance_image": 1 - np.tanh(0.6), "balance_audio": 1.0}, abs=1e-6)
    found = gradients(model)
    np.testing.assert_allclose(found["encoders.image.weight"], 2 * (1 - np.tanh(0.6)), rtol=1e-5)
    np.testing.assert_allclose(found["encoders.image.bias"], 3 * (1 - np.tanh(0.6)), rtol=1e-5)
    assert (found["encoders.audio.weight"] == 2).all() and (found["encoders.audio.bias"] == 3).all()


def test_rows_without_the_field_do_not_count_and_batches_add_up():
    model = Towers(["image", "audio", "text"])
    first = seen({"image": [0.9, 0.1], "audio": [0.2, 0.4], "text": [0.5, 0.5]}, {"image": [True, False]})
    second = seen({"image": [0.7], "audio": [0.3], "text": [0.6]}, {"text": [False]})
    figures = OGMGE("label", alpha=0.5, noise=0.0)(model, [first[0], second[0]], [first[1], second[1]])
    image, audio, text = (0.9 + 0.7) / 2, (0.2 + 0.4 + 0.3) / 3, 0.5
    wanted = {"balance_image": 1 - np.tanh(0.5 * image / ((audio + text) / 2)), "balance_audio": 1, "balance_text": 1}
    assert figures == pytest.approx(wanted, abs=1e-6)


def test_a_field_that_no_row_has_is_left_out():
    outputs, batch = seen({"image": [0.9], "audio": [0.3], "text": [0.6]}, {"audio": [False]})
    model = Towers(DIMS)
    figures = OGMGE("label", noise=0.0)(model, [outputs], [batch])
    assert figures["balance_audio"] == 1 and figures["balance_image"] == pytest.approx(1 - np.tanh(0.3 * 1.5))
    assert (gradients(model)["encoders.audio.weight"] == 2).all()


def test_one_field_is_never_slowed_down():
    outputs, batch = seen({"image": [0.9]})
    assert OGMGE("label", noise=0.0)(Towers(["image"]), [outputs], [batch]) == {"balance_image": 1.0}


def test_noise_has_the_deviation_of_the_gradient_and_spares_biases():
    model = Towers(["image", "audio"])
    spread = np.random.default_rng(0).normal(size=(40, 50)).astype("float32") * 5
    model.encoders["image"].weight.grad.set_value(paddle.to_tensor(spread))
    outputs, batch = seen({"image": [0.8], "audio": [0.4]})
    paddle.seed(0)
    OGMGE("label", alpha=0.3, noise=0.5)(model, [outputs], [batch])
    found = gradients(model)
    noise = found["encoders.image.weight"] - spread * (1 - np.tanh(0.6))
    assert noise.std() == pytest.approx(0.5 * spread.std(), rel=0.06) and abs(noise.mean()) < 0.25
    assert (found["encoders.audio.weight"] == 2).all(), "a gradient without spread gets none"
    np.testing.assert_allclose(found["encoders.image.bias"], 3 * (1 - np.tanh(0.6)), rtol=1e-5)


def net(unimodal_logits=True):
    paddle.seed(0)
    encoders = {field: MLPEncoder(size, dim=6) for field, size in DIMS.items()}
    fusion = SumMeanFusion(dict.fromkeys(DIMS, 6), dim=5)
    return LateFusion(encoders, fusion=fusion, head=LinearHead(5, 3), unimodal_logits=unimodal_logits)


def real_batch(rows=8):
    rng = np.random.default_rng(1)
    batch = {field: rng.normal(size=(rows, size)).astype("float32") for field, size in DIMS.items()}
    batch |= {f"has_{field}": rng.random(rows) < 0.7 for field in DIMS}
    batch["has_image"][:] = True
    batch["label"] = rng.integers(0, 3, rows)
    return {name: paddle.to_tensor(array) for name, array in batch.items()}


def test_unimodal_logits_are_the_answers_to_one_field_without_gradient():
    model, batch = net(), real_batch()
    model.train()
    outputs = model(batch)
    assert outputs["logits"].stop_gradient is False
    for field in DIMS:
        alone = {**batch, **{f"has_{o}": paddle.zeros_like(batch[f"has_{o}"]) for o in DIMS if o != field}}
        np.testing.assert_allclose(outputs[f"{field}_logits"].numpy(), model(alone)["logits"].numpy(), atol=1e-6)
        assert outputs[f"{field}_logits"].stop_gradient
    model.eval()
    assert list(model(batch)) == ["logits"]


def stepped(balance):
    model = net()
    recipe = SGD(learning_rate=0.5, momentum=0.0, weight_decay=0.0)
    scheduler = scheduled(0.5, lambda step: 1.0)
    optimizer = recipe.build(list(model.named_parameters()), scheduler, None)
    before = {name: parameter.numpy().copy() for name, parameter in model.named_parameters()}
    terms = TrainStep(model, CrossEntropy("label"), optimizer, scheduler, 0, balance)([real_batch()] * 2, 0)
    return terms, {name: parameter.numpy() - before[name] for name, parameter in model.named_parameters()}


def test_a_step_scales_the_update_of_each_encoder_and_of_nothing_else():
    plain_terms, plain = stepped(None)
    terms, balanced = stepped(OGMGE("label", alpha=1.0, noise=0.0))
    assert terms["loss"] == plain_terms["loss"] and set(terms) - set(plain_terms) == {f"balance_{f}" for f in DIMS}
    factors = {field: terms[f"balance_{field}"] for field in DIMS}
    assert min(factors.values()) < 1 and max(factors.values()) == 1
    for name, change in plain.items():
        factor = factors[name.split(".")[1]] if name.startswith("encoders.") else 1.0
        np.testing.assert_allclose(balanced[name], factor * change, atol=1e-6, err_msg=name)


def test_steps_with_noise_can_be_repeated():
    first, second = (stepped(OGMGE("label"))[1] for _ in range(2))
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not np.allclose(first["encoders.image.layers.0.weight"], stepped(None)[1]["encoders.image.layers.0.weight"])


def test_refusals():
    assert GRADIENT_RULES.get("ogm_ge") is OGMGE
    outputs, batch = seen({"image": [0.9], "audio": [0.3]})
    with pytest.raises(ConfigError, match="unimodal_logits: true"):
        OGMGE("label")(Towers(["image", "text"]), [outputs], [{**batch, "has_text": batch["has_audio"]}])
    for arguments in ({"alpha": 0.0}, {"noise": -1.0}, {"alpha": float("nan")}):
        with pytest.raises(ValueError, match="alpha"):
            OGMGE("label", **arguments)
