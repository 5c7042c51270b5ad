"""Retrieval in three modalities: made, trained, evaluated, exported, and embedded by checkpoint and bundle alike."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from ppmm.app.check import check_config
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_manifest, infer_sample
from ppmm.app.train import train
from ppmm.data.make import make_digits_scenes
from ppmm.runtime import Predictor

COLUMNS = {"image": "image", "audio": "audio", "text": "caption", "digits": "digits"}
FIELDS = ["image", "text", "audio"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """(data, checkpoint, figures) of two epochs on 32 scenes."""
    folder = tmp_path_factory.mktemp("retrieval")
    data = folder / "scenes"
    make_digits_scenes(data, train=32, val=12, test=12, test_speaker=0)
    config = {
        "name": "scenes",
        "output": str(folder / "output"),
        "data": {
            split: {"name": "manifest", "path": str(data / f"{split}.jsonl"), "columns": COLUMNS}
            for split in ("train", "val", "test")
        },
        "fields": {
            "image": {"name": "image", "size": [32, 96], "augment": [{"name": "image_elastic", "pixels": 1}]},
            "text": {"name": "text", "tokenizer": {"name": "word"}},
            "audio": {"name": "log_mel", "sample_rate": 8000, "n_mels": 16, "window_ms": 32, "hop_ms": 32},
        },
        "targets": {"digits": {"name": "key"}},
        "model": {
            "name": "two_tower",
            "dim": 16,
            "encoders": {
                "image": {"name": "crnn", "dim": 16, "channels": [4, 8]},
                "text": {"name": "bilstm_attention", "dim": 16},
                "audio": {"name": "cnn_bilstm_attention", "dim": 16, "channels": [4, 8]},
            },
        },
        "objective": {"name": "info_nce", "fields": FIELDS, "positives": ["digits"]},
        "metrics": [{"name": "retrieval", "fields": FIELDS, "key": "digits"}],
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "warmup_cosine"},
        "loader": {"batch_size": 16, "bucket_by": "audio", "modality_dropout": 0.1},
        "trainer": {"epochs": 2, "monitor": "mean_recall"},
    }
    path = folder / "scenes.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    check_config(str(path))
    figures = train(str(path))
    return data, folder / "output" / "scenes" / "checkpoints" / "best", figures


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    report = export_checkpoint(str(run[1]), str(out))
    assert set(report["backends"]) == {"onednn", "plain"} and report["max_abs"] <= 1e-4
    assert {case for case in report["backends"]["plain"]["cases"] if case.startswith("without")} == {
        f"without {field}" for field in FIELDS
    }
    return out


def rows_of(data):
    return [json.loads(line) for line in (data / "test.jsonl").open(encoding="utf-8")]


def test_six_directions_are_measured(run):
    _, best, figures = run
    for first in FIELDS:
        for second in set(FIELDS) - {first}:
            for depth in (1, 5, 10):
                assert 0 <= figures[f"{first}_to_{second}_r{depth}"] <= 1
    assert evaluate_checkpoint(str(best), split="val")["metrics"] == pytest.approx(figures)


def test_bundle_and_checkpoint_embed_alike(run, bundle):
    data, best, _ = run
    row = rows_of(data)[3]
    sample = {"image": data / row["image"], "audio": data / row["audio"], "text": row["caption"]}
    predicted, inferred = Predictor(bundle).predict([sample])[0], infer_sample(str(best), sample)
    assert set(predicted) == set(inferred) == {"embeddings"}
    assert set(predicted["embeddings"]) == set(inferred["embeddings"]) == set(FIELDS)
    for field in FIELDS:
        np.testing.assert_allclose(predicted["embeddings"][field], inferred["embeddings"][field], atol=1e-4)
        assert np.linalg.norm(predicted["embeddings"][field]) == pytest.approx(1, abs=1e-4)
    json.dumps(predicted)


def test_a_sample_is_embedded_by_what_it_has(run, bundle):
    data, best, _ = run
    row = rows_of(data)[0]
    predictor = Predictor(bundle)
    whole = {"image": data / row["image"], "audio": data / row["audio"], "text": row["caption"]}
    both = predictor.predict([{"text": row["caption"]}, whole])
    assert set(both[0]["embeddings"]) == {"text"} and set(both[1]["embeddings"]) == set(FIELDS)
    np.testing.assert_allclose(both[0]["embeddings"]["text"], both[1]["embeddings"]["text"], atol=1e-5)
    assert (predictor.outputs([{"text": row["caption"]}])["image_embed"] == 0).all()
    assert set(infer_sample(str(best), {"audio": data / row["audio"]})["embeddings"]) == {"audio"}


def test_the_rows_of_a_manifest(run, tmp_path: Path):
    data, best, _ = run
    out = tmp_path / "embeds.jsonl"
    assert (
        infer_manifest(str(best), str(data / "test_alike.jsonl"), {"image": "image", "text": "caption"}, str(out)) == 12
    )
    answers = [json.loads(line) for line in out.open()]
    assert answers[0]["id"] == "test_alike.jsonl:1"
    assert all(set(answer["embeddings"]) == {"image", "text"} for answer in answers)
