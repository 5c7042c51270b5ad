"""Every registered part keeps its protocol's promise. A new part is covered by being registered.

A constructor argument without default is filled from `GIVEN` by its name; one that is not there fails the test with
the request to add it.
"""

import inspect
import itertools
import json

import numpy as np
import paddle
import pytest
from paddle import nn
from part_kinds import kind_of

from ppmm.engine.step import scheduled
from ppmm.engine.weights import load_model, load_optimizer, model_arrays, optimizer_arrays, trained_parameters
from ppmm.export.graph import save_graph
from ppmm.modalities.vqa_answers import VqaAnswers
from ppmm.models.layers.masking import masked_mean
from ppmm.optim.optimizers import decayed
from ppmm.registry import ENCODERS, FUSIONS, HEADS, METRICS, OBJECTIVES, OPTIMIZERS, SCHEDULES
from ppmm.runtime.paddle_graph import PaddleGraph
from ppmm.types import Encoded, FieldSpec

CLASSES = 4
VOCABULARY = 30
BANDS = 8
DIMS = {"image": 5, "audio": 6, "text": 3}
SUBSETS = [bits for bits in itertools.product([False, True], repeat=3) if any(bits)]
GIVEN = {
    "in_channels": 3,
    "vocab_size": VOCABULARY,
    "in_features": BANDS,
    "in_dims": DIMS,
    "in_dim": CLASSES,
    "classes": CLASSES,
    "target": "label",
    "labels": {"label": [f"class {number}" for number in range(CLASSES)]},
    "class_counts": {"label": [3, 1, 4, 2]},
    "backbone": "shufflenet_v2_x0_25",
}
SMALL = {"dim": 8, "hidden": 8, "width": 0.125, "dropout": 0.3}
"""Used where the signature has them: large defaults would make the tests slow, and dropout is to be in play."""


@pytest.fixture(autouse=True)
def folder_of_a_pretrained_model(request, monkeypatch):
    """Importing PaddleNLP takes seconds: only where a test needs it."""
    if "paddlenlp" in request.node.name:
        monkeypatch.setitem(GIVEN, "path", str(request.getfixturevalue("tiny_bert")))


def make(registry, name, own=None, **small):
    """A part with its defaults; ``own`` and `GIVEN` fill what has none, ``small`` makes it small."""
    cls = registry.get(name)
    arguments = {}
    for argument, parameter in inspect.signature(cls).parameters.items():
        if argument in (own or {}):
            arguments[argument] = own[argument]
        elif argument in GIVEN:
            arguments[argument] = GIVEN[argument]
        elif argument in small:
            arguments[argument] = small[argument] if isinstance(parameter.default, float) else 8
        elif parameter.default is parameter.empty:
            pytest.fail(f"{registry.kind} '{name}' needs '{argument}': add it to GIVEN in {__file__}")
    paddle.seed(0)
    return cls(**arguments)


def each(registry):
    return pytest.mark.parametrize("name", registry.names())


# --- encoders -------------------------------------------------------------------------------------------------------


def encoder_of(name):
    """An encoder in evaluation mode whose batch statistics and biases are not the trivial ones."""
    encoder = make(ENCODERS, name, {"in_channels": 1} if kind_of(name) == "waveform" else {}, **SMALL)
    rng = np.random.default_rng(0)
    for key, tensor in encoder.state_dict().items():
        if key.endswith(("_mean", "bias")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.2)
        elif key.endswith("_variance"):
            tensor.set_value(rng.uniform(0.5, 1.5, size=tensor.shape).astype("float32"))
    encoder.eval()
    return encoder


LENGTHS = [17, 5, 32, 0, 1, 12]
"""The fourth row is absent: zeros, fully masked."""


def values_for(kind, lengths=LENGTHS, to=None):
    """Values and mask (None where nothing varies) of one row per length; zeros at padding, as collation writes them."""
    rng = np.random.default_rng(1)
    if kind in ("image", "numeric"):
        shape = (3, 32, 32) if kind == "image" else (BANDS,)
        return rng.normal(size=(len(lengths), *shape)).astype("float32"), None
    to = max(lengths) if to is None else to
    mask = np.arange(to)[None] < np.array(lengths)[:, None]
    tail = (BANDS,) if kind == "audio" else ()
    clips = [
        rng.integers(1, VOCABULARY, size=length) if kind == "text" else rng.normal(size=(length, *tail))
        for length in lengths
    ]
    values = np.zeros((len(lengths), to, *tail))
    for row, clip in enumerate(clips):
        values[row, : len(clip)] = clip
    return values.astype("int64" if kind == "text" else "float32"), mask


