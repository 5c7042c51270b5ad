"""Every registered field, tokeniser and augmentation keeps its promise. A new one is covered by being registered."""

import inspect

import numpy as np
import pytest

from ppmm.errors import CheckpointError, DataError
from ppmm.registry import AUGMENTATIONS, BATCH_AUGMENTATIONS, FIELDS, TOKENIZERS

WAVE = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
TEXTS = ["The quick brown fox", "jumps over 13 lazy dogs!", "这是一个数字"]
GIVEN = {
    "size": {"image": (12, 9), "numeric": 3}, "sample_rate": 8000, "n_mels": 16, "pixels": 2, "padding": 2, "std": 0.1,
    "decibels": 6.0, "snr_db": (5.0, 20.0), "milliseconds": 5.0, "time": 4, "freq": 3, "vocab_size": 300,
    "min_count": 1, "n_mfcc": 13, "brightness": 0.4,
}  # fmt: skip
"""Arguments without a default, and small values for some that have one; by field name where they differ."""
VALUES = {
    "image": np.random.default_rng(1).integers(0, 256, (20, 30, 3), dtype=np.uint8),
    "audio": (WAVE, 8000),
    "text": TEXTS[0],
    "numeric": [1.0, 2.0, 3.0],
}
ARRAYS = {
    "image": VALUES["image"], "picture": VALUES["image"], "waveform": WAVE, "text": TEXTS[1],
    "features": np.random.default_rng(2).normal(size=(30, 16)).astype(np.float32), "tokens": np.arange(2, 20),
}  # fmt: skip


def make(registry, name, tmp_path):
    table = tmp_path / "synonyms.tsv"
    table.write_text("quick\tfast\nlazy\tidle\n", encoding="utf-8")
    word = TOKENIZERS.get("word")()
    word.fit(TEXTS)
    given = {**GIVEN, "path": str(table), "tokenizer": word}
    arguments = {}
    for argument, parameter in inspect.signature(registry.get(name)).parameters.items():
        optional = parameter.default is not parameter.empty
        if argument in given and not (optional and argument in ("std", "path")):
            value = given[argument]
            arguments[argument] = value[name] if isinstance(value, dict) else value
        elif not optional:
            pytest.fail(f"{registry.kind} '{name}' needs '{argument}': add it to GIVEN in {__file__}")
    return registry.get(name)(**arguments)


@pytest.mark.parametrize("name", FIELDS.names())
def test_field(name, tmp_path):
    field = make(FIELDS, name, tmp_path)
    array = field(VALUES[field.kind])
    assert np.array_equal(array, field(VALUES[field.kind])) and field.kind in VALUES
    batch, specs = field.collate("f", [array, None]), field.specs("f")
    assert set(batch) == set(specs) and batch["has_f"].tolist() == [True, False] and not batch["f"][1].any()
    for key, spec in specs.items():
        assert str(batch[key].dtype) == spec.dtype and batch[key].ndim == len(spec.shape)
        assert all(side in (None, found) for side, found in zip(spec.shape, batch[key].shape, strict=True))
    absent = field.collate("f", [None])
    assert all(side > 0 for side in absent["f"].shape), "a graph cannot take an empty axis"
    assert field.provides() and all(isinstance(size, int) for size in field.provides().values())
    for wrong in (None, b"", object()):
        with pytest.raises(DataError):
            field(wrong)


@pytest.mark.parametrize("name", [name for name in TOKENIZERS.names() if name != "paddlenlp"])
def test_tokenizer(name, tmp_path):
    tokenizer, other = make(TOKENIZERS, name, tmp_path), make(TOKENIZERS, name, tmp_path)
    with pytest.raises(DataError, match="no vocabulary yet"):
        tokenizer.encode("x")
    tokenizer.fit(TEXTS)
    other.from_json(tokenizer.to_json())
    for text in [*TEXTS, "unseen 未见 text"]:
        ids = tokenizer.encode(text)
        assert ids == other.encode(text) and all(0 < index < len(tokenizer) for index in ids)
    assert len(other) == len(tokenizer) and 0 < tokenizer.mask_id < len(tokenizer)
    assert tokenizer.end_id is None or 0 < tokenizer.end_id < len(tokenizer)
    again = make(TOKENIZERS, name, tmp_path)
    again.fit(TEXTS)
    assert again.to_json() == tokenizer.to_json()
    for damaged in ("", "{}", tokenizer.to_json()[:-20]):
        with pytest.raises(CheckpointError):
            make(TOKENIZERS, name, tmp_path).from_json(damaged)


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
def test_augmentation(name, tmp_path):
    step = make(AUGMENTATIONS, name, tmp_path)
    step = step.at_rate(8000) if hasattr(step, "at_rate") else step
    value = ARRAYS[step.kind]
    before = value if isinstance(value, str) else value.copy()
    seen = [step(value, np.random.default_rng(seed)) for seed in range(30)]
    for seed, found in enumerate(seen):
        assert np.array_equal(found, step(value, np.random.default_rng(seed))), "not the generator alone decides"
        if step.kind == "text":
            assert isinstance(found, str) and found
        else:
            assert found.dtype == value.dtype and found.size > 0
            assert step.kind in ("waveform", "picture") or found.shape == value.shape
    assert np.array_equal(value, before), "it writes into what it was given"
    assert any(not np.array_equal(np.asarray(found), np.asarray(value)) for found in seen), "it never changes anything"


@pytest.mark.parametrize("name", BATCH_AUGMENTATIONS.names())
def test_batch_augmentation(name, tmp_path):
    mix = make(BATCH_AUGMENTATIONS, name, tmp_path)
    rng = np.random.default_rng(3)
    batch = {"image": rng.normal(size=(6, 3, 8, 8)).astype(np.float32), "has_image": np.ones(6, bool)}
    before = batch["image"].copy()
    changed = 0
    for seed in range(20):
        mixed, partner, own = mix(batch, {"image": "image"}, np.random.default_rng(seed))
        again = mix(batch, {"image": "image"}, np.random.default_rng(seed))
        assert np.array_equal(mixed["image"], again[0]["image"]) and np.array_equal(own, again[2])
        assert mixed["image"].dtype == np.float32 and mixed["image"].shape == before.shape
        assert sorted(partner) == list(range(6)) and ((own >= 0) & (own <= 1)).all()
        assert (own[partner == np.arange(6)] == 1).all()
        changed += not np.array_equal(mixed["image"], before)
    assert changed > 0 and np.array_equal(batch["image"], before)
