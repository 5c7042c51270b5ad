"""Which keys of a config may change on resume, and what is said about the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ppmm.app.resuming import check_changes
from ppmm.app.train import train
from ppmm.config import ConfigNode, loads
from ppmm.engine.checkpoint import read_checkpoint
from ppmm.errors import ConfigError

TEXT = """
name: a
seed: 1
model: {name: late_fusion, fusion: {name: gated, dim: 16}}
optimizer: {name: adamw, learning_rate: 0.1, weight_decay: 0.01}
schedule: {name: constant}
trainer: {epochs: 3, clip_norm: 1.0}
hooks: [{name: early_stopping, patience: 2}]
"""


def changed(*pairs: tuple[str, str], added: str = "") -> ConfigNode:
    text = TEXT
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return loads(text + added)


def test_what_has_not_been_computed_with_is_free() -> None:
    other = changed(("epochs: 3", "epochs: 5"), ("patience: 2", "patience: 4"), added="device: cpu")
    assert check_changes(loads(TEXT), other, "run", False) == ["device", "hooks", "trainer.epochs"]


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (("learning_rate: 0.1", "learning_rate: 0.5"), r"optimizer\.learning_rate \(was 0\.1, now 0\.5\)"),
        (("weight_decay: 0.01", "weight_decay: 0.1"), r"optimizer\.weight_decay \(was 0\.01, now 0\.1\)"),
        (("{name: constant}", "{name: warmup_cosine}"), r"schedule\.name \(was 'constant', now 'warmup_cosine'\)"),
        (("clip_norm: 1.0", "clip_norm: 2.0"), r"trainer\.clip_norm \(was 1\.0, now 2\.0\)"),
        (("clip_norm: 1.0", "sam: 0.1"), r"trainer\.clip_norm \(was 1\.0, now nothing\), trainer\.sam \(was nothing, "),
    ],
)
def test_what_is_safe_needs_force(pair: tuple[str, str], told: str) -> None:
    other = changed(pair)
    with pytest.raises(ConfigError, match=rf"cannot resume run: the config differs in {told}.*--force"):
        check_changes(loads(TEXT), other, "run", False)
    assert check_changes(loads(TEXT), other, "run", True)


@pytest.mark.parametrize(
    ("pair", "told"),
    [
        (("dim: 16", "dim: 32"), r"model\.fusion\.dim \(was 16, now 32\); a run cannot go on with other model\.fusion"),
        (("seed: 1", "seed: 2"), r"seed \(was 1, now 2\)"),
        (("name: adamw", "name: sgd"), r"optimizer\.name \(was 'adamw', now 'sgd'\)"),
        (("epochs: 3", "epochs: 3, accumulate: 2"), r"trainer\.accumulate \(was nothing, now 2\)"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_not_safe_is_refused(pair: tuple[str, str], told: str, force: bool) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        check_changes(loads(TEXT), changed(pair), "run", force)
    assert "--force" not in str(caught.value)


def test_with_force_only_what_is_not_safe_is_told() -> None:
    other = changed(("dim: 16", "dim: 32"), ("learning_rate: 0.1", "learning_rate: 0.5"))
    with pytest.raises(ConfigError) as caught:
        check_changes(loads(TEXT), other, "run", True)
    assert "learning_rate" not in str(caught.value)


def test_a_forced_run_goes_on_with_the_new_rate(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = write_config("run", trainer={"epochs": 2}, schedule={"name": "constant"})
    train(str(config), ["trainer.epochs=1"])
    train(str(config), ["optimizer.learning_rate=0.125"], resume=True, force=True)
    lines = (tmp_path / "output" / "run" / "history.jsonl").read_text().splitlines()
    assert '"learning_rate": 0.01,' in lines[0] and '"learning_rate": 0.125,' in lines[-1]
    last = read_checkpoint(tmp_path / "output" / "run" / "checkpoints" / "last")
    assert last.manifest["step"] == 12 and "learning_rate: 0.125" in last.text("config.yaml")
    train(str(config), ["optimizer.learning_rate=0.125"], resume=True)
