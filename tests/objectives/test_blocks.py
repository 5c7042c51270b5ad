"""Matrices of pairs in blocks: the same loss and the same gradients, at less memory."""

import numpy as np
import paddle
import pytest

from ppmm.config import build
from ppmm.objectives.blocks import in_blocks
from ppmm.objectives.info_nce import InfoNCE
from ppmm.objectives.siglip import SigLIP
from ppmm.types import Objective

FIELDS = ["image", "text", "audio"]


def sample(rows=17, dim=6):
    rng = np.random.default_rng(3)
    outputs = {f"{field}_embed": paddle.to_tensor(rng.normal(size=(rows, dim)).astype("float32")) for field in FIELDS}
    for tensor in outputs.values():
        tensor.stop_gradient = False
    batch = {f"has_{field}": paddle.to_tensor(rng.random(rows) < 0.8) for field in FIELDS}
    return outputs, {**batch, "scene": paddle.to_tensor(rng.integers(-1, 5, rows))}


@pytest.mark.parametrize("chunk", [1, 4, 16, 17, 100])
@pytest.mark.parametrize("kind", [InfoNCE, SigLIP])
def test_the_same_loss_and_gradients(kind, chunk):
    found = []
    for size in (None, chunk):
        outputs, batch = sample()
        objective = kind(FIELDS, positives=["scene"], chunk=size)
        terms = objective(outputs, batch)
        (terms["loss"] * 3.0).backward()
        gradients = [tensor.grad.numpy() for tensor in (*outputs.values(), *objective.parameters())]
        objective.eval()
        with paddle.no_grad():
            told = objective(outputs, batch)
        assert {name: float(value) for name, value in told.items()} == pytest.approx(
            {name: float(value) for name, value in terms.items()}, rel=1e-6
        )
        found.append(({name: float(value) for name, value in terms.items()}, gradients))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    for one, other in zip(found[1][1], found[0][1], strict=True):
        assert np.abs(other).max() > 1e-4
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_temperature_that_is_not_learned():
    outputs, batch = sample()
    objective = InfoNCE(FIELDS, learnable=False, chunk=5)
    objective(outputs, batch)["loss"].backward()
    assert objective.scale.log_scale.grad is None
    assert np.abs(outputs["text_embed"].grad.numpy()).max() > 1e-4


def test_only_one_block_stands_in_memory():
    """The largest tensor that a block makes has `chunk` rows."""
    seen = []

    def part(start, stop, left, right):
        seen.append((start, stop))
        return (left[start:stop].unsqueeze(1) * right.unsqueeze(0)).sum()

    left, right = (paddle.to_tensor([1.0, 2.0, 3.0, 4.0, 5.0], stop_gradient=flag) for flag in (False, True))
    total = in_blocks(part, 5, 2, left, right)
    assert seen == [(0, 2), (2, 4), (4, 5)] and float(total) == 15 * 15
    total.backward()
    assert left.grad.numpy().tolist() == [15.0] * 5 and right.grad is None


@pytest.mark.parametrize("name", ["info_nce", "siglip"])
def test_a_chunk_of_nothing(name):
    with pytest.raises(Exception, match="chunk must be at least 1 row, got 0"):
        build({"name": name, "fields": ["image", "text"], "chunk": 0}, Objective)
