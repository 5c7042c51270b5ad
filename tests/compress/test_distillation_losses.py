"""Each loss of distillation against NumPy written from its paper."""

from __future__ import annotations

import itertools

import numpy as np
import paddle
import pytest

from ppmm.compress.distillation.attention import activation_map, map_distances, weight_distances
from ppmm.compress.distillation.contrastive import contrastive_loss
from ppmm.compress.distillation.features import FeatureLoss
from ppmm.compress.distillation.logits import logits_loss
from ppmm.compress.distillation.relational import angle_loss, distance_loss
from ppmm.compress.slim_shims import load_paddleslim
from ppmm.errors import CompressError
from ppmm.types import Encoded

RNG = np.random.default_rng(3)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype("float32")


def tensor(array: np.ndarray) -> paddle.Tensor:
    return paddle.to_tensor(array)


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def huber(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < 1, x * x / 2, np.abs(x) - 0.5)


def test_answers_of_one_class_of_several_labels_and_of_numbers() -> None:
    z, v, t = normal(5, 4), normal(5, 4), 3.0
    p, q = softmax(v / t), softmax(z / t)
    assert float(logits_loss(tensor(z), tensor(v), t, "softmax")) == pytest.approx(
        t * t * np.mean((p * np.log(p / q)).sum(1)), rel=1e-5
    )
    p, q = 1 / (1 + np.exp(-v / t)), 1 / (1 + np.exp(-z / t))
    kl = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    assert float(logits_loss(tensor(z), tensor(v), t, "sigmoid")) == pytest.approx(t * t * kl.mean(), rel=1e-4)
    assert float(logits_loss(tensor(z), tensor(v), t, "mse")) == pytest.approx(np.mean((z - v) ** 2), rel=1e-5)
    for kind in ("softmax", "sigmoid", "mse"):
        assert float(logits_loss(tensor(v), tensor(v), t, kind)) == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]


def test_features_are_compared_after_a_projection() -> None:
    s, t = normal(4, 3), normal(4, 5)
    loss = FeatureLoss([("a", "b")], {"a": tensor(s)}, {"b": tensor(t)})
    w, b = (p.numpy() for p in loss.projectors[0].parameters())
    got = float(loss({"a": tensor(s)}, {"b": tensor(t)}, {}))
    assert got == pytest.approx(np.mean((s @ w + b - t) ** 2), rel=1e-5)


def test_maps_are_projected_by_a_1x1_convolution_and_averaged_to_the_smaller_size() -> None:
    s, t = normal(2, 3, 4, 4), normal(2, 5, 2, 2)
    loss = FeatureLoss([("a", "b")], {"a": tensor(s)}, {"b": tensor(t)})
    w, b = (p.numpy() for p in loss.projectors[0].parameters())
    small = s.reshape(2, 3, 2, 2, 2, 2).mean((3, 5))
    wanted = np.einsum("bchw,oc->bohw", small, w[:, :, 0, 0]) + b[None, :, None, None] - t
    assert float(loss({"a": tensor(s)}, {"b": tensor(t)}, {})) == pytest.approx(np.mean(wanted**2), rel=1e-4)


def test_of_encoders_pooled_and_masked_tokens_count_in_rows_that_have_the_field() -> None:
    names = [("encoders.text", "encoders.text")]
    mask = np.array([[True, True, False], [True, False, False], [True, True, True]])
    ours = [normal(3, 2), normal(3, 3, 2)]
    theirs = [normal(3, 4), normal(3, 3, 4)]
    student = {"encoders.text": Encoded(*map(tensor, ours), tensor(mask))}
    teacher = {"encoders.text": Encoded(*map(tensor, theirs), tensor(mask))}
    batch = {"has_text": tensor(np.array([True, False, True]))}
    loss = FeatureLoss(names, student, teacher)
    parts = []
    for project, s, t in zip(loss.projectors, ours, theirs, strict=True):
        w, b = (p.numpy() for p in project.parameters())
        parts.append(((s @ w + b - t) ** 2).mean(-1))
    tokens = (parts[1] * mask).sum(1) / mask.sum(1)
    wanted = (parts[0][[0, 2]].mean() + tokens[[0, 2]].mean()) / 2
    assert float(loss(student, teacher, batch)) == pytest.approx(wanted, rel=1e-5)


def test_features_of_other_kinds_are_refused() -> None:
    with pytest.raises(CompressError, match=r"the student's 'a' gives \[2, 3\] and the teacher's 'b' \[2, 3, 4\]"):
        FeatureLoss([("a", "b")], {"a": tensor(normal(2, 3))}, {"b": tensor(normal(2, 3, 4))})


