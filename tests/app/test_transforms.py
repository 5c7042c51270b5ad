"""``adapt:`` from YAML to bundle: trained, saved, rebuilt, resumed, merged in the exported graph."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import pytest
import yaml

from ppmm.app.check import check_config
from ppmm.app.checkpoints import load_checkpoint
from ppmm.app.evaluate import evaluate_checkpoint
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.errors import CheckpointError, ConfigError
from ppmm.models.layers.lora import LoRALinear
from ppmm.runtime import Predictor

LORA = {"name": "lora", "match": ["encoders.image.*", "fusion.*"], "rank": 1, "alpha": 4}
TRAINER = {"epochs": 1, "max_steps": 3, "log_every": 1}


def test_a_run_with_lora_from_yaml_to_bundle(
    write_config: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    optimizer = {"name": "adamw", "learning_rate": 0.1}
    figures = train(str(write_config("lora", adapt=[LORA], trainer=TRAINER, optimizer=optimizer)))
    best = tmp_path / "output" / "lora" / "checkpoints" / "best"
    loaded = load_checkpoint(best)
    record = loaded.checkpoint.manifest["transforms"][0]
    assert record["name"] == "lora" and record["args"] == {"match": LORA["match"], "rank": 1, "alpha": 4}
    assert record["shapes"]["fusion.values.image.lora_b"] == [1, 16]
    assert all("lora_" in name for name in record["shapes"])
    layer = loaded.model.fusion.values["image"]
    assert isinstance(layer, LoRALinear) and float(layer.lora_b.abs().max()) > 0
    assert evaluate_checkpoint(str(best), split="val")["metrics"] == pytest.approx(figures)
    bundle = tmp_path / "bundle"
    report = export_checkpoint(str(best), str(bundle))
    assert report["max_abs"] < 1e-4
    graph = json.loads((bundle / _graph_file(bundle)).read_text())
    assert "lora" not in json.dumps(graph)
    assert Predictor(bundle).outputs([{"text": "what is shown?"}])["logits"].shape == (1, 21)
    assert "of them trained (" in capsys.readouterr().err


def _graph_file(bundle: Path) -> str:
    files = yaml.safe_load((bundle / "bundle.yaml").read_text())["graphs"]["main"]["files"]
    return next(name for name in files if name.endswith(".json"))


def test_the_base_stays_as_it_was_and_a_broken_run_resumes(write_config: Callable[..., Path], tmp_path: Path) -> None:
    sections: dict[str, Any] = {
        "adapt": [LORA],
        "trainer": {**TRAINER, "max_steps": 6, "average": {"name": "ema"}},
        "schedule": {"name": "constant"},
    }
    train(str(write_config("whole", **sections)))
    other = write_config("cut", **sections)
    train(str(other), ["trainer.max_steps=3"])
    train(str(other), resume=True)
    whole, cut = (read_checkpoint(tmp_path / "output" / name / "checkpoints" / "last") for name in ("whole", "cut"))
    for file in ("model.safetensors", "state.safetensors"):
        one, two = whole.arrays(file), cut.arrays(file)
        assert one.keys() == two.keys()
        assert [name for name in one if one[name].tobytes() != two[name].tobytes()] == []
    state = whole.arrays("state.safetensors")
    assert "fusion.values.image.lora_a|moment1" in state and "fusion.values.image.weight|moment1" not in state
    assert "weights|fusion.values.image.weight" in state


def test_check_tells_what_is_trained(write_config: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    check_config(str(write_config("all")))
    check_config(str(write_config("part", adapt=[LORA])))
    whole, part = (
        {line.split("  ")[0]: int(line.split()[-3 if "(" in line else -1].replace(",", "")) for line in block}
        for block in _blocks(capsys.readouterr().out)
    )
    assert part["parameters"] > whole["parameters"]
    assert part["trained at first"] < whole["trained at first"] <= whole["parameters"]
    assert part["FLOPs per sample"] == whole["FLOPs per sample"]


def _blocks(text: str) -> list[list[str]]:
    lines = [line.split("  (")[0] for line in text.splitlines()]
    starts = [number for number, line in enumerate(lines) if "every key is right" in line]
    wanted = ("parameters", "trained at first", "FLOPs")
    return [
        [line for line in lines[start:end] if line.startswith(wanted)]
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"adapt": [{**LORA, "rank": 0}]}, r"bad.yaml:\d+ adapt\.0: lora: rank must be at least 1"),
        ({"adapt": [{**LORA, "match": ["encoders.sight.*"]}]}, r"bad.yaml:\d+ adapt\[0\] lora: match 'encoders.sight"),
        ({"adapt": [{**LORA, "rank": 99}]}, r"adapt\[0\] lora: rank 99 is larger than the .* matrix of encoders.image"),
        ({"adapt": [{"name": "lara", "match": ["*"]}]}, "no transform named 'lara'; did you mean 'lora'"),
        ({"hooks": [{"name": "freeze", "match": ["*"]}]}, "every parameter is frozen"),
        ({"hooks": [{"name": "freeze", "match": ["encodes.*"]}]}, r"hooks\[0\] freeze: no parameter matches 'encodes"),
        ({"trainer": {"epochs": 1, "sam": 0.0}}, r"trainer\.sam must be above 0|trainer\.sam: must be above 0"),
        (
            {"trainer": {"epochs": 1, "sam": 0.1, "precision": "fp16"}},
            "trainer.sam: not with the scaled loss of fp16",
        ),
        ({"trainer": {"epochs": 1, "average": {"name": "ema", "decay": 1.5}}}, "decay must be above 0 and below 1"),
        ({"hooks": [{"name": "early_stopping", "patience": 0}]}, "patience must be at least 1"),
        (
            {"hooks": [{"name": "early_stopping", "patience": 1, "metric": "los", "mode": "min"}]},
            r"bad.yaml:\d+ hooks\.0\.metric: no metric gives 'los'; did you mean 'loss'",
        ),
        ({"hooks": [{"name": "early_stopping", "patience": 1, "metric": "loss"}]}, "mode must say whether more"),
    ],
)
def test_mistakes_end_before_training(
    sections: dict[str, Any], message: str, write_config: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        train(str(write_config("bad", **sections)))
    assert not (tmp_path / "output" / "bad").exists()


def test_a_manifest_that_was_changed_is_refused(write_config: Callable[..., Path], tmp_path: Path) -> None:
    train(str(write_config("lora", adapt=[LORA], trainer={**TRAINER, "max_steps": 1})))
    found = read_checkpoint(tmp_path / "output" / "lora" / "checkpoints" / "last")
    record = found.manifest["transforms"][0]
    changed = {
        "rank": {**record, "args": {**record["args"], "rank": 2}},
        "name": {**record, "name": "os.system"},
        "argument": {**record, "args": {**record["args"], "code": "import os"}},
        "no arguments": {"name": "lora"},
    }
    texts = {name: found.text(name) for name in found.manifest["files"] if not name.endswith(".safetensors")}
    arrays = {name: found.arrays(name) for name in found.manifest["files"] if name.endswith(".safetensors")}
    for name, transform in changed.items():
        write_checkpoint(tmp_path / name, arrays, texts, {**found.manifest, "transforms": [transform]})
        with pytest.raises(CheckpointError, match=r"transforms cannot be made again|other shapes than when"):
            load_checkpoint(tmp_path / name)


def test_lora_in_a_model_of_paddlenlp(tiny_bert: Path) -> None:
    from ppmm.models.encoders.paddlenlp import PaddleNLPEncoder
    from ppmm.models.layers.replace import merge_layers
    from ppmm.models.transforms.lora import LoRA

    model = paddle.nn.LayerDict({"text": PaddleNLPEncoder(30, str(tiny_bert))})
    model.eval()
    ids = paddle.to_tensor([[1, 5, 7, 2]])
    before = model["text"](ids).pooled.numpy()
    LoRA(["text.backbone.*"], rank=2)(model)
    np.testing.assert_allclose(model["text"](ids).pooled.numpy(), before, atol=1e-6)
    adapted = [name for name, layer in model.named_sublayers() if isinstance(layer, LoRALinear)]
    assert len(adapted) == 2 * 6
    for name, parameter in model.named_parameters():
        if name.endswith("lora_b"):
            parameter.set_value(paddle.full(parameter.shape, 0.05))
    wanted = model["text"](ids).pooled.numpy()
    assert np.abs(wanted - before).max() > 1e-3
    merge_layers(model)
    np.testing.assert_allclose(model["text"](ids).pooled.numpy(), wanted, atol=1e-6)
