"""Retrieval in three modalities: trained, exported, embedded alike by checkpoint and bundle, searched, probed."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from ppmm.app.check import check_config
from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import build_rows
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_manifest, infer_sample
from ppmm.app.probe import embeddings, probe
from ppmm.app.search import build_index, search_manifest, search_sample
from ppmm.app.train import train
from ppmm.data.make import make_digits_scenes
from ppmm.errors import ConfigError
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


def test_pictures_are_found_by_what_the_model_embeds(run, bundle, tmp_path: Path, capsys):
    data, best, _ = run
    manifest, folder = str(data / "test.jsonl"), str(tmp_path / "index")
    index = build_index(str(bundle), manifest, "image", folder)
    rows = rows_of(data)
    assert [item["value"] for item in index.items] == [str(data / row["image"]) for row in rows]
    assert [item["rows"] for item in index.items] == [[f"test.jsonl:{number}"] for number in range(1, 13)]
    assert "recall@10 against exact search" in capsys.readouterr().out

    loaded = load_checkpoint(best)
    split = build_rows(loaded.config, "test")
    pictures, texts, sounds = (embeddings(loaded, split, field) for field in ("image", "text", "audio"))
    for query, vectors in (({"text": rows[4]["caption"]}, texts), ({"audio": data / rows[4]["audio"]}, sounds)):
        found = search_sample(folder, str(bundle), query, k=3)
        assert [hit["value"] for hit in found] == [
            str(data / rows[place]["image"]) for place in np.argsort(-(pictures @ vectors[4]))[:3]
        ]
        assert found[0]["score"] == pytest.approx((pictures @ vectors[4]).max(), abs=1e-3)
    itself = search_sample(folder, str(bundle), {"image": data / rows[7]["image"]}, k=1)[0]
    assert itself["rows"] == ["test.jsonl:8"] and itself["score"] == pytest.approx(1, abs=1e-4)

    hits = tmp_path / "hits.jsonl"
    figures = search_manifest(folder, str(bundle), manifest, "text", column="caption", k=5, out=str(hits))
    ranks = (pictures @ texts.T > np.diagonal(pictures @ texts.T)).sum(axis=0)
    assert figures == {"exact@5": 1.0, "R@1": np.mean(ranks < 1), "R@5": np.mean(ranks < 5)}
    assert [json.loads(line)["id"] for line in hits.open()] == [f"test.jsonl:{number}" for number in range(1, 13)]


def test_captions_are_found_by_pictures(run, bundle, tmp_path: Path):
    data, _, _ = run
    folder = str(tmp_path / "index")
    build_index(str(bundle), str(data / "test.jsonl"), "text", folder, column="caption", kind="exact")
    found = search_sample(folder, str(bundle), {"image": data / rows_of(data)[0]["image"]}, k=12)
    assert {hit["value"] for hit in found} == {row["caption"] for row in rows_of(data)}


def test_zero_shot_by_class_names(run, tmp_path: Path):
    data, best, _ = run
    columns = {"image": "image", "text": "caption", "language": "language"}
    tables = {
        part: {"name": "manifest", "path": str(data / f"{part}.jsonl"), "columns": columns}
        for part in ("train", "test")
    }
    names, templates = {"en": ["a red one", "a blue one"], "zh": ["红色的一"]}, ["first {}", "{}"]
    document = {
        "field": "image", "target": "language", **tables, "neighbours": 3,
        "prompts": {"field": "text", "templates": templates, "names": names},
    }  # fmt: skip
    path = tmp_path / "probe.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    found = probe(str(best), str(path))
    assert found["rows"] == 12 and found["classes"] == 2 and {"knn", "linear"} <= set(found)

    truth = [row["language"] for row in rows_of(data)]
    assert found["majority"] == max(truth.count("en"), truth.count("zh")) / 12
    prompts = {
        language: [
            infer_sample(str(best), {"text": template.format(name)})["embeddings"]["text"]
            for name in names[language]
            for template in templates
        ]
        for language in ("en", "zh")
    }
    classes = {language: np.mean(vectors, axis=0) for language, vectors in prompts.items()}
    right = 0
    for row in rows_of(data):
        picture = infer_sample(str(best), {"image": data / row["image"]})["embeddings"]["image"]
        scores = {language: np.dot(picture, mean) / np.linalg.norm(mean) for language, mean in classes.items()}
        right += max(scores, key=lambda language: scores[language]) == row["language"]
    assert found["zero_shot"] == pytest.approx(right / 12)
    document["prompts"]["names"] = {"english": ["one"]}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"prompts\.names\.english: no test row is of this class; there is en, zh"):
        probe(str(best), str(path))
    document["prompts"]["names"] = {"zh": []}
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"prompts\.names\.zh: at least one name is needed"):
        probe(str(best), str(path))
