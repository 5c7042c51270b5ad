"""Bundles of several graphs: each tower alone answers as the whole model, and equal checkpoints give equal bundles."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ppmm.app.export import export_checkpoint
from ppmm.runtime import Predictor
from ppmm.runtime.describe import describe

ROOT = Path(__file__).parents[2]
FIELDS = ("image", "audio", "text")


@pytest.mark.parametrize("backend", ["onednn", "plain", "onnx"])
def test_a_tower_is_the_whole_model_given_its_field(
    towers: Path, samples: list[dict[str, Any]], backend: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor(towers, backend=backend)
    assert set(predictor.bundle.document["graphs"]) == {"main", *(f"{field}_tower" for field in FIELDS)}
    for field in FIELDS:
        alone = [{field: sample[field]} for sample in samples]
        whole = predictor.outputs(alone)[f"{field}_embed"]
        found = predictor.outputs(alone, graph=f"{field}_tower")
        assert list(found) == [f"{field}_embed"]
        np.testing.assert_allclose(found[f"{field}_embed"], whole, atol=2e-6)
    calls: list[str] = []
    run = predictor.run
    monkeypatch.setattr(predictor, "run", lambda batch, graph="main": calls.append(graph) or run(batch, graph))
    (answer,) = predictor.predict([{"text": samples[0]["text"]}])
    assert set(answer["embeddings"]) == {"text"}
    (both,) = predictor.predict([{"text": samples[0]["text"], "image": samples[0]["image"]}])
    assert set(both["embeddings"]) == {"text", "image"}
    np.testing.assert_allclose(both["embeddings"]["text"], answer["embeddings"]["text"], atol=2e-6)
    assert calls == ["text_tower", "main"]


def test_towers_can_be_left_out(retrieval: Path, tmp_path: Path) -> None:
    export_checkpoint(str(retrieval), str(tmp_path / "b"), samples=4, towers=False)
    assert list(Predictor(tmp_path / "b").bundle.document["graphs"]) == ["main"]


def test_equal_checkpoints_give_equal_bundles(retrieval: Path, towers: Path, tmp_path: Path) -> None:
    """In another process, whose counters of names start anew."""
    command = ["deploy/export.py", "-w", str(retrieval), "--out", str(tmp_path / "b"), "--onnx", "--samples", "8"]
    for out in ("b", "c"):
        command[4] = str(tmp_path / out)
        done = subprocess.run([sys.executable, *command], capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
    first, second = ({f.name: f.read_bytes() for f in (tmp_path / out).iterdir()} for out in ("b", "c"))
    assert first == second
    assert set(first) == {f.name for f in towers.iterdir()}


def test_the_model_card(towers: Path, bundle: Path) -> None:
    card = (towers / "README.md").read_text()
    for words in ("| image_tower | fp32 |", "text_embed | embedding", "train manifest", "log_mel(sample_rate=8000"):
        assert words in card
    predictor = Predictor(bundle)
    text = describe(predictor.bundle)
    assert "| answer | label | yes, no, 0," in text and "(21 in all)" in text and "Largest difference" in text


def test_the_describe_tool(bundle: Path, tmp_path: Path, write_config: Callable[..., Path]) -> None:
    done = subprocess.run(
        [sys.executable, "deploy/describe.py", str(bundle)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0 and done.stdout == (bundle / "README.md").read_text()
    done = subprocess.run(
        [sys.executable, "deploy/describe.py", str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode != 0 and "is not a bundle" in done.stderr and "Traceback" not in done.stderr


def test_the_layout_for_tensorrt(trained: Any, tmp_path: Path) -> None:
    export_checkpoint(str(trained.best), str(tmp_path / "b"), samples=8, tensorrt=True)
    graph = Predictor(tmp_path / "b").bundle.graph("main")  # loaded by Paddle Inference, compared by the gate
    assert graph["ir"] == "old"
    assert graph["tensorrt"] == {"precision": "fp16", "workspace_mb": 1024, "max_batch": 32}
