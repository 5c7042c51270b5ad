"""Two towers: unit embeddings by hand, nothing of absent fields in any of them, shared trunk, export."""

import itertools

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.export.graph import save_graph
from ppmm.models.encoders.bilstm_attention import BiLSTMAttention
from ppmm.models.encoders.cnn_bilstm_attention import CNNBiLSTMAttention
from ppmm.models.encoders.crnn import CRNN
from ppmm.models.encoders.mlp import MLPEncoder
from ppmm.models.trunks.shared_transformer import SharedTransformer
from ppmm.models.two_tower import TwoTower
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import Encoded, FieldSpec

FIELDS = ("image", "audio", "text", "sensor")
SUBSETS = [bits for bits in itertools.product([False, True], repeat=4) if any(bits)]
ROWS = len(SUBSETS)


def make():
    paddle.seed(0)
    encoders = {
        "image": CRNN(1, dim=6, channels=[4, 4], queries=2),
        "audio": CNNBiLSTMAttention(6, dim=4, channels=[3], queries=2),
        "text": BiLSTMAttention(12, dim=8, queries=3),
        "sensor": MLPEncoder(3, dim=5),
    }
    return TwoTower(encoders, dim=7)


def batch(poison=0.0, huge_id=0, true_masks=False):
    """One row per non-empty subset of fields; what is absent holds ``poison`` or ``huge_id``."""
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.normal(size=(ROWS, 1, 8, 16)).astype("float32"),
        "audio": rng.normal(size=(ROWS, 9, 6)).astype("float32"),
        "text": rng.integers(1, 12, size=(ROWS, 5)),
        "sensor": rng.normal(size=(ROWS, 3)).astype("float32"),
    }
    lengths = {"audio": rng.integers(1, 10, ROWS), "text": rng.integers(1, 6, ROWS)}
    for number, field in enumerate(FIELDS):
        present = np.array([bits[number] for bits in SUBSETS])
        arrays[field][~present] = huge_id if field == "text" else poison
        arrays[f"has_{field}"] = present
        if field in lengths:
            mask = np.arange(arrays[field].shape[1])[None] < lengths[field][:, None]
            mask[~present] = true_masks
            arrays[f"{field}_mask"] = mask
    return {name: paddle.to_tensor(array) for name, array in arrays.items()}


def numbers(outputs):
    return {name: tensor.numpy() for name, tensor in outputs.items()}


class Passing(nn.Layer):
    """Its input as the embedding."""

    def __init__(self, out_dim):
        super().__init__()
        self.out_dim = out_dim

    def forward(self, x, mask=None):
        return Encoded(x)


def test_embeddings_are_projections_of_length_one():
    model = TwoTower({"a": Passing(2), "b": Passing(3)}, dim=2)
    model.projections["a"].weight.set_value(np.array([[1.0, 0.0], [0.0, 2.0]], "float32"))
    model.projections["b"].weight.set_value(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]], "float32"))
    has = paddle.to_tensor([True, True])
    found = numbers(
        model(
            {
                "a": paddle.to_tensor([[3.0, 2.0], [0.0, -5.0]]), "has_a": has,
                "b": paddle.to_tensor([[4.0, 3.0, 9.0], [0.0, 0.0, 1.0]]), "has_b": has,
            }
        )
    )  # fmt: skip
    np.testing.assert_allclose(found["a_embed"], [[0.6, 0.8], [0.0, -1.0]], atol=1e-6)
    np.testing.assert_allclose(found["b_embed"], [[0.6, 0.8], [0.0, 0.0]], atol=1e-6)
    assert model.fields == ("a", "b") and model.outputs == ("a_embed", "b_embed")