def encode(encoder, values, mask):
    return encoder(paddle.to_tensor(values), None if mask is None else paddle.to_tensor(mask))


def assert_same(found, wanted, **tolerance):
    """Two `Encoded` of the same rows."""
    np.testing.assert_allclose(found.pooled.numpy(), wanted.pooled.numpy(), **tolerance)
    assert (found.tokens is None) == (wanted.tokens is None)
    if wanted.tokens is None:
        return
    keep = slice(None) if wanted.token_mask is None else wanted.token_mask.numpy()
    count = wanted.tokens.shape[1]
    np.testing.assert_allclose(found.tokens.numpy()[:, :count][keep], wanted.tokens.numpy()[keep], **tolerance)


@each(ENCODERS)
def test_encoder_returns_what_it_promises(name):
    encoder = encoder_of(name)
    values, mask = values_for(kind_of(name))
    found = encode(encoder, values, mask)
    assert isinstance(found, Encoded)
    assert found.pooled.shape == [len(LENGTHS), encoder.out_dim] and np.isfinite(found.pooled.numpy()).all()
    assert found.pooled.numpy().std(0).max() > 1e-4, "every row has the same embedding"
    if found.tokens is None:
        assert found.token_mask is None
        return
    assert found.tokens.ndim == 3 and found.tokens.shape[0] == len(LENGTHS)
    assert np.isfinite(found.tokens.numpy()).all()
    assert (found.token_mask is None) == (mask is None)
    if mask is not None:
        steps = found.token_mask.numpy()
        assert steps.dtype == bool and list(steps.shape) == found.tokens.shape[:2]
        assert not steps[3].any() and (np.diff(steps.astype(int), axis=1) <= 0).all()
        assert (steps.any(1) == mask.any(1)).all(), "a row with steps lost them all"


@each(ENCODERS)
def test_encoder_gives_a_row_the_same_alone_and_in_any_batch(name):
    encoder, kind = encoder_of(name), kind_of(name)
    values, mask = values_for(kind)
    together = encode(encoder, values, mask)
    order = np.array([4, 0, 5, 3, 2, 1])
    shuffled = encode(encoder, values[order], None if mask is None else mask[order])
    np.testing.assert_allclose(shuffled.pooled.numpy(), together.pooled.numpy()[order], atol=1e-5)
    for row, length in enumerate(LENGTHS):
        if mask is None:
            alone = encode(encoder, values[row : row + 1], None)
        elif length:
            alone = encode(encoder, values[row : row + 1, :length], mask[row : row + 1, :length])
            assert int(together.token_mask[row].sum()) == int(alone.token_mask.sum())
        else:
            continue
        own = Encoded(*(None if part is None else part[row : row + 1] for part in together))
        assert_same(own, alone, atol=1e-5)


@each(ENCODERS)
def test_encoder_does_not_see_padding(name):
    kind = kind_of(name)
    if kind in ("image", "numeric"):
        pytest.skip("nothing is padded")
    encoder = encoder_of(name)
    clean = encode(encoder, *values_for(kind))
    values, mask = values_for(kind, to=45)
    assert_same(encode(encoder, values, mask), clean, atol=1e-5)
    values[~mask] = VOCABULARY - 1 if kind == "text" else np.nan
    assert_same(encode(encoder, values, mask), clean, atol=1e-5)


@each(ENCODERS)
def test_encoder_without_mask_equals_a_full_mask(name):
    encoder, kind = encoder_of(name), kind_of(name)
    values, mask = values_for(kind, lengths=[9, 9, 9])
    without = encode(encoder, values, None)
    assert_same(without, encode(encoder, values, np.ones((3, 9), bool) if mask is None else mask), atol=1e-6)
    again = encode(encoder, values, None)
    assert np.array_equal(again.pooled.numpy(), without.pooled.numpy()), "dropout in evaluation mode"


@each(ENCODERS)
def test_encoder_trains_every_parameter(name):
    """Also with an absent row; a parameter without gradient has no optimizer state and is dead weight."""
    encoder, kind = encoder_of(name), kind_of(name)
    encoder.train()
    found = encode(encoder, *values_for(kind))
    (found.pooled**2).sum().backward()
    for key, parameter in encoder.named_parameters():
        if parameter.stop_gradient:
            continue
        assert parameter.grad is not None, f"{key} has no gradient"
        gradient = parameter.grad.numpy()
        assert np.isfinite(gradient).all() and gradient.any(), key


# --- fusions and heads ----------------------------------------------------------------------------------------------


KINDS_OF_TOKENS = ("some", "all", "none")
"""Which fields have tokens: image without a mask and audio with one, every field with a mask, or no field."""


