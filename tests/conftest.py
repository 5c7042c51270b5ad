"""What several tests share: a small real data set and a small trained run, made once per session."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    config: Path
    folder: Path
    data: Path

    @property
    def best(self) -> Path:
        return self.folder / "checkpoints" / "best"


def small_config(data: Path, output: Path, name: str = "small") -> dict[str, object]:
    """The quickstart at a size that trains in seconds; every kind of field is in it."""
    columns = {"image": "image", "audio": "audio", "text": "question", "answer": "answer"}
    splits = ("train", "val", "test")
    return {
        "name": name,
        "output": str(output),
        "data": {
            split: {"name": "manifest", "path": str(data / f"{split}.jsonl"), "columns": columns} for split in splits
        },
        "fields": {
            "image": {
                "name": "image",
                "size": [16, 16],
                "channels": 1,
                "augment": [{"name": "image_shift", "pixels": 1}],
            },
            "audio": {"name": "log_mel", "sample_rate": 8000, "n_mels": 16, "hop_ms": 20, "window_ms": 32},
            "text": {"name": "text", "tokenizer": {"name": "word"}},
        },
        "targets": {"answer": {"name": "label", "classes": ["yes", "no", *range(19)]}},
        "model": {
            "name": "late_fusion",
            "encoders": {
                "image": {"name": "cnn", "channels": [4, 8]},
                "audio": {"name": "cnn_bilstm", "dim": 8, "channels": [4]},
                "text": {"name": "bigru", "dim": 8, "dropout": 0.1},
            },
            "fusion": {"name": "gated", "dim": 16},
            "head": {"name": "linear", "dropout": 0.1},
        },
        "objective": {"name": "cross_entropy", "target": "answer"},
        "metrics": [{"name": "accuracy", "target": "answer"}, {"name": "confusion_matrix", "target": "answer"}],
        "optimizer": {"name": "adamw", "learning_rate": 0.01},
        "schedule": {"name": "warmup_cosine"},
        "loader": {"batch_size": 16, "modality_dropout": 0.1},
        "trainer": {"epochs": 2, "clip_norm": 1.0},
    }


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 training rows and 32 of each other split of digits-qa."""
    from ppmm.data.make.digits_qa import make_digits_qa

    folder = tmp_path_factory.mktemp("digits") / "digits_qa"
    make_digits_qa(folder, seed=1, train=96, val=32, test=32, test_speaker=32)
    return folder


@pytest.fixture
def write_config(digits: Path, tmp_path: Path) -> Callable[..., Path]:
    """A function that writes the small config, with top-level sections replaced, and returns its path."""

    def write(name: str = "small", **sections: object) -> Path:
        path = tmp_path / f"{name}.yaml"
        config = {**small_config(digits, tmp_path / "output", name), **sections}
        path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        return path

    return write


@pytest.fixture(scope="session")
def trained(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the small config."""
    from ppmm.app.train import train

    folder = tmp_path_factory.mktemp("run")
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(small_config(digits, folder / "output"), sort_keys=False), encoding="utf-8")
    train(str(path))
    return Run(path, folder / "output" / "small", digits)


@pytest.fixture(scope="session")
def bundle(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that run, with an ONNX graph; not to be written to."""
    from ppmm.app.export import export_checkpoint

    out = tmp_path_factory.mktemp("bundle") / "bundle"
    export_checkpoint(str(trained.best), str(out), onnx=True)
    return out


@pytest.fixture(scope="session")
def samples(trained: Run) -> list[dict[str, Any]]:
    """Raw rows of its test split."""
    from ppmm.app.checkpoints import load_checkpoint
    from ppmm.app.experiment import build_rows

    rows = build_rows(load_checkpoint(trained.best).config, "test")
    return [{field: rows[index][field] for field in ("image", "audio", "text")} for index in range(12)]


@pytest.fixture(scope="session")
def retrieval(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-tower checkpoint with a shared trunk."""
    import yaml

    from ppmm.app.train import train
    from tests.conftest import small_config

    folder = tmp_path_factory.mktemp("towers")
    config: dict[str, Any] = small_config(digits, folder / "output", "towers")
    for split in config["data"].values():
        split["columns"] = {"image": "image", "audio": "audio", "text": "question", "digits": "answer"}
    config["targets"] = {"digits": {"name": "key"}}
    config["model"] = {
        "name": "two_tower", "dim": 8, "encoders": config["model"]["encoders"],
        "trunk": {"name": "shared_transformer", "dim": 16, "layers": 1, "heads": 2, "joint": False},
    }  # fmt: skip
    config["objective"] = {"name": "info_nce", "fields": ["image", "audio", "text"]}
    config["metrics"] = [{"name": "retrieval", "fields": ["image", "audio", "text"], "key": "digits"}]
    config["trainer"] = {"epochs": 1, "monitor": "loss", "mode": "min"}
    path = folder / "towers.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    train(str(path))
    return folder / "output" / "towers" / "checkpoints" / "best"


@pytest.fixture(scope="session")
def towers(retrieval: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, with a graph for each tower; not to be written to."""
    from ppmm.app.export import export_checkpoint

    out = tmp_path_factory.mktemp("bundle") / "bundle"
    export_checkpoint(str(retrieval), str(out), onnx=True, samples=8)
    return out


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What predictors remember of this machine stays out of the user's folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 30 tokens, as PaddleNLP saves one."""
    import paddle
    from paddlenlp.transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    paddle.seed(3)
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=30, max_position_embeddings=64, initializer_range=0.5, **sizes)
    BertModel(config).save_pretrained(str(folder), safe_serialization=True)
    return folder


@pytest.fixture(scope="module", autouse=True)
def _no_part_of_a_plugin_outlives_its_tests() -> Iterator[None]:
    """Parts that tests load from ``plugins:`` are forgotten, since other tests look at every part that there is."""
    from ppmm.registry import REGISTRIES

    before = {registry.kind: set(registry._classes) for registry in REGISTRIES.values()}
    yield
    for registry in REGISTRIES.values():
        for name in set(registry._classes) - before[registry.kind]:
            module = registry._classes[name].__module__
            if not module.startswith("ppmm."):
                del registry._classes[name]
                if module.startswith("ppmm_plugin_"):
                    sys.modules.pop(module, None)  # so that the next test that names the plugin imports it again
