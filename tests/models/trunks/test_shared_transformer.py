"""The shared trunk: NumPy, one set of weights, nothing between fields unless they are joint, and exports."""

import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.export.graph import save_graph
from ppmm.models.fusion.sum_mean import SumMeanFusion
from ppmm.models.trunks.shared_transformer import SharedTransformer
from ppmm.registry import TRUNKS
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import Encoded, FieldSpec
from tests.models.fusion.numpy_parts import DIMS, case, layer_norm, make, self_block, sequence

FUSED = {"image": (2, 3), "audio": (None, 4)}


def test_each_field_by_itself_equals_numpy():
    trunk = make(SharedTransformer, dim=4, heads=2, layers=2)
    encoded, present, rows = case()
    found = trunk(encoded, present)
    assert found["text"].tokens is None and trunk.out_dims == dict.fromkeys(DIMS, 4)
    for number, row in enumerate(rows):
        for field, parts in row.items():
            steps = sequence(trunk.projections, field, *parts)
            for block in trunk.transformer.blocks:
                steps = self_block(steps, block)
            steps = layer_norm(steps, trunk.transformer.norm)
            np.testing.assert_allclose(found[field].pooled.numpy()[number], steps[0], atol=1e-5)
            if field != "text":
                mask = found[field].token_mask.numpy()[number]
                np.testing.assert_allclose(found[field].tokens.numpy()[number][mask], steps[1:], atol=1e-5)


def test_joint_fields_equal_numpy():
    trunk = make(SharedTransformer, dim=4, heads=2, layers=1, joint=True)
    encoded, present, rows = case()
    found = trunk(encoded, present)
    for number, row in enumerate(rows):
        parts = {field: sequence(trunk.projections, field, *row[field]) for field in row}
        steps = self_block(np.vstack(list(parts.values())), trunk.transformer.blocks[0])
        steps = layer_norm(steps, trunk.transformer.norm)
        start = 0
        for field, own in parts.items():
            np.testing.assert_allclose(found[field].pooled.numpy()[number], steps[start], atol=1e-5)
            start += len(own)


def test_only_projections_and_field_vectors_grow_with_the_fields():
    counts = [
        sum(p.size for name, p in SharedTransformer(dims, dim=8).named_parameters() if "transformer" in name)
        for dims in ({"image": 3}, DIMS)
    ]
    assert counts[0] == counts[1] > 0


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("poison", [float("nan"), 3e38])
def test_absent_fields_change_nothing(joint, poison):
    trunk = make(SharedTransformer, dim=4, heads=2, joint=joint)
    encoded, present, _ = case()
    clean = trunk(encoded, present)
    dirty = {}
    for field, part in encoded.items():
        pooled, tokens = part.pooled.clone(), None if part.tokens is None else part.tokens.clone()
        for row in np.flatnonzero(~present[field].numpy()):
            pooled[int(row)] = poison
            if tokens is not None:
                tokens[int(row)] = poison
        dirty[field] = Encoded(pooled, tokens, part.token_mask)
    found = trunk(dirty, present)
    for field, part in clean.items():
        assert np.isfinite(part.pooled.numpy()).all()
        for before, after in zip(part, found[field], strict=True):
            assert (before is None) == (after is None)
            assert before is None or np.array_equal(before.numpy(), after.numpy())


class Trunked(nn.Layer):
    outputs = ("logits",)

    def __init__(self, trunk):
        super().__init__()
        self.trunk, self.fusion = trunk, SumMeanFusion(trunk.out_dims, dim=3)

    def forward(self, batch):
        image = Encoded(batch["image"].mean(axis=1), batch["image"])
        audio = Encoded(batch["audio"].mean(axis=1), batch["audio"], batch["audio_mask"])
        present = {field: batch[f"has_{field}"] for field in FUSED}
        encoded = self.trunk({"image": image, "audio": audio}, present)
        last = encoded["audio"].tokens.sum(axis=1) + encoded["image"].tokens.sum(axis=1)
        return {"logits": paddle.concat([self.fusion(encoded, present), last], axis=-1)}


@pytest.mark.parametrize("joint", [False, True])
def test_exports(joint, tmp_path):
    dims = {field: shape[1] for field, shape in FUSED.items()}
    model = Trunked(make(SharedTransformer, dims, dim=4, heads=2, layers=1, joint=joint))
    specs = {field: FieldSpec((None, *shape), "float32") for field, shape in FUSED.items()}
    specs |= {"audio_mask": FieldSpec((None, None), "bool"), "has_image": FieldSpec((None,), "bool")}
    specs["has_audio"] = specs["has_image"]
    outputs = save_graph(model, specs, tmp_path / "main")
    files = [next(tmp_path.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    graphs = {backend: PaddleGraph(files, outputs, backend, 1) for backend in ("plain", "onednn")}
    encoded, present, _ = case()
    batch = {"image": encoded["image"].tokens, "audio": encoded["audio"].tokens}
    batch |= {"audio_mask": encoded["audio"].token_mask, **{f"has_{field}": present[field] for field in FUSED}}
    for rows in (slice(None), slice(2, 3)):
        own = {key: tensor[rows] for key, tensor in batch.items()}
        with paddle.no_grad():
            wanted = model(own)["logits"].numpy()
        for backend, graph in graphs.items():
            found = graph({key: tensor.numpy() for key, tensor in own.items()})["logits"]
            np.testing.assert_allclose(found, wanted, atol=1e-5, err_msg=backend)


def test_registered_and_refusals():
    assert TRUNKS.get("shared_transformer") is SharedTransformer
    with pytest.raises(ValueError, match="layers"):
        SharedTransformer(DIMS, layers=0)
    with pytest.raises(ValueError, match="heads"):
        SharedTransformer(DIMS, dim=6, heads=4)