def fusion_inputs(poison=0.0, tokens="some", dims=DIMS, subsets=SUBSETS, seed=2):
    """One row per subset of present fields; everything of an absent one, padding too, is ``poison``."""
    rng = np.random.default_rng(seed)
    encoded, present = {}, {}
    for number, (field, size) in enumerate(dims.items()):
        flags = np.array([bits[number] for bits in subsets])
        pooled = rng.normal(size=(len(subsets), size)).astype("float32")
        steps = rng.normal(size=(len(subsets), 2 + number, size)).astype("float32")
        mask = np.arange(2 + number) < rng.integers(1, 3 + number, size=len(subsets))[:, None]
        pooled[~flags], steps[~flags] = poison, poison
        if masked := tokens == "all" or number == 1:
            mask[~flags] = np.isfinite(poison)  # a mask of an absent field may say anything
            steps[~mask] = poison
        parts = [pooled]
        if tokens == "all" or (tokens == "some" and number < 2):
            parts += [steps, mask] if masked else [steps]
        encoded[field] = Encoded(*(paddle.to_tensor(part) for part in parts))
        present[field] = paddle.to_tensor(flags)
    return encoded, present


def rows_of(inputs, rows):
    """Some rows of what a fusion takes."""
    encoded, present = inputs
    own = {
        field: Encoded(*(None if part is None else part[rows] for part in parts)) for field, parts in encoded.items()
    }
    return own, {field: flags[rows] for field, flags in present.items()}


def fusion_of(name, dims=DIMS):
    small = {"in_dims": dims, "classes": CLASSES, **SMALL}
    cls = FUSIONS.get(name)
    arguments = {key: small[key] for key in inspect.signature(cls).parameters if key in small}
    paddle.seed(0)
    fusion = cls(**arguments)
    rng = np.random.default_rng(0)
    for parameter in fusion.parameters():
        if len(parameter.shape) == 1 and not parameter.numpy().any():
            parameter.set_value(rng.normal(size=parameter.shape).astype("float32") * 0.2)
    fusion.eval()
    return fusion


def subsets_of(count):
    return [bits for bits in itertools.product([False, True], repeat=count) if any(bits)]