def test_attention_maps_of_convolutions_and_of_tokens() -> None:
    s, t = normal(2, 3, 4, 4), normal(2, 5, 2, 2)
    got = map_distances(activation_map(tensor(s), "a"), activation_map(tensor(t), "b")).numpy()
    first = (s**2).sum(1).reshape(2, 2, 2, 2, 2).mean((2, 4)).reshape(2, -1)
    second = (t**2).sum(1).reshape(2, -1)
    first, second = (q / np.linalg.norm(q, axis=1, keepdims=True) for q in (first, second))
    assert got == pytest.approx(((first - second) ** 2).sum(1), rel=1e-4)
    tokens = normal(2, 6, 3)
    assert activation_map(tensor(tokens), "a").numpy()[:, 0, 0] == pytest.approx((tokens**2).sum(-1), rel=1e-5)
    with pytest.raises(CompressError, match=r"attention: layer 'a' gives \[2, 3\]"):
        activation_map(tensor(normal(2, 3)), "a")


@pytest.mark.parametrize("heads", [2, 4])
def test_attention_weights_by_head_or_by_their_mean(heads: int) -> None:
    s, t = softmax(normal(2, 2, 3, 5)), softmax(normal(2, heads, 3, 5))
    a, b = (s, t) if heads == 2 else (s.mean(1, keepdims=True), t.mean(1, keepdims=True))
    wanted = (b * np.log(b / a)).sum(-1).mean((1, 2))
    assert weight_distances(tensor(s), tensor(t)).numpy() == pytest.approx(wanted, rel=1e-4)


def relations(x: np.ndarray) -> tuple[dict, dict]:
    pairs = list(itertools.permutations(range(len(x)), 2))
    d = {pair: np.linalg.norm(x[pair[0]] - x[pair[1]]) for pair in pairs}
    mu = np.mean(list(d.values()))
    angles = {}
    for i, j, k in itertools.permutations(range(len(x)), 3):
        a, b = x[i] - x[j], x[k] - x[j]
        angles[i, j, k] = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return {pair: value / mu for pair, value in d.items()}, angles


def test_relations_between_rows() -> None:
    s, t = normal(6, 3), 4 * normal(6, 5)
    keep = np.array([1, 1, 0, 1, 1, 0], "float32")
    for rows, left in ((None, slice(None)), (tensor(keep), keep == 1)):
        ours, theirs = relations(s[left]), relations(t[left])
        for loss, mine, other in zip((distance_loss, angle_loss), ours, theirs, strict=True):
            wanted = np.mean([huber(mine[key] - other[key]) for key in mine])
            assert float(loss(tensor(s), tensor(t), rows)) == pytest.approx(wanted, rel=1e-4)
    x = tensor(np.ones((3, 2), "float32"))
    x.stop_gradient = False
    (distance_loss(x, tensor(t[:3])) + angle_loss(x, tensor(t[:3]))).backward()
    assert np.isfinite(x.grad.numpy()).all()  # equal rows
    assert float(distance_loss(tensor(s[:1]), tensor(t[:1]))) == 0


def test_similarities_of_embeddings_of_rows_that_have_both_fields() -> None:
    has = np.array([True, True, False, True])
    ours = {f: normal(4, 3) for f in ("image", "text")}
    theirs = {f: normal(4, 5) for f in ("image", "text")}
    batch = {"has_image": tensor(has), "has_text": tensor(np.ones(4, bool))}
    got = contrastive_loss(
        {f"{f}_embed": tensor(x) for f, x in ours.items()}, {f"{f}_embed": tensor(x) for f, x in theirs.items()},
        batch, ["image", "text"], 0.5,
    )  # fmt: skip
    losses = []
    for a, b in (("image", "text"), ("text", "image")):
        rows = has
        columns = has if b == "image" else np.ones(4, bool)
        p, q = (softmax((x[a] @ x[b].T / 0.5)[rows][:, columns]) for x in (theirs, ours))
        losses.append((p * np.log(p / q)).sum(1).mean())
    assert float(got) == pytest.approx(np.mean(losses), rel=1e-4)


def test_relations_are_those_of_paddleslim_but_for_the_pairs_of_a_row_with_itself():
    """Its means count these as zeros, that of the distances too (n/(n-1) twice, squared in the loss), and triplets in
    which two of the three rows are the same."""
    load_paddleslim()
    from paddleslim.dygraph.dist.losses.basic_loss import RKdAngle, RkdDistance

    rows = 6
    s, t = tensor(normal(rows, 3)), tensor(4 * normal(rows, 5))
    theirs = float(RkdDistance()(s, t)) * (rows - 1) / rows
    assert float(distance_loss(s, t)) == pytest.approx(theirs, rel=1e-4)
    theirs = float(RKdAngle()(s, t)) * rows**2 / ((rows - 1) * (rows - 2))
    assert float(angle_loss(s, t)) == pytest.approx(theirs, rel=1e-3)
