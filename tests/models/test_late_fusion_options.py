"""Late fusion with a shared trunk, imputation and the answers of single fields: exact for absent fields, exportable."""

import itertools

import numpy as np
import paddle
import pytest

from ppmm.config import build
from ppmm.errors import ConfigError
from ppmm.export.graph import save_graph
from ppmm.models.fusion.bottleneck import BottleneckFusion
from ppmm.models.trunks.shared_transformer import SharedTransformer
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import FieldSpec, Model

FIELDS = ("image", "audio", "sensor")
SUBSETS = [bits for bits in itertools.product([False, True], repeat=3) if any(bits)]
SIZES = {
    "per_key": {"image": {"in_channels": 1}, "audio": {"in_features": 6}, "sensor": {"in_features": 3}},
    "classes": 4,
}
SPECS = {
    "image": FieldSpec((None, 1, 8, 8), "float32"),
    "audio": FieldSpec((None, None, 6), "float32"),
    "audio_mask": FieldSpec((None, None), "bool"),
    "sensor": FieldSpec((None, 3), "float32"),
    **{f"has_{field}": FieldSpec((None,), "bool") for field in FIELDS},
}
TRUNK = {"name": "shared_transformer", "dim": 8, "layers": 1, "heads": 2}
BOTTLENECK = {"name": "bottleneck", "dim": 8, "heads": 2}


def make(fusion=BOTTLENECK, head="linear", **options):
    paddle.seed(0)
    encoders = {
        "image": {"name": "cnn", "channels": [4, 4]},
        "audio": {"name": "audio_cnn", "dim": 6, "channels": [3]},
        "sensor": {"name": "mlp", "dim": 5},
    }
    config = {"name": "late_fusion", "encoders": encoders, **options, "fusion": fusion, "head": {"name": head}}
    model = build(config, Model, SIZES)
    model.eval()
    return model


def batch(poison=0.0):
    rng = np.random.default_rng(0)
    rows = len(SUBSETS)
    arrays = {
        "image": rng.normal(size=(rows, 1, 8, 8)).astype("float32"),
        "audio": rng.normal(size=(rows, 9, 6)).astype("float32"),
        "sensor": rng.normal(size=(rows, 3)).astype("float32"),
        "audio_mask": np.arange(9) < rng.integers(1, 10, rows)[:, None],
    }
    for number, field in enumerate(FIELDS):
        present = np.array([bits[number] for bits in SUBSETS])
        arrays[field][~present] = poison
        arrays[f"has_{field}"] = present
    arrays["audio_mask"][~arrays["has_audio"]] = bool(poison)
    return {name: paddle.to_tensor(array) for name, array in arrays.items()}


CONCAT = {"name": "concat", "dim": 8}
OPTIONS = {
    "trunk": {"trunk": TRUNK, "fusion": CONCAT},
    "joint": {"trunk": {**TRUNK, "joint": True}, "fusion": CONCAT},
    "impute": {"impute": True, "fusion": {"name": "cross_attention", "dim": 8, "heads": 2}},
    "all": {"trunk": {**TRUNK, "joint": True}, "impute": True, "unimodal_logits": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=list(OPTIONS))
def test_bytes_of_absent_fields_change_nothing_and_it_exports(options, tmp_path):
    model = make(**options)
    clean = model(batch())["logits"].numpy()
    assert np.isfinite(clean).all() and len(np.unique(clean.round(5), axis=0)) == len(SUBSETS)
    for poison in (float("nan"), 3e38, 1.0):
        assert np.array_equal(model(batch(poison))["logits"].numpy(), clean)
    outputs = save_graph(model, SPECS, tmp_path / "main")
    files = [next(tmp_path.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    for backend in ("plain", "onednn"):
        graph = PaddleGraph(files, outputs, backend, 1)
        found = graph({name: tensor.numpy() for name, tensor in batch(1.0).items()})["logits"]
        np.testing.assert_allclose(found, clean, atol=2e-5, err_msg=backend)


def test_sizes_go_from_the_trunk_to_fusion_and_imputation():
    model = make(trunk=TRUNK, impute=True)
    assert isinstance(model.trunk, SharedTransformer) and isinstance(model.fusion, BottleneckFusion)
    assert all(norm.weight.shape == [8] for norm in model.fusion.projections.norms.values())
    assert [model.imputation.vectors[field].shape for field in FIELDS] == [[1, 8]] * 3


def test_every_parameter_of_all_options_learns():
    model = make(**OPTIONS["all"])
    model.train()
    outputs = model(batch(float("nan")))
    assert set(outputs) == {"logits", *(f"{field}_logits" for field in FIELDS)}
    (outputs["logits"] ** 2).sum().backward()
    for name, parameter in model.named_parameters():
        if parameter.stop_gradient:  # statistics of batch normalisation
            continue
        assert parameter.grad is not None and np.isfinite(parameter.grad.numpy()).all(), name


def test_answers_of_single_fields_see_nothing_of_the_others_through_a_joint_trunk():
    model = make(**OPTIONS["all"])
    model.train()
    before, after = batch(), batch()
    after["sensor"] = after["sensor"] + 1.0
    first, second = model(before), model(after)
    assert not np.array_equal(first["logits"].numpy(), second["logits"].numpy())
    encoded, present = model.encode(before)
    for _ in range(2):
        alone = model.answer_alone("audio", encoded, present).numpy()
        encoded = {**encoded, "sensor": encoded["sensor"]._replace(pooled=encoded["sensor"].pooled * 0 + 9)}
    assert np.array_equal(alone, model.answer_alone("audio", encoded, present).numpy())


def test_decisions_with_the_identity_head():
    model = make({"name": "decision"}, "identity")
    probabilities = np.exp(model(batch())["logits"].numpy())
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)
    with pytest.raises(ConfigError, match="256 numbers for 4 classes; take the head 'linear'"):
        make({"name": "concat"}, "identity")


def test_a_side_head_tells_attributes_from_one_embedding_and_stays_out_of_the_graph():
    model = make(attributes={"image": 3})
    given = batch()
    outputs = model(given)
    encoded, _ = model.encode(given)
    layer = model.attributes["image"]
    expected = encoded["image"].pooled.numpy() @ layer.weight.numpy() + layer.bias.numpy()
    np.testing.assert_allclose(outputs["image_attributes"].numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(outputs["logits"].numpy(), make()(given)["logits"].numpy())
    assert model.outputs == ("logits",)
    with pytest.raises(ConfigError, match="did you mean 'image'"):
        make(attributes={"imag": 3})
