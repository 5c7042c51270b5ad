"""tools/sensitivity.py on a trained checkpoint: curves, page, and a compression that takes its ratios from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ppmm.app.compress import compress
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.sensitivity import sensitivity
from ppmm.errors import CompressError, ConfigError
from tests.conftest import Run


def test_curves_of_a_checkpoint_give_ratios(trained: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    arguments = {"out": str(out), "ratios": [0.5], "rows": None, "metric": "loss"}
    document = sensitivity(str(trained.config), str(trained.best), **arguments)  # type: ignore[arg-type]
    assert document["base"] == pytest.approx(evaluate_checkpoint(str(trained.best), split="val")["metrics"]["loss"])
    assert document["higher"] is False and {"image", "audio", "text"} <= set(document["towers"])
    told = capsys.readouterr().out
    assert all(line in told for line in document["advice"]) and "first: its multiply-adds buy least" in told
    page = (out / "sensitivity.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1 + len(document["towers"]) and "https://" not in page
    before = (out / "sensitivity.json").read_text(encoding="utf-8")
    sensitivity(str(trained.config), str(trained.best), **arguments)  # type: ignore[arg-type]
    assert (out / "sensitivity.json").read_text(encoding="utf-8") == before
    assert "layer" not in capsys.readouterr().err, "nothing is measured again"
    with pytest.raises(CompressError, match="holds curves of other weights or arguments"):
        sensitivity(str(trained.config), str(trained.best), **{**arguments, "rows": 8})  # type: ignore[arg-type]
    step = f"compress=[{{name: prune, ratios_from: {out / 'sensitivity.json'}, flops: 0.3}}]"
    report = compress(str(trained.config), str(trained.best), [step], out=str(tmp_path / "small"))
    flops = report["steps"][0]["report"]["flops"]
    assert flops[1] <= 0.7 * flops[0]
    json.dumps(document, allow_nan=False)


def test_a_figure_of_which_nothing_is_known(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--metric shape: it is not known whether more of it is better"):
        sensitivity(str(trained.config), str(trained.best), out=str(tmp_path / "out"), metric="shape")
    with pytest.raises(CompressError, match="metric: 'auc' is not measured"):
        sensitivity(str(trained.config), str(trained.best), out=str(tmp_path / "out"), metric="auc")
