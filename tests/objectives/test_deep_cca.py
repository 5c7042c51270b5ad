"""Deep CCA against the eigenvalues that Andrew et al. define, computed by NumPy, and against a known correlation."""

import numpy as np
import paddle
import pytest

from ppmm.errors import ConfigError
from ppmm.objectives.deep_cca import DeepCCA
from tests.objectives.embeds import assert_absent_rows_do_not_matter, assert_gradients, example, together


def root(matrix):
    values, vectors = np.linalg.eigh(matrix)
    return vectors @ np.diag(values**-0.5) @ vectors.T


def correlations(left, right, regularisation):
    count = len(left)
    left, right = left - left.mean(0), right - right.mean(0)
    one = left.T @ left / (count - 1) + regularisation * np.eye(left.shape[1])
    two = right.T @ right / (count - 1) + regularisation * np.eye(right.shape[1])
    return np.linalg.svd(root(one) @ (left.T @ right / (count - 1)) @ root(two), compute_uv=False)


def batch_of(left, right):
    there = paddle.ones([len(left)], dtype="bool")
    embeds = {"image_embed": paddle.to_tensor(left), "text_embed": paddle.to_tensor(right)}
    return embeds, {"has_image": there, "has_text": there}


@pytest.mark.parametrize("components", [None, 2])
@pytest.mark.parametrize("regularisation", [1e-3, 0.5])
def test_equals_the_definition(components, regularisation):
    outputs, batch = example(rows=24, dim=4)
    rows = together(batch, "image", "text")
    left, right = (outputs[f"{name}_embed"].numpy()[rows].astype(float) for name in ("image", "text"))
    values = correlations(left, right, regularisation)[:components]
    terms = DeepCCA(["image", "text"], components=components, regularisation=regularisation)(outputs, batch)
    assert float(terms["loss"]) == pytest.approx(len(values) - values.sum(), rel=1e-5)
    assert float(terms["image_text_correlation"]) == pytest.approx(values.mean(), rel=1e-5)


def test_embeddings_of_different_sizes():
    rng = np.random.default_rng(3)
    left, right = rng.normal(size=(20, 3)).astype("float32"), rng.normal(size=(20, 5)).astype("float32")
    found = DeepCCA(["image", "text"])(*batch_of(left, right))["loss"]
    assert float(found) == pytest.approx(
        3 - correlations(left.astype(float), right.astype(float), 1e-3).sum(), rel=1e-5
    )


def test_a_linear_map_correlates_wholly_and_one_number_as_pearson_says():
    rng = np.random.default_rng(4)
    left = rng.normal(size=(50, 3)).astype("float32")
    mapped = left @ rng.normal(size=(3, 3)).astype("float32") + 5
    assert float(DeepCCA(["image", "text"], regularisation=1e-8)(*batch_of(left, mapped))["loss"]) < 1e-4
    noisy = left[:, :1] + rng.normal(size=(50, 1)).astype("float32")
    found = DeepCCA(["image", "text"], regularisation=1e-9)(*batch_of(left[:, :1], noisy))["image_text_correlation"]
    assert float(found) == pytest.approx(np.corrcoef(left[:, 0], noisy[:, 0])[0, 1], rel=1e-5)


@pytest.mark.parametrize("components", [None, 2])
def test_gradients(components):
    outputs, batch = example(rows=18, dim=3)
    objective = DeepCCA(["image", "text", "audio"], components=components, regularisation=0.05)
    assert_gradients(objective, outputs, batch, ["image_embed", "text_embed", "audio_embed"], tolerance=5e-3)


def test_gradients_are_finite_where_values_coincide():
    """Equal singular values, embeddings without variance, fewer rows than dimensions, a single row, no row."""
    same = np.eye(4, dtype="float32")
    for left, right in ((same, same), (np.ones((6, 4)), np.ones((6, 4))), (same[:2], same[:2]), (same[:1], same[:1])):
        outputs, batch = batch_of(left.astype("float32"), right.astype("float32"))
        for here in (batch, {name: paddle.zeros_like(value) for name, value in batch.items()}):
            fresh = {name: value.detach() for name, value in outputs.items()}
            for tensor in fresh.values():
                tensor.stop_gradient = False
            loss = DeepCCA(["image", "text"])(fresh, here)["loss"]
            loss.backward()
            assert np.isfinite(float(loss))
            assert all(np.isfinite(tensor.grad.numpy()).all() for tensor in fresh.values())


def test_absent_rows_do_not_matter():
    assert_absent_rows_do_not_matter(DeepCCA(["image", "text", "audio"], regularisation=0.1))


def test_wrong_arguments():
    with pytest.raises(ValueError, match="regularisation must be above 0"):
        DeepCCA(["image", "text"], regularisation=0.0)
    with pytest.raises(ConfigError, match="9 is more than the 5 dimensions"):
        DeepCCA(["image", "text"], components=9)(*example())
