"""Train, evaluate, export and predict on real handwriting and voices, at a small size."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import yaml

from ppmm.app import export as app_export
from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.experiment import build_rows
from ppmm.app.export import export_checkpoint
from ppmm.app.infer import infer_manifest, infer_sample
from ppmm.errors import CheckpointError, DataError, ExportError
from ppmm.runtime import Predictor

ROOT = Path(__file__).parents[2]
FIELDS = ("image", "audio", "text")
ENDS = ("image.png", "audio.wav")


@pytest.fixture(scope="module")
def bundle(trained: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle") / "bundle"
    export_checkpoint(str(trained.best), str(out))
    return out


@pytest.fixture(scope="module")
def samples(trained: Any) -> list[dict[str, Any]]:
    loaded = load_checkpoint(trained.best)
    rows = build_rows(loaded.config, "test")
    return [{field: rows[index][field] for field in FIELDS} for index in range(12)]


def run_tool(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, timeout=300)


def test_run_folder(trained: Any) -> None:
    metrics = json.loads((trained.folder / "metrics.json").read_text())
    history = [json.loads(line) for line in (trained.folder / "history.jsonl").read_text().splitlines()]
    epochs = [line for line in history if "val" in line]
    assert [line["step"] for line in epochs] == [6, 12]
    assert metrics["rows"] == 32
    assert metrics["metrics"]["accuracy"] == max(line["val"]["accuracy"] for line in epochs)
    counts = np.array(metrics["details"]["confusion_matrix"]["counts"])
    assert counts.sum() == 32
    assert np.trace(counts) / 32 == metrics["metrics"]["accuracy"]
    assert "<svg" in (trained.folder / "report.html").read_text()


def test_checkpoint_needs_no_other_file(trained: Any, tmp_path: Path) -> None:
    manifest = json.loads((trained.best / "manifest.json").read_text())
    assert manifest["labels"]["answer"][:3] == ["yes", "no", "0"]
    assert manifest["transforms"] == []
    assert not list(trained.folder.rglob("*.pkl")) + list(trained.folder.rglob("*.pdparams"))
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    for file in trained.best.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    here, there = load_checkpoint(trained.best).model.state_dict(), load_checkpoint(copy).model.state_dict()
    assert all(np.array_equal(here[name].numpy(), there[name].numpy()) for name in here)


def test_evaluation_of_every_subset(trained: Any, tmp_path: Path) -> None:
    out = tmp_path / "metrics.json"
    document = evaluate_checkpoint(str(trained.best), split="test", every_subset=True, out=str(out))
    assert [entry["dropped"] for entry in document["results"]] == [
        [], ["image"], ["audio"], ["text"], ["image", "audio"], ["image", "text"], ["audio", "text"],
    ]  # fmt: skip
    assert json.loads(out.read_text()) == document
    dropped = evaluate_checkpoint(str(trained.best), split="test", drop=["audio"])
    assert dropped["metrics"] == document["results"][2]["metrics"]
    with pytest.raises(DataError, match="no such field; did you mean 'audio'"):
        evaluate_checkpoint(str(trained.best), split="test", drop=["audoi"])


def test_predictor_equals_model_for_every_subset(trained: Any, bundle: Path, samples: list[dict[str, Any]]) -> None:
    loaded = load_checkpoint(trained.best)
    answer = app_export._trained(loaded)
    for backend in ("onednn", "plain"):
        predictor = Predictor(bundle, backend=backend)
        for size in (1, 2, 3):
            for kept in combinations(FIELDS, size):
                part = [{field: sample[field] for field in kept} for sample in samples]
                np.testing.assert_allclose(predictor.outputs(part)["logits"], answer(part)["logits"], atol=1e-4)


def test_batch_and_single_answers_agree(bundle: Path, samples: list[dict[str, Any]]) -> None:
    predictor = Predictor(bundle)
    together = predictor.outputs(samples)["logits"]
    alone = np.concatenate([predictor.outputs([sample])["logits"] for sample in samples])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    mixed = [samples[0], {"text": samples[1]["text"]}, {"audio": samples[2]["audio"], "image": None}]
    apart = np.concatenate([predictor.outputs([sample])["logits"] for sample in mixed])
    np.testing.assert_allclose(predictor.outputs(mixed)["logits"], apart, atol=1e-5)


def test_what_stands_for_an_absent_field_never_matters(trained: Any, samples: list[dict[str, Any]]) -> None:
    from ppmm.data.collate import Collate

    loaded = load_checkpoint(trained.best)
    fields = loaded.parts.fields
    arrays = [{"index": np.int64(0), "text": fields["text"](sample["text"])} for sample in samples]
    batch = {name: paddle.to_tensor(array) for name, array in Collate(fields, {})(arrays).items()}
    expected = loaded.model(batch)["logits"].numpy()
    for junk in (float("nan"), 1e30, -7.0):
        dirty = {
            **batch,
            "image": paddle.full_like(batch["image"], junk),
            "audio": paddle.full_like(batch["audio"], junk),
        }
        np.testing.assert_array_equal(loaded.model(dirty)["logits"].numpy(), expected)


def test_parity_report_and_bundle_manifest(bundle: Path) -> None:
    report = json.loads((bundle / "parity.json").read_text())
    assert set(report["backends"]) == {"onednn", "plain"}
    assert report["samples"] == 32
    assert 0 <= report["max_abs"] <= report["tolerance"] == 1e-4
    assert set(report["backends"]["plain"]["cases"]) == {"batch", "single", *(f"without {field}" for field in FIELDS)}
    document = yaml.safe_load((bundle / "bundle.yaml").read_text())
    graph = document["graphs"]["main"]
    assert graph["ir"] == "pir" and graph["precision"] == "fp32" and graph["state"] == []
    assert graph["outputs"][0]["name"] == "logits"
    assert document["targets"]["answer"]["labels"][0] == "yes"
    assert "augment" not in document["preprocessing"]["image"]
    golden = {"golden.json", "golden.npz", *(f"golden_{row}_{end}" for row in range(4) for end in ENDS)}
    written = {"main.json", "main.pdiparams", "tokenizer.json", "parity.json", "README.md"}
    assert set(document["files"]) == written | golden
    ranges = {entry["name"]: entry["range"] for entry in graph["inputs"]}
    assert ranges["image"] == {"min": [1, 1, 16, 16], "opt": [8, 1, 16, 16], "max": [32, 1, 16, 16]}
    assert ranges["text"]["min"][1] <= ranges["text"]["opt"][1] <= ranges["text"]["max"][1]
    assert "tensorrt" not in graph


def test_predict_tool_prints_the_answer_of_infer(trained: Any, bundle: Path, samples: list[dict[str, Any]]) -> None:
    sample = samples[0]
    options = ["--image", str(sample["image"]), "--audio", str(sample["audio"]), "--text", sample["text"]]
    done = run_tool("deploy/predict.py", str(bundle), *options)
    assert done.returncode == 0, done.stderr
    predicted, inferred = json.loads(done.stdout), infer_sample(str(trained.best), sample)
    assert predicted["answer"] == inferred["answer"]
    assert predicted["probabilities"] == pytest.approx(inferred["probabilities"], abs=1e-5)
    assert sum(predicted["probabilities"].values()) == pytest.approx(1)


def test_infer_on_a_manifest(trained: Any, tmp_path: Path) -> None:
    out = tmp_path / "answers.jsonl"
    assert infer_manifest(str(trained.best), str(trained.data / "test.jsonl"), None, str(out)) == 32
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"test.jsonl:{number}" for number in range(1, 33)]
    loaded = load_checkpoint(trained.best)
    row = build_rows(loaded.config, "test")[5]
    assert lines[5]["answer"] == infer_sample(str(trained.best), {field: row[field] for field in FIELDS})["answer"]


def test_a_broken_graph_is_not_exported(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ppmm.export import bundle as bundle_module

    def broken(model: Any, specs: Any, prefix: Path, *more: Any) -> list[str]:
        bias = model.head.layers[1].bias
        good = bias.numpy()
        bias.set_value(good + np.float32(1e-3))
        try:
            return save_graph(model, specs, prefix, *more)
        finally:
            bias.set_value(good)

    save_graph = bundle_module.save_graph
    monkeypatch.setattr(bundle_module, "save_graph", broken)
    with pytest.raises(ExportError, match=r"disagrees with the trained model: onednn, case 'batch', .* 0\.001"):
        export_checkpoint(str(trained.best), str(tmp_path / "bundle"))
    assert list(tmp_path.iterdir()) == []


def test_a_refused_export_leaves_the_old_bundle(trained: Any, bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in bundle.iterdir()}

    def refuse(*arguments: Any) -> Any:
        raise ExportError("refused")

    monkeypatch.setattr(app_export, "check_parity", refuse)
    with pytest.raises(ExportError, match="refused"):
        export_checkpoint(str(trained.best), str(bundle))
    assert {path.name: path.read_bytes() for path in bundle.iterdir()} == before
    assert [path.name for path in bundle.parent.iterdir()] == ["bundle"]


@pytest.mark.parametrize("name", ["bundle.yaml", "main.json", "main.pdiparams", "tokenizer.json", "parity.json"])
def test_a_changed_byte_in_a_bundle_is_found(bundle: Path, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for file in bundle.iterdir():
        content = bytearray(file.read_bytes())
        if file.name == name:
            content[len(content) // 2] ^= 1
        (copy / file.name).write_bytes(bytes(content))
    with pytest.raises(ExportError, match=f"{re.escape(name)} was changed after the export"):
        Predictor(copy)


def test_bad_requests_name_the_field(bundle: Path, samples: list[dict[str, Any]], tmp_path: Path) -> None:
    predictor = Predictor(bundle)
    with pytest.raises(DataError, match="sample 0 has none of the fields"):
        predictor.predict([{}])
    with pytest.raises(DataError, match="sample 0 has none of the fields"):
        predictor.predict([{"image": None}])
    with pytest.raises(DataError, match="sample 1: no field named 'imgae'; did you mean 'image'"):
        predictor.predict([samples[0], {"imgae": 1}])
    with pytest.raises(DataError, match=r"sample 0 image: .*missing\.png"):
        predictor.predict([{"image": tmp_path / "missing.png"}])
    with pytest.raises(DataError, match="sample 0 text"):
        predictor.predict([{"text": "  "}])


def test_a_checkpoint_of_another_architecture_is_refused(trained: Any, tmp_path: Path) -> None:
    config = yaml.safe_load(trained.config.read_text())
    config["model"]["encoders"]["image"] = {"name": "cnn", "channels": [4, 16]}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(config))
    with pytest.raises(
        CheckpointError, match=r"another architecture: .*\[8, 4, 3, 3\] float32 there and \[16, 4, 3, 3\] float32 here"
    ):
        evaluate_checkpoint(str(trained.best), str(other))


def test_a_checkpoint_cut_in_half_is_refused(trained: Any, tmp_path: Path) -> None:
    copy = tmp_path / "best"
    copy.mkdir()
    for file in trained.best.iterdir():
        content = file.read_bytes()
        (copy / file.name).write_bytes(content[: len(content) // 2] if file.name == "model.safetensors" else content)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_checkpoint(copy)
