"""Gradient caching: the gradient of the whole batch, chunk by chunk."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.engine.distributed import SINGLE
from ppmm.engine.joined import join, rows_of
from ppmm.engine.step import TrainStep, scheduled
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.objectives.deep_cca import DeepCCA
from ppmm.objectives.info_nce import InfoNCE
from ppmm.objectives.r_drop import RDrop
from ppmm.objectives.siglip import SigLIP
from ppmm.objectives.supervised_contrastive import SupervisedContrastive
from ppmm.objectives.triplet import Triplet
from ppmm.objectives.uncertainty_weighted import UncertaintyWeighted
from ppmm.objectives.weighted_sum import WeightedSum
from ppmm.optim.optimizers import SGD

FIELDS = ["image", "text"]


class Towers(nn.Layer):
    """Two embeddings and a classifier; the text is a mean over tokens of unequal number."""

    def __init__(self, dropout=0.0, norm=False):
        super().__init__()
        self.image = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Dropout(dropout), nn.Linear(8, 4))
        self.text = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1D(4) if norm else nn.Identity()
        self.head = nn.Linear(4, 3)

    def forward(self, batch):
        mask = batch["text_mask"].astype("float32").unsqueeze(-1)
        text = self.text((batch["text"] * mask).sum(axis=1) / mask.sum(axis=1))
        image = self.norm(self.image(batch["image"]))
        return {"image_embed": image, "text_embed": text, "logits": self.head(image + text), "tokens": batch["text"]}


def towers(**options):
    paddle.seed(5)
    return Towers(**options)


def rows(count=12, seed=0):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 5, count)
    batch = {
        "image": rng.normal(size=(count, 5)).astype("float32"),
        "text": rng.normal(size=(count, 4, 3)).astype("float32"),
        "text_mask": np.arange(4) < lengths[:, None],
        "has_image": rng.random(count) < 0.9,
        "has_text": rng.random(count) < 0.9,
        "y": rng.integers(0, 3, count),
        "index": np.arange(count),
    }
    return {name: paddle.to_tensor(array) for name, array in batch.items()}


def cut(whole, sizes):
    """Chunks, each with texts as long as its longest."""
    found, start = [], 0
    for size in sizes:
        part = {name: tensor[start : start + size] for name, tensor in whole.items()}
        length = int(part["text_mask"].astype("int64").sum(axis=1).max())
        found.append({**part, "text": part["text"][:, :length], "text_mask": part["text_mask"][:, :length]})
        start += size
    return found


OBJECTIVES = {
    "info_nce": lambda: InfoNCE(FIELDS, positives=["y"]),
    "info_nce_chunked": lambda: InfoNCE(FIELDS, positives=["y"], chunk=5),
    "siglip": lambda: SigLIP(FIELDS),
    "siglip_chunked": lambda: SigLIP(FIELDS, chunk=5),
    "triplet": lambda: Triplet(FIELDS, hardest=False),
    "supervised_contrastive": lambda: SupervisedContrastive(FIELDS, "y"),
    "deep_cca": lambda: DeepCCA(FIELDS, regularisation=0.1),
    "weighted_ce": lambda: CrossEntropy("y", class_weights=[1.0, 2.0, 5.0]),
    "sum": lambda: WeightedSum({"a": InfoNCE(FIELDS), "b": CrossEntropy("y")}, {"b": 0.3}),
    "uncertainty": lambda: UncertaintyWeighted({"a": InfoNCE(FIELDS), "b": CrossEntropy("y")}),
    "two_passes": lambda: WeightedSum({"a": InfoNCE(FIELDS), "b": RDrop(CrossEntropy("y"))}),
}


def step_of(model, objective, cache=True, seed=3):
    scheduler = scheduled(0.5, lambda step: 1.0)
    named = list(model.named_parameters())
    named += list(objective.named_parameters()) if isinstance(objective, nn.Layer) else []
    optimizer = SGD(learning_rate=0.5, momentum=0.0, weight_decay=0.0).build(named, scheduler, None)
    return TrainStep(model, objective, optimizer, scheduler, seed, cache=cache)


def gradients(step, batches):
    step.model.train()
    totals = step.gradients(batches, 0)
    found = [None if each.grad is None else each.grad.numpy().copy() for each in step.parameters()]
    return totals, found


@pytest.mark.parametrize("sizes", [[12], [6, 6], [4, 4, 3, 1]], ids=str)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_of_chunks_is_that_of_the_whole_batch(name, sizes):
    """The temperature's, the bias's and the variances' too."""
    whole = rows()
    wanted, expected = gradients(step_of(towers(), OBJECTIVES[name](), cache=False), [whole])
    found, actual = gradients(step_of(towers(), OBJECTIVES[name]()), cut(whole, sizes))
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert any(grad is not None and np.abs(grad).max() > 1e-3 for grad in expected)
    for one, other in zip(actual, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_accumulation_alone_compares_less():
    whole = rows()
    _, expected = gradients(step_of(towers(), InfoNCE(FIELDS)), [whole])
    _, actual = gradients(step_of(towers(), InfoNCE(FIELDS), cache=False), cut(whole, [6, 6]))
    assert np.abs(actual[0] - expected[0]).max() > 1e-3


def test_dropout_draws_the_same_in_both_forwards():
    """A numerical derivative of the loss, at the draws that the step takes."""
    chunks = cut(rows(), [6, 6])
    step = step_of(towers(dropout=0.5), InfoNCE(FIELDS))
    _, found = gradients(step, chunks)
    weight = step.parameters()[0]
    start = weight.numpy().copy()

    def loss(change):
        weight.set_value(start + change)
        return step.gradients(chunks, 0)["loss"]

    for place in ((0, 0), (2, 3), (4, 7)):
        change = np.zeros_like(start)
        change[place] = 1e-2
        slope = (loss(change) - loss(-change)) / 2e-2
        assert found[0][place] == pytest.approx(slope, abs=2e-3)
    assert np.abs(found[0]).max() > 1e-2


def test_running_statistics_see_each_chunk_once():
    chunks = cut(rows(), [6, 6])
    cached, plain = towers(norm=True), towers(norm=True)
    step_of(cached, InfoNCE(FIELDS)).gradients(chunks, 0)
    step_of(plain, InfoNCE(FIELDS), cache=False).gradients(chunks, 0)
    for one, other in zip(cached.buffers(), plain.buffers(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_without_a_cache_nothing_changes_bit_for_bit():
    """The step of the objective itself, written by hand."""
    whole = rows()
    step = step_of(towers(dropout=0.3), InfoNCE(FIELDS), cache=False)
    _, found = gradients(step, cut(whole, [6, 6]))
    model, objective = towers(dropout=0.3), InfoNCE(FIELDS)
    paddle.seed(int(np.random.SeedSequence([3, 0]).generate_state(1)[0]))
    for chunk in cut(whole, [6, 6]):
        (objective(model(chunk), chunk)["loss"] * 0.5).backward()
    for one, parameter in zip(found, [*model.parameters(), *objective.parameters()], strict=True):
        assert (one is None) == (parameter.grad is None)
        assert one is None or np.array_equal(one, parameter.grad.numpy())


def test_joined_chunks_are_filled_up_with_zeros():
    chunks = cut(rows(4), [1, 2, 1])
    _, joined = join([], chunks, SINGLE)
    longest = max(chunk["text"].shape[1] for chunk in chunks)
    assert joined["text"].shape == [4, longest, 3]
    assert joined["text_mask"].numpy().sum() == sum(chunk["text_mask"].numpy().sum() for chunk in chunks)
    assert joined["index"].numpy().tolist() == [0, 1, 2, 3]
    assert rows_of(joined) == 4
    assert "nothing" not in joined and joined.get("nothing") is None
    with pytest.raises(KeyError):
        joined["nothing"]
