"""A case of the matrix, from YAML tree to bundle: built, trained for one step, exported, compared with its graph."""

from __future__ import annotations

import inspect
import json
import wave
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matrix_cases import Case, target_kind
from part_kinds import kind_of

from ppmm.app.experiment import build_parts, build_rows, open_experiment
from ppmm.app.export import export_checkpoint
from ppmm.app.initialise import initialise
from ppmm.app.train import make_trainer
from ppmm.config import dump
from ppmm.registry import ENCODERS, FUSIONS, HEADS, OBJECTIVES, TRUNKS, Registry

__all__ = ["SyntheticRows", "assert_trains_and_exports", "experiment_of"]

ROWS = {"train": 21, "val": 14}
RATE = 8000
SMALL: dict[str, Any] = {
    "dim": 8, "hidden": 8, "embed_dim": 8, "width": 0.125, "dropout": 0.1, "centres": 8, "layers": 1, "depth": 2,
    "backbone": "shufflenet_v2_x0_25",
}  # fmt: skip
"""Given to every part that takes them, in the type of its default."""
OWN = {
    "bottleneck": {"layers": 2}, "convnext": {"depths": [1, 1, 1, 1]}, "resnet": {"depth": 10},
    "text_cnn": {"channels": 8}, "vit": {"patch": 8},
}  # fmt: skip
"""Where a part's argument of that name is another thing, or its default is large."""
COLUMNS = {"image": "image", "text": "text", "audio": "audio", "numeric": "numeric"}
TARGETS = {"label": "shape", "number": "size", "multi_label": "tags", "key": "scene"}
"""Kind of target -> its name and column."""


class SyntheticRows:
    """Manifests of pictures, texts, recordings and numbers; one per set of fields, in which every subset occurs.

    Args:
        folder: where the files go.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rows = {split: [self._row(split, number) for number in range(count)] for split, count in ROWS.items()}

    def paths(self, fields: tuple[str, ...]) -> dict[str, Path]:
        """The manifests of these fields by split; the subsets that are present take turns, the whole set first."""
        subsets = [chosen for size in range(len(fields), 0, -1) for chosen in combinations(fields, size)]
        paths = {split: self.folder / f"{split}-{'-'.join(fields)}.jsonl" for split in ROWS}
        for split, path in paths.items():
            if path.is_file():
                continue
            lines = []
            for number, row in enumerate(self.rows[split]):
                here = subsets[number % len(subsets)]
                kept = {key: value for key, value in row.items() if key not in COLUMNS or key in here}
                lines.append(json.dumps(kept))
            path.write_text("\n".join(lines), encoding="utf-8")
        return paths

    def _row(self, split: str, number: int) -> dict[str, Any]:
        rng = np.random.default_rng([ROWS[split], number])
        image, audio = self.folder / f"{split}{number}.png", self.folder / f"{split}{number}.wav"
        cv2.imwrite(str(image), rng.integers(0, 256, size=(32, 32, 3)).astype(np.uint8))
        samples = (rng.normal(size=int(rng.integers(1200, 3600))) * 3000).astype("<i2")
        with wave.open(str(audio), "wb") as file:
            file.setparams((1, 2, RATE, 0, "NONE", ""))
            file.writeframes(samples.tobytes())
        words = [f"word{word}" for word in rng.integers(0, 20, size=int(rng.integers(1, 9)))]
        return {
            "image": image.name, "audio": audio.name, "text": " ".join(words),
            "numeric": rng.normal(size=4).round(3).tolist(), "shape": ["round", "square", "flat"][number % 3],
            "size": float(rng.normal()), "tags": ["a", "b", "c"][: 1 + number % 3], "scene": number // 2,
        }  # fmt: skip


def experiment_of(case: Case, rows: SyntheticRows, folder: Path, bert: Path | None) -> dict[str, Any]:
    """The tree of a case's YAML.

    Args:
        rows: the data.
        folder: where its run goes.
        bert: folder of a pretrained text model, for the encoder that needs one.
    """
    fields = tuple(field for field, _ in case.encoders)
    objective = objective_of(case, case.objective)
    encoders = {field: _part(ENCODERS, name, {"path": str(bert)}) for field, name in case.encoders}
    model: dict[str, Any] = {"name": "two_tower", "encoders": encoders, "dim": 4}
    if case.fusion is not None and case.head is not None:
        model = {"name": "late_fusion", "encoders": encoders, "head": _part(HEADS, case.head)}
        model["fusion"] = _part(FUSIONS, case.fusion)
    elif "image_text_matching" in str(objective):
        model["matching"] = [list(pair) for pair in combinations(fields, 2)]
    if case.trunk is not None:
        model["trunk"] = _part(TRUNKS, case.trunk)
    kinds = [kind for kind, target in TARGETS.items() if repr(target) in str(objective)]
    columns = {name: name for name in (*fields, *(TARGETS[kind] for kind in kinds))}
    return {
        "name": "case",
        "output": str(folder),
        "data": {
            split: {"name": "manifest", "path": str(path), "columns": columns}
            for split, path in rows.paths(fields).items()
        },
        "fields": {field: _field(name) for field, name in case.encoders},
        "targets": {TARGETS[kind]: {"name": kind} for kind in kinds},
        "model": model,
        "objective": objective,
        "metrics": [],
        "optimizer": {"name": "adamw", "learning_rate": 0.01, "weight_decay": 0.0},
        "schedule": {"name": "constant"},
        "loader": {"batch_size": ROWS["train"]},
        "trainer": {"epochs": 1, "max_steps": 1, "monitor": "loss", "mode": "min"},
        "export": {"samples": ROWS["val"]},
    }


def objective_of(case: Case, name: str) -> dict[str, Any]:
    """The node of an objective: fields, positives and a target as it takes them, parts in it where it is made of some.

    Raises AssertionError for a constructor that asks for what is not known here.
    """
    cls = OBJECTIVES.get(name)
    terms = ("cross_entropy", "focal") if case.fusion is not None else ("info_nce", "image_text_matching")
    known: dict[str, Any] = {
        "fields": [field for field, _ in case.encoders],
        "positives": [TARGETS["key"]],
        "target": TARGETS[target_kind(name)],
    }
    node: dict[str, Any] = {"name": name}
    for argument, parameter in inspect.signature(cls).parameters.items():
        if argument in known:
            node[argument] = known[argument]
        elif argument == "objective":
            node[argument] = objective_of(case, "cross_entropy")
        elif argument == "terms":
            node[argument] = {f"term{number}": objective_of(case, term) for number, term in enumerate(terms)}
        else:
            assert parameter.default is not parameter.empty, f"objective '{name}' needs '{argument}': see {__file__}"
    return node


def _part(registry: Registry, name: str, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The node of a part at a small size. Raises AssertionError for an argument that must be given and is not known."""
    known, node = {**SMALL, **(own or {}), **OWN.get(name, {})}, {"name": name}
    for argument, parameter in inspect.signature(registry.get(name)).parameters.items():
        if argument == "channels" and name not in OWN:
            node[argument] = [4, 8]
        elif argument in known:
            node[argument] = known[argument]
        elif parameter.default is parameter.empty:
            assert argument in registry.injected, f"{registry.kind} '{name}' needs '{argument}': see {__file__}"
    return node


