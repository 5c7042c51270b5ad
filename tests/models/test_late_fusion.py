"""Late fusion: an absent field never influences the answer, the gradient or the batch statistics."""

import itertools

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.models.encoders.audio_cnn import AudioCNN
from ppmm.models.encoders.cnn import CNN
from ppmm.models.encoders.cnn_bilstm import CNNBiLSTM
from ppmm.models.encoders.mlp import MLPEncoder
from ppmm.models.encoders.text_rnn import BiLSTM
from ppmm.models.fusion.concat import ConcatFusion
from ppmm.models.fusion.gated import GatedFusion
from ppmm.models.heads.linear import LinearHead
from ppmm.models.late_fusion import LateFusion
from ppmm.types import Encoded

FIELDS = ("image", "audio", "text", "sensor")
SUBSETS = [bits for bits in itertools.product([False, True], repeat=4) if any(bits)]
ROWS = len(SUBSETS)


def make(fusion=ConcatFusion, audio=AudioCNN):
    paddle.seed(0)
    encoders = {
        "image": CNN(1, [4, 4]),
        "audio": audio(6, dim=6, channels=[3]),
        "text": BiLSTM(12, dim=4),
        "sensor": MLPEncoder(3, dim=5),
    }
    in_dims = {field: encoder.out_dim for field, encoder in encoders.items()}
    return LateFusion(encoders, fusion=fusion(in_dims, dim=7), head=LinearHead(7, 3))


def batch(poison=0.0, huge_id=0, true_masks=False):
    """One row per non-empty subset of fields; what is absent holds ``poison`` or ``huge_id``."""
    rng = np.random.default_rng(0)
    arrays = {
        "image": rng.normal(size=(ROWS, 1, 8, 8)).astype("float32"),
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
            if field == "text":
                arrays[field][present] *= mask[present]
            arrays[f"{field}_mask"] = mask
    return {name: paddle.to_tensor(array) for name, array in arrays.items()}


POISON = [{"poison": float("nan"), "huge_id": 11}, {"poison": 3e38, "huge_id": 1}, {"true_masks": True}]


@pytest.mark.parametrize("fusion", [ConcatFusion, GatedFusion])
def test_bytes_of_absent_fields_do_not_matter(fusion):
    model = make(fusion, CNNBiLSTM)
    model.eval()
    clean = model(batch())["logits"].numpy()
    assert np.isfinite(clean).all() and len(np.unique(clean.round(5), axis=0)) == ROWS
    for poison in POISON:
        np.testing.assert_allclose(model(batch(**poison))["logits"].numpy(), clean, atol=1e-6, err_msg=str(poison))


def test_encoders_are_given_zeros_for_absent_fields():
    """Ids outside the vocabulary as well, which would end the process in a real embedding."""

    class Recorder(nn.Layer):
        out_dim = 2

        def forward(self, x, mask=None):
            self.seen = x.numpy()
            return Encoded(paddle.zeros([ROWS, 2]))

    encoders = {field: Recorder() for field in FIELDS}
    model = LateFusion(encoders, fusion=ConcatFusion(dict.fromkeys(FIELDS, 2), 4), head=LinearHead(4, 2))
    given = batch(float("nan"), 2**40)
    model(given)
    for field in FIELDS:
        present = given[f"has_{field}"].numpy()
        assert not encoders[field].seen[~present].any(), field
        assert np.array_equal(encoders[field].seen[present], given[field].numpy()[present]), field


def test_neither_in_training_nor_in_its_statistics_and_gradients():
    results = []
    for bytes_ in ({}, *POISON[:2]):
        model = make(GatedFusion)
        model.train()
        logits = model(batch(**bytes_))["logits"]
        (logits**2).sum().backward()
        gradients = {f"{name}.grad": p.grad.numpy() for name, p in model.named_parameters() if not p.stop_gradient}
        results.append(gradients | {name: t.numpy() for name, t in model.state_dict().items()} | {"": logits.numpy()})
        for name, clean in results[0].items():
            np.testing.assert_allclose(results[-1][name], clean, atol=1e-5, err_msg=f"{name} {bytes_}")


def test_a_row_does_not_depend_on_the_others():
    model = make()
    model.eval()
    whole = batch()
    together = model(whole)["logits"].numpy()
    for row in range(ROWS):
        own = {name: tensor[row : row + 1] for name, tensor in whole.items()}
        np.testing.assert_allclose(model(own)["logits"].numpy()[0], together[row], atol=1e-6)


def test_every_present_field_matters():
    model = make()
    model.eval()
    before = batch()
    clean = model(before)["logits"].numpy()
    for number, field in enumerate(FIELDS):
        changed = dict(before)
        changed[field] = (before[field] + 1) % 12 if field == "text" else before[field] + 1.0
        moved = np.abs(model(changed)["logits"].numpy() - clean).max(1) > 1e-6
        assert moved.tolist() == [bits[number] for bits in SUBSETS], field


def test_tower_that_no_row_uses_gets_a_zero_gradient():
    model = make()
    whole = batch()
    rows = paddle.to_tensor([row for row, bits in enumerate(SUBSETS) if not bits[1]])
    (model({name: paddle.index_select(tensor, rows) for name, tensor in whole.items()})["logits"] ** 2).sum().backward()
    for name, parameter in model.named_parameters():
        if name.startswith("encoders.audio") and parameter.grad is not None:
            assert not parameter.grad.numpy().any(), name
    assert any(p.grad.numpy().any() for p in model.encoders["image"].parameters() if p.grad is not None)


def test_by_hand_with_its_own_parts():
    model = make()
    model.eval()
    whole = batch()
    encoded = {field: model.encoders[field](whole[field], whole.get(f"{field}_mask")) for field in FIELDS}
    wanted = model.head(model.fusion(encoded, {field: whole[f"has_{field}"] for field in FIELDS}))
    assert model.fields == FIELDS
    np.testing.assert_allclose(model(whole)["logits"].numpy(), wanted.numpy(), atol=1e-6)


def test_no_field_is_refused():
    with pytest.raises(ValueError, match="at least one field"):
        LateFusion({}, fusion=ConcatFusion({"image": 1}), head=LinearHead(256, 2))