def test_present_fields_have_length_one_and_absent_ones_are_zero():
    model = make()
    model.eval()
    found = numbers(model(batch()))
    for number, field in enumerate(FIELDS):
        lengths = np.linalg.norm(found[f"{field}_embed"], axis=1)
        np.testing.assert_allclose(lengths, [float(bits[number]) for bits in SUBSETS], atol=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_an_absent_field_influences_nothing(training):
    def run(**kept):
        model = make()
        model.train() if training else model.eval()
        outputs = model(batch(**kept))
        if training:
            sum((embed[:, 0] * embed[:, 1]).sum() for embed in outputs.values()).backward()
        gradients = {name: p.grad.numpy() for name, p in model.named_parameters() if p.grad is not None}
        return {**numbers(outputs), **gradients, **{name: b.numpy() for name, b in model.named_buffers()}}

    clean = run()
    assert all(np.isfinite(array).all() for array in clean.values())
    for poisoned in (run(poison=float("nan"), huge_id=11, true_masks=True), run(poison=-3e38)):
        for name, array in clean.items():
            np.testing.assert_allclose(poisoned[name], array, atol=1e-6, err_msg=name)


def test_the_fields_of_a_row_do_not_see_one_another():
    model = make()
    model.eval()
    whole = batch()
    alone = {**whole, "has_text": paddle.zeros_like(whole["has_text"])}
    for field in ("image", "audio", "sensor"):
        np.testing.assert_array_equal(model(alone)[f"{field}_embed"].numpy(), model(whole)[f"{field}_embed"].numpy())


def test_every_parameter_is_trained():
    model = make()
    model.train()
    sum((embed[:, 0] * embed[:, 1]).sum() for embed in model(batch()).values()).backward()
    for name, parameter in model.named_parameters():
        if not parameter.stop_gradient:
            assert parameter.grad is not None and np.isfinite(parameter.grad.numpy()).all(), name


class Doubling(nn.Layer):
    """A trunk that doubles each embedding's size."""

    def __init__(self, in_dims):
        super().__init__()
        self.out_dims = {field: 2 * size for field, size in in_dims.items()}

    def forward(self, encoded, present):
        return {field: Encoded(paddle.concat([part.pooled, -part.pooled], axis=-1)) for field, part in encoded.items()}


def test_a_trunk_in_which_fields_see_each_other_is_refused():
    """Each embedding would know the others of its row, and retrieval would be perfect without having learned."""
    with pytest.raises(ValueError, match="set joint: false"):
        TwoTower({"a": Passing(4), "b": Passing(4)}, trunk=SharedTransformer({"a": 4, "b": 4}, 4, 1, 2, joint=True))


def test_a_trunk_stands_before_the_projections():
    model = TwoTower({"a": Passing(2), "b": Passing(2)}, trunk=Doubling({"a": 2, "b": 2}), dim=3)
    assert model.projections["a"].weight.shape == [4, 3]
    value = paddle.to_tensor([[1.0, 2.0]])
    found = model({"a": value, "has_a": paddle.to_tensor([True]), "b": value, "has_b": paddle.to_tensor([False])})
    wanted = np.array([[1.0, 2.0, -1.0, -2.0]]) @ model.projections["a"].weight.numpy()
    np.testing.assert_allclose(found["a_embed"].numpy(), wanted / np.linalg.norm(wanted), atol=1e-6)
    assert (found["b_embed"].numpy() == 0).all()


def test_one_tower_is_refused():
    with pytest.raises(ValueError, match="at least two fields, got a"):
        TwoTower({"a": Passing(2)})


def test_the_exported_graph_answers_the_embeddings_by_name(tmp_path):
    model = make()
    model.eval()
    values = batch()
    specs = {
        "image": FieldSpec((None, 1, 8, 16), "float32"), "audio": FieldSpec((None, None, 6), "float32"),
        "audio_mask": FieldSpec((None, None), "bool"), "text": FieldSpec((None, None), "int64"),
        "text_mask": FieldSpec((None, None), "bool"), "sensor": FieldSpec((None, 3), "float32"),
        **{f"has_{field}": FieldSpec((None,), "bool") for field in FIELDS},
    }  # fmt: skip
    names = save_graph(model, specs, tmp_path / "main")
    assert names == sorted(model.outputs)
    wanted = numbers(model(values))
    files = [next(tmp_path.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    for backend in ("plain", "onednn"):
        found = PaddleGraph(files, names, backend, 1)({name: tensor.numpy() for name, tensor in values.items()})
        for name, array in wanted.items():
            np.testing.assert_allclose(found[name], array, atol=1e-5, err_msg=f"{backend} {name}")