def _field(encoder: str) -> dict[str, Any]:
    """The node of the field that an encoder reads."""
    spectral = {"sample_rate": RATE, "n_mels": 16, "window_ms": 32, "hop_ms": 16}
    return {
        "image": {"name": "image", "size": [32, 32]},
        "text": {"name": "text", "tokenizer": {"name": "word", "max_vocab": 30}},
        "audio": {"name": "log_mel", **spectral},
        "waveform": {"name": "waveform", "sample_rate": RATE},
        "numeric": {"name": "numeric", "size": 4},
    }[kind_of(encoder)]


def assert_trains_and_exports(case: Case, rows: SyntheticRows, folder: Path, bert: Path | None) -> dict[str, Any]:
    """One optimizer step changes every part of the model; its bundle answers as the checkpoint. Returns the parity.

    Raises AssertionError or the PpmmError of what went wrong.
    """
    path = folder / "case.yaml"
    path.write_text(dump(experiment_of(case, rows, folder, bert)), encoding="utf-8")
    config = open_experiment(path)
    train_rows = build_rows(config, "train")
    run = folder / "case"
    run.mkdir()
    trainer = make_trainer(config, build_parts(config, train_rows), train_rows, run)
    model = trainer.step.model
    initialise(model, trainer.loader)
    trained = {"model": model, "objective": trainer.step.objective}
    before = {name: _parameters(part) for name, part in trained.items()}
    trainer.fit()
    assert trainer.state.step == 1 and np.isfinite(trainer.terms["loss"]) and np.isfinite(trainer.figures["loss"])
    for name, part in trained.items():
        _assert_moved(name, before[name], _parameters(part))
    report = dict(export_checkpoint(str(run / "checkpoints" / "last"), str(folder / "bundle")))
    wanted = {"batch", "single", *(f"without {field}" for field, _ in case.encoders if len(case.encoders) > 1)}
    for backend in ("plain", "onednn"):
        assert set(report["backends"][backend]["cases"]) == wanted
    return report


def _parameters(part: Any) -> dict[str, np.ndarray]:
    """What is trained, by name; nothing where there is nothing to train."""
    named = part.named_parameters() if hasattr(part, "named_parameters") else []
    return {name: parameter.numpy().copy() for name, parameter in named if not parameter.stop_gradient}


def _assert_moved(whole: str, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]) -> None:
    """Every part that has parameters has changed some of them, and all of them are finite."""
    parts: dict[str, bool] = {}
    for name, array in after.items():
        assert np.isfinite(array).all(), f"{whole}.{name}"
        part = ".".join(name.split(".")[: 2 if name.startswith("encoders.") else 1])
        parts[part] = parts.get(part, False) or not np.array_equal(array, before[name])
    still = [f"{whole}.{part}" for part, moved in parts.items() if not moved]
    assert not still, f"one step left these as they were: {', '.join(still)}"
