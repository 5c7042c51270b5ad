"""Two towers, rows for them, and the objectives that compare these rows."""

import numpy as np
import paddle
from paddle import nn

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