@each(FUSIONS)
@pytest.mark.parametrize("tokens", KINDS_OF_TOKENS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_fusion_answers_every_subset_and_never_sees_absent_fields(name, tokens, count):
    """Bit for bit, whatever embedding, tokens and mask of an absent field are."""
    dims, subsets = dict(list(DIMS.items())[:count]), subsets_of(count)
    fusion = fusion_of(name, dims)
    wanted = fusion(*fusion_inputs(0.0, tokens, dims, subsets)).numpy()
    assert wanted.shape == (len(subsets), fusion.out_dim) and np.isfinite(wanted).all()
    assert np.abs(wanted).max(1).min() > 1e-5, "some subset of fields is answered with nothing"
    for poison in (float("nan"), float("inf"), -3e38, 1.0):
        found = fusion(*fusion_inputs(poison, tokens, dims, subsets)).numpy()
        assert np.array_equal(found, wanted), f"{poison} of an absent field got through"


@each(FUSIONS)
def test_fusion_is_finite_where_nothing_is_left(name):
    """Rows without any field (padding of a batch) and present fields whose tokens are all masked."""
    encoded, _ = fusion_inputs(tokens="all")
    empty = {
        field: Encoded(part.pooled, part.tokens, paddle.zeros_like(part.token_mask)) for field, part in encoded.items()
    }
    for flag in (True, False):
        present = {field: paddle.full([len(SUBSETS)], flag, dtype="bool") for field in DIMS}
        assert np.isfinite(fusion_of(name)(empty, present).numpy()).all()


@each(FUSIONS)
@pytest.mark.parametrize("tokens", KINDS_OF_TOKENS)
def test_fusion_keeps_rows_apart_and_fields_by_name(name, tokens):
    fusion = fusion_of(name)
    inputs = fusion_inputs(tokens=tokens)
    wanted = fusion(*inputs).numpy()
    for row in range(len(SUBSETS)):
        found = fusion(*rows_of(inputs, slice(row, row + 1))).numpy()
        np.testing.assert_allclose(found[0], wanted[row], atol=2e-6)
    backwards = [dict(reversed(part.items())) for part in inputs]
    np.testing.assert_allclose(fusion(*backwards).numpy(), wanted, atol=1e-6)


@each(FUSIONS)
@pytest.mark.parametrize("tokens", KINDS_OF_TOKENS)
def test_fusion_uses_every_present_field(name, tokens):
    fusion = fusion_of(name)
    encoded, present = fusion_inputs(tokens=tokens)
    other, _ = fusion_inputs(tokens=tokens, seed=3)
    wanted = fusion(encoded, present).numpy()
    for field in DIMS:
        changed = other[field]._replace(token_mask=encoded[field].token_mask)
        moved = np.abs(fusion({**encoded, field: changed}, present).numpy() - wanted).max(1) > 1e-6
        assert moved.tolist() == present[field].tolist(), field


@each(FUSIONS)
@pytest.mark.parametrize("poison", [0.0, float("nan")])
def test_fusion_trains_every_parameter_and_no_absent_encoder(name, poison):
    fusion = fusion_of(name)
    fusion.train()
    encoded, present = fusion_inputs(poison, tokens="all")
    for part in encoded.values():
        part.pooled.stop_gradient = part.tokens.stop_gradient = False
    (fusion(encoded, present) ** 2).sum().backward()
    for key, parameter in fusion.named_parameters():
        assert parameter.grad is not None and np.isfinite(parameter.grad.numpy()).all(), key
    for field, flags in present.items():
        gradients = [t.grad.numpy() for t in encoded[field][:2] if t.grad is not None]
        assert gradients and all(np.isfinite(gradient).all() for gradient in gradients), field
        assert not any(gradient[~flags.numpy()].any() for gradient in gradients), field


@each(HEADS)
def test_head(name):
    head = make(HEADS, name, **SMALL)
    head.eval()
    embed = paddle.to_tensor(np.random.default_rng(4).normal(size=(5, GIVEN["in_dim"])).astype("float32"))
    logits = head(embed).numpy()
    assert logits.shape == (5, CLASSES) and np.isfinite(logits).all() and logits.std() > 1e-4
    np.testing.assert_allclose(head(embed[2:3]).numpy()[0], logits[2], atol=1e-6)


# --- export ---------------------------------------------------------------------------------------------------------


class Pipeline(nn.Layer):
    """One encoder, one fusion over it, and its output as the logits."""

    outputs = ("logits",)

    def __init__(self, encoder, fusion):
        super().__init__()
        self.encoder, self.fusion = encoder, fusion

    def forward(self, batch):
        encoded = self.encoder(batch["x"], batch.get("x_mask"))
        return {"logits": self.fusion({"x": encoded}, {"x": batch["has_x"]})}


class Fused(nn.Layer):
    """A fusion of image and audio tokens and of a text without tokens; its output as the logits."""

    outputs = ("logits",)

    def __init__(self, fusion):
        super().__init__()
        self.fusion = fusion

    def forward(self, batch):
        encoded = {
            "image": Encoded(batch["image"].mean(axis=1), batch["image"]),
            "audio": Encoded(masked_mean(batch["audio"], batch["audio_mask"]), batch["audio"], batch["audio_mask"]),
            "text": Encoded(batch["text"]),
        }
        return {"logits": self.fusion(encoded, {field: batch[f"has_{field}"] for field in DIMS})}


FUSED_SPECS = {
    "image": FieldSpec((None, 2, DIMS["image"]), "float32"),
    "audio": FieldSpec((None, None, DIMS["audio"]), "float32"),
    "audio_mask": FieldSpec((None, None), "bool"),
    "text": FieldSpec((None, DIMS["text"]), "float32"),
    **{f"has_{field}": FieldSpec((None,), "bool") for field in DIMS},
}


def specs_for(kind):
    specs = {"has_x": FieldSpec((None,), "bool")}
    if kind == "image":
        return {"x": FieldSpec((None, 3, 32, 32), "float32"), **specs}
    if kind == "numeric":
        return {"x": FieldSpec((None, BANDS), "float32"), **specs}
    shape = (None, None, BANDS) if kind == "audio" else (None, None)
    dtype = "int64" if kind == "text" else "float32"
    return {"x": FieldSpec(shape, dtype), "x_mask": FieldSpec((None, None), "bool"), **specs}


def assert_exports(encoder, fusion, kind, folder):
    """The saved graph equals the model, for batches and lengths that differ from one another."""
    model = Pipeline(encoder, fusion)
    outputs = save_graph(model, specs_for(kind), folder / "main")
    files = [next(folder.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    graphs = {backend: PaddleGraph(files, outputs, backend, 1) for backend in ("plain", "onednn")}
    for lengths in (LENGTHS, [0], [1], [23, 2]):
        values, mask = values_for(kind, lengths, to=max(1, *lengths))
        batch = {"x": values, "has_x": np.array(lengths) > 0, **({} if mask is None else {"x_mask": mask})}
        with paddle.no_grad():
            wanted = model({key: paddle.to_tensor(array) for key, array in batch.items()})["logits"].numpy()
        for backend, graph in graphs.items():
            np.testing.assert_allclose(graph(batch)["logits"], wanted, atol=1e-4, err_msg=f"{backend} {lengths}")


@each(ENCODERS)
def test_encoder_exports(name, tmp_path):
    encoder = encoder_of(name)
    fusion = FUSIONS.get("concat")(in_dims={"x": encoder.out_dim}, dim=8)
    assert_exports(encoder, fusion, kind_of(name), tmp_path)


@each(FUSIONS)
def test_fusion_exports(name, tmp_path):
    """All fields at once in both back ends: as many tokens as a picture has, tokens of any number, and none."""
    model = Fused(fusion_of(name))
    outputs = save_graph(model, FUSED_SPECS, tmp_path / "main")
    files = [next(tmp_path.glob(f"main{suffix}")) for suffix in (".json", ".pdiparams")]
    graphs = {backend: PaddleGraph(files, outputs, backend, 1) for backend in ("plain", "onednn")}
    encoded, present = fusion_inputs(1.0)
    batch = {"image": encoded["image"].tokens, "audio": encoded["audio"].tokens, "text": encoded["text"].pooled}
    batch["audio_mask"] = encoded["audio"].token_mask
    batch |= {f"has_{field}": flags for field, flags in present.items()}
    for rows in (slice(None), slice(2, 3), slice(0, 2)):
        own = {key: tensor[rows] for key, tensor in batch.items()}
        if rows.stop == 2:  # other lengths
            own |= {key: paddle.concat([own[key], own[key]], axis=1) for key in ("audio", "audio_mask")}
        with paddle.no_grad():
            wanted = model(own)["logits"].numpy()
        for backend, graph in graphs.items():
            found = graph({key: tensor.numpy() for key, tensor in own.items()})["logits"]
            np.testing.assert_allclose(found, wanted, atol=2e-5, err_msg=f"{backend} {rows}")


# --- objectives and metrics -----------------------------------------------------------------------------------------


def answers(rows=12, scale=3.0, seed=5):
    """Outputs and batch of a classifier."""
    rng = np.random.default_rng(seed)
    logits = paddle.to_tensor((rng.normal(size=(rows, CLASSES)) * scale).astype("float32"), stop_gradient=False)
    labels = rng.integers(0, CLASSES, size=rows)
    return {"logits": logits}, {"label": paddle.to_tensor(labels), "index": paddle.arange(rows)}


SHOWN = ("image", "text")
"""Fields of the objectives that compare embeddings."""


def objective_of(name):
    """An objective with what `GIVEN` lacks: parts, fields, and a target of a kind that it can use."""
    cls = OBJECTIVES.get(name)
    kind = getattr(cls, "target_kinds", ("label",))[-1]
    cross_entropy = OBJECTIVES.get("cross_entropy")("label")
    own = {
        "target": kind, "train_rows": 10, "fields": list(SHOWN), "positives": ["key"], "objective": cross_entropy,
        "terms": {"answer": cross_entropy, "contrast": OBJECTIVES.get("info_nce")(fields=list(SHOWN))},
    }  # fmt: skip
    arguments = {}
    for argument, parameter in inspect.signature(cls).parameters.items():
        if argument in own or argument in GIVEN:
            arguments[argument] = own.get(argument, GIVEN.get(argument))
        elif parameter.default is parameter.empty:
            pytest.fail(f"objective '{name}' needs '{argument}': add it to objective_of in {__file__}")
    paddle.seed(0)
    return cls(**arguments), kind


def lesson(kind, rows=24, scale=3.0, seed=5, right=None):
    """Outputs and a batch with a target of every kind; some rows lack a field.

    Args:
        right: None for random outputs, True for what every objective wants, False for the opposite.
    """
    rng = np.random.default_rng(seed)
    key = np.array([[7, 7, 8, 9, -1, -1][row % 6] + (row // 6) * 10 * (row % 6 < 4) for row in range(rows)])
    batch = {
        "label": rng.integers(0, CLASSES, size=rows), "number": rng.normal(size=rows).astype("float32"),
        "multi_label": (rng.random((rows, CLASSES)) < 0.4).astype("float32"), "key": key, "index": np.arange(rows),
        "has_image": np.arange(rows) % 5 != 1, "has_text": np.arange(rows) % 5 != 3,
    }  # fmt: skip
    groups = np.unique([f"{value}" if value != -1 else f"row {row}" for row, value in enumerate(key)], return_inverse=1)
    logits = rng.normal(size=(rows, 1 if kind == "number" else CLASSES)) * scale
    outputs = {"logits": logits, **{f"{field}_embed": rng.normal(size=(rows, 4)) * scale for field in SHOWN}}
    outputs["image_text_match"] = rng.normal(size=(rows, rows)) * scale
    if right is not None:
        sign, code = (1 if right else -1), rng.normal(size=(rows, 4))[groups[1]]
        wanted = {"label": np.eye(CLASSES)[batch["label"]] * 20, "multi_label": batch["multi_label"] * 40 - 20}
        outputs["logits"] = sign * wanted.get(kind, batch["number"][:, None] * 3 - 2 * sign * batch["number"][:, None])
        outputs |= {"image_embed": code, "text_embed": code if right else -np.roll(code, 5, axis=0)}
        outputs["image_text_match"] = sign * (20.0 * (groups[1][:, None] == groups[1][None]) - 10)
    tensors = {key: paddle.to_tensor(value.astype("float32"), stop_gradient=False) for key, value in outputs.items()}
    return tensors, {key: paddle.to_tensor(value) for key, value in batch.items()}


def taught(objective, outputs, batch):
    """The terms; a second forward, where one is asked for, has other logits. Draws are the same each time."""
    paddle.seed(1)
    again = {**outputs, "logits": outputs["logits"] * 0.9}
    return objective(outputs, batch, *([again] if getattr(objective, "passes", 1) == 2 else []))


@each(OBJECTIVES)
def test_objective_gives_a_scalar_loss_that_teaches(name):
    objective, kind = objective_of(name)
    outputs, batch = lesson(kind)
    terms = taught(objective, outputs, batch)
    assert all(term.shape == [] and np.isfinite(float(term)) for term in terms.values())
    terms["loss"].backward()
    gradients = {key: tensor.grad for key, tensor in outputs.items() if tensor.grad is not None}
    assert gradients and all(np.isfinite(gradient.numpy()).all() for gradient in gradients.values())
    assert any(np.abs(gradient.numpy()).max() > 0 for gradient in gradients.values())
    better = {key: tensor.detach() - 0.02 * gradients.get(key, 0.0) for key, tensor in outputs.items()}
    assert float(taught(objective, better, batch)["loss"]) < float(terms["loss"])
    losses = [float(taught(objective, *lesson(kind, right=right))["loss"]) for right in (True, False)]
    assert losses[0] < losses[1]


@each(OBJECTIVES)
def test_objective_is_finite_where_outputs_are_huge_and_where_nothing_takes_part(name):
    objective, kind = objective_of(name)
    for outputs, batch in (lesson(kind, scale=1e4), lesson(kind), lesson(kind, rows=1)):
        if outputs["logits"].abs().max() < 1e3:
            batch |= {f"has_{field}": paddle.zeros_like(batch[f"has_{field}"]) for field in SHOWN}
        loss = taught(objective, outputs, batch)["loss"]
        assert np.isfinite(float(loss))
        loss.backward()
        assert all(np.isfinite(each.grad.numpy()).all() for each in outputs.values() if each.grad is not None)


@each(OBJECTIVES)
def test_objective_does_not_depend_on_the_order_of_rows(name):
    objective, kind = objective_of(name)
    if isinstance(objective, nn.Layer):
        objective.eval()  # draws of training go by the row
    outputs, batch = lesson(kind)
    order = np.random.default_rng(0).permutation(len(batch["index"]))
    moved = {key: tensor[order] for key, tensor in outputs.items()}
    moved["image_text_match"] = moved["image_text_match"][:, order]
    found = taught(objective, moved, {key: tensor[order] for key, tensor in batch.items()})
    assert float(found["loss"]) == pytest.approx(float(taught(objective, outputs, batch)["loss"]), rel=1e-5)


@each(OBJECTIVES)
def test_objective_never_sees_absent_fields(name):
    objective, kind = objective_of(name)
    outputs, batch = lesson(kind)
    wanted = float(taught(objective, outputs, batch)["loss"])
    rows = {field: batch[f"has_{field}"].numpy() for field in SHOWN}
    for poison in (float("nan"), float("inf"), -3e38):
        arrays = {key: tensor.numpy().copy() for key, tensor in outputs.items()}
        for field in SHOWN:
            arrays[f"{field}_embed"][~rows[field]] = poison
        arrays["image_text_match"][~rows["image"]] = poison
        arrays["image_text_match"][:, ~rows["text"]] = poison
        poisoned = {key: paddle.to_tensor(array, stop_gradient=False) for key, array in arrays.items()}
        loss = taught(objective, poisoned, batch)["loss"]
        loss.backward()
        assert float(loss) == wanted
        for field in SHOWN:
            gradient = poisoned[f"{field}_embed"].grad
            assert gradient is None or not gradient.numpy()[~rows[field]].any()


@each(OBJECTIVES)
def test_objective_trains_what_it_learns(name):
    objective, kind = objective_of(name)
    named = trained_parameters(nn.Linear(2, 2), objective)[2:]
    taught(objective, *lesson(kind))["loss"].backward()
    for key, parameter in named:
        assert key.startswith("objective.") and not decayed(key, parameter)
        assert parameter.grad is not None and parameter.grad.numpy().any(), key
    other, _ = objective_of(name)
    for _, parameter in named:
        parameter.set_value(parameter + 0.25)
    load_model(other, model_arrays(objective), "here")
    found, wanted = (float(taught(each, *lesson(kind))["loss"]) for each in (other, objective))
    assert found == wanted


def cut(outputs, batch, sizes):
    start = 0
    for size in sizes:
        yield tuple({key: tensor[start : start + size] for key, tensor in part.items()} for part in (outputs, batch))
        start += size


METRIC_ARGUMENTS = {
    "mean_average_precision": {"target": "tags"},
    "multi_label_f1": {"target": "tags", "labels": {"tags": GIVEN["labels"]["label"]}},
    "regression": {"target": "number", "logits": "prediction"},
    "vqa_accuracy": {"target": "people"},
}
"""Where the names of `GIVEN` are not those of `measurable`."""


def make_metric(name):
    usual = {"fields": ["image", "text"], "key": "scene", "group": "scene", "answer": "label"}
    arguments = inspect.signature(METRICS.get(name)).parameters
    chosen = {**GIVEN, **usual, **METRIC_ARGUMENTS.get(name, {})}
    needed = {key for key, value in arguments.items() if value.default is value.empty}
    assert needed <= set(chosen), f"metric '{name}' needs {needed - set(chosen)}: add it to METRIC_ARGUMENTS"
    return METRICS.get(name)(**{key: chosen[key] for key in chosen if key in arguments})


def measurable(rows=12):
    """`answers`, and what metrics of other tasks read."""
    outputs, batch = answers(rows)
    rng = np.random.default_rng(6)
    more = {f"{field}_embed": rng.normal(size=(rows, 3)) for field in ("image", "text")}
    more["prediction"] = rng.normal(size=(rows, 1))
    targets = {"scene": rng.integers(0, 7, size=rows), "number": rng.normal(size=rows)}
    targets["tags"] = (rng.random((rows, CLASSES)) < 0.5).astype("float32")
    targets["people"] = np.stack([VqaAnswers()([f"class {n}" for n in rng.integers(0, 5, 10)]) for _ in range(rows)])
    targets |= {f"has_{field}": rng.random(rows) < 0.8 for field in ("image", "text")}
    targets |= {"image": rng.normal(size=(rows, 2)).astype("float32"), "text": rng.integers(0, 9, size=(rows, 2))}
    return (
        outputs | {key: paddle.to_tensor(value.astype("float32")) for key, value in more.items()},
        batch | {key: paddle.to_tensor(value) for key, value in targets.items()},
    )


@each(METRICS)
def test_metric_is_the_same_however_the_rows_are_cut(name):
    metric = make_metric(name)
    outputs, batch = measurable(rows=30)
    metric.update(outputs, batch)
    whole = metric.compute(), metric.details()
    assert all(type(value) is float and np.isfinite(value) for value in whole[0].values()), "plain floats"
    assert json.loads(json.dumps(whole[1])) == whole[1], "plain JSON values"
    assert whole[0] or whole[1], "it says nothing"
    for sizes in ([1, 10, 19], [29, 1]):
        metric.reset()
        for part in cut(outputs, batch, sizes):
            metric.update(*part)
        assert metric.compute() == pytest.approx(whole[0]) and metric.details() == whole[1]
    assert (metric.compute(), metric.details()) == (metric.compute(), metric.details()), "compute changes the state"


@each(METRICS)
def test_metric_forgets_on_reset_and_survives_no_rows(name):
    metric = make_metric(name)
    fresh = json.dumps([metric.compute(), metric.details()])
    metric.update(*measurable())
    assert json.dumps([metric.compute(), metric.details()]) != fresh
    metric.reset()
    assert json.dumps([metric.compute(), metric.details()]) == fresh


@each(METRICS)
def test_metric_reads_arrays_as_well_as_tensors(name):
    """The predictor answers with arrays."""
    metric = make_metric(name)
    outputs, batch = measurable()
    metric.update(outputs, batch)
    wanted = metric.compute(), metric.details()
    metric.reset()
    metric.update(*({key: tensor.numpy() for key, tensor in part.items()} for part in (outputs, batch)))
    assert (metric.compute(), metric.details()) == wanted


# --- optimizers and schedules ---------------------------------------------------------------------------------------


def problem():
    """A layer and its loss against a fixed target."""
    paddle.seed(1)
    layer = nn.Linear(3, 2)
    x = paddle.to_tensor(np.random.default_rng(6).normal(size=(8, 3)).astype("float32"))
    return layer, lambda: ((layer(x) - 1.5) ** 2).mean()


def built(name, layer, factor=lambda step: 1.0, clip_norm=None, scale=1.0):
    recipe = make(OPTIMIZERS, name)
    schedule = scheduled(recipe.learning_rate * scale, factor)
    clip = None if clip_norm is None else nn.ClipGradByGlobalNorm(clip_norm)
    return recipe.build(list(layer.named_parameters()), schedule, clip), schedule


def descend(optimizer, schedule, loss, steps):
    for _ in range(steps):
        loss().backward()
        optimizer.step()
        optimizer.clear_grad()
        schedule.step()


def copied(layer):
    return {name: parameter.numpy().copy() for name, parameter in layer.named_parameters()}


@each(OPTIMIZERS)
def test_optimizer_descends(name):
    layer, loss = problem()
    before = float(loss())
    descend(*built(name, layer), loss, 20)
    assert float(loss()) < before


@each(OPTIMIZERS)
def test_optimizer_obeys_the_schedule(name):
    layer, loss = problem()
    optimizer, schedule = built(name, layer, factor=lambda step: 0.0 if step < 2 else 1.0)
    before = copied(layer)
    descend(optimizer, schedule, loss, 2)
    assert all(np.array_equal(before[key], value) for key, value in copied(layer).items()), "it moved at rate 0"
    descend(optimizer, schedule, loss, 1)
    assert all(not np.array_equal(before[key], value) for key, value in copied(layer).items())


@each(OPTIMIZERS)
def test_optimizer_leaves_frozen_parameters_alone(name):
    layer, loss = problem()
    layer.weight.stop_gradient = True
    before = copied(layer)
    descend(*built(name, layer), loss, 3)
    after = copied(layer)
    assert np.array_equal(before["weight"], after["weight"]) and not np.array_equal(before["bias"], after["bias"])


@each(OPTIMIZERS)
def test_optimizer_clips_the_norm_of_all_gradients_together(name):
    results = []
    for share, clip_norm in ((None, 0.1), (0.1, None), (1.0, None), (None, 1e9)):
        layer, loss = problem()
        optimizer, _ = built(name, layer, clip_norm=clip_norm)
        for _ in range(2):  # adaptive ones do not care about the scale of the first gradient
            loss().backward()
            norm = np.sqrt(sum((p.grad.numpy().astype(float) ** 2).sum() for p in layer.parameters()))
            for parameter in layer.parameters():
                parameter.grad.set_value(parameter.grad * (1.0 if share in (None, 1.0) else share / norm))
            optimizer.step()
            optimizer.clear_grad()
        results.append(copied(layer))
    for key in results[0]:
        np.testing.assert_allclose(results[0][key], results[1][key], atol=1e-6, err_msg=key)
        np.testing.assert_allclose(results[2][key], results[3][key], atol=1e-6, err_msg=key)


@each(OPTIMIZERS)
def test_optimizer_resumes_in_another_model(name):
    layer, loss = problem()
    optimizer, schedule = built(name, layer)
    descend(optimizer, schedule, loss, 3)
    arrays = {key: array.copy() for key, array in optimizer_arrays(layer, optimizer).items()}
    weights = copied(layer)
    descend(optimizer, schedule, loss, 3)
    other, other_loss = problem()
    for key, parameter in other.named_parameters():
        parameter.set_value(weights[key])
    resumed, other_schedule = built(name, other)
    load_optimizer(other, resumed, arrays, "here")
    descend(resumed, other_schedule, other_loss, 3)
    for key, value in copied(layer).items():
        assert np.array_equal(copied(other)[key], value), key


@each(OPTIMIZERS)
@pytest.mark.parametrize("rate", [0.0, -1.0])
def test_optimizer_refuses_a_rate_that_is_not_positive(name, rate):
    with pytest.raises(ValueError, match="learning_rate"):
        OPTIMIZERS.get(name)(learning_rate=rate)


@each(SCHEDULES)
@pytest.mark.parametrize("total", [1, 2, 3, 10, 1000])
def test_schedule_is_a_pure_factor(name, total):
    schedule = make(SCHEDULES, name)
    factors = [schedule(step, total) for step in range(total)]
    assert all(0 <= factor <= 1 for factor in factors) and factors[0] > 0 and max(factors) == pytest.approx(1)
    assert [schedule(step, total) for step in reversed(range(total))] == factors[::-1]
    assert 0 <= schedule(total + 5, total) <= 1
