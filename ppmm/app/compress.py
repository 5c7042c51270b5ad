"""tools/compress.py: a checkpoint through the steps of ``compress:``, each of which ends in an ordinary checkpoint."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ppmm.app.checkpoints import CONFIG, MODEL, OBJECTIVE, Loaded, load_checkpoint, settings_of, versions, vocabularies
from ppmm.app.claim import claim
from ppmm.app.compress_context import StepContext
from ppmm.app.document import write_document
from ppmm.app.experiment import (
    ClassCounts,
    build_model,
    build_parts,
    build_rows,
    make_loader,
    open_experiment,
    set_device,
)
from ppmm.app.initialise import initialise
from ppmm.app.source_commit import source_commit
from ppmm.app.train import run_folder
from ppmm.app.transforms import apply_transforms
from ppmm.compress.context import Compressed
from ppmm.config import ConfigNode, build, dump
from ppmm.config.node import plain
from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint
from ppmm.engine.weights import model_arrays
from ppmm.errors import CompressError, ConfigError, PpmmError
from ppmm.types import Compressor

__all__ = ["check_out", "compress", "copy_checkpoint", "identity_of"]

CHECKPOINT, STEP, REPORT = "checkpoint", "step.json", "compress_report.json"
TOLERANCE = 1e-5
"""Between a step's model and the one that its checkpoint gives back, of the largest answer, or of 1."""


@dataclass(frozen=True)
class Step:
    """One entry of ``compress:``.

    Args:
        number: from 1.
        node: of the YAML, as plain values.
        folder: where it works.
    """

    number: int
    node: dict[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """For messages: ``2 finetune``."""
        return f"{self.number} {self.node['name']}"


def compress(
    path: str,
    weights: str | None = None,
    overrides: Sequence[str] = (),
    *,
    out: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    measured: bool = False,
    record: str | None = None,
) -> dict[str, Any]:
    """Run the steps of a YAML; returns what was written to ``compress_report.json``.

    Args:
        path: the YAML with the list ``compress``.
        weights: the checkpoint to compress; None begins with a model as it is built, for a step that has a teacher.
        overrides: ``a.b.c=value``.
        out: folder of the result; ``<output>/<name>/compressed`` when None.
        resume: take what is finished there and go on.
        overwrite: delete what is there.
        measured: also measure the model before and after each step, and write ``compress_report.html``.
        record: name of the row that is then put into ``docs/results.json``; None for none.

    Raises ConfigError, CheckpointError or CompressError, with the step's number where one fails. What was finished
    before stays.
    """
    config = open_experiment(path, overrides)
    nodes = [plain(node) for node in config.get("compress", [])]
    if not nodes:
        raise ConfigError(
            f"{path} has no steps under compress; name some, such as compress: [{{name: prune, ratio: 0.5}}, "
            "{name: finetune, epochs: 2}]"
        )
    compressors = build(config["compress"], list[Compressor])
    set_device(config)
    folder = run_folder(config) / "compressed" if out is None else Path(out)
    steps = [Step(number, node, folder / f"{number}_{node['name']}") for number, node in enumerate(nodes, start=1)]
    check_out(folder, weights, resume, overwrite)
    with claim(folder):
        first = _begin(folder, config, weights)
        documents = []
        last = first
        for step, compressor in zip(steps, compressors, strict=True):
            documents.append(_run(step, compressor, last, first, path, overrides, resume))
            last = step.folder / CHECKPOINT
        copy_checkpoint(last, folder / CHECKPOINT)
        report = {
            "name": str(config["name"]), "checkpoint": str(first), "config": path, "overrides": list(overrides),
            "metric": str(config["trainer"].get("monitor", "accuracy")),
            "higher": config["trainer"].get("mode", "max") == "max", "steps": documents,
        }  # fmt: skip
        write_document(folder / REPORT, report)
        if measured:
            report = _measured(folder, report, config, weights)
            _record(report, record, path, weights, overrides)
    print(f"checkpoint: {folder / CHECKPOINT}\nreport:     {folder / REPORT}")
    return report


def _measured(folder: Path, report: dict[str, Any], config: ConfigNode, weights: str | None) -> dict[str, Any]:
    """The report with what was measured; its sentences are printed."""
    from ppmm.app.compress_report import write_compress_report

    plugins = config.get("plugins", [])
    teachers = [step["arguments"].get("teacher") for step in report["steps"]]
    baseline = weights or next(filter(None, teachers), None) or report["checkpoint"]
    report = write_compress_report(folder, report, Path(baseline), int(config.get("threads", 1)), plugins)
    write_document(folder / REPORT, report)
    print("\n".join(report["measured"]["statements"]))
    print(f"page:       {folder / REPORT.replace('json', 'html')}")
    return report


def _record(report: dict[str, Any], name: str | None, path: str, weights: str | None, overrides: Sequence[str]) -> None:
    """The row of ``docs/results.json``, where it has a name."""
    from ppmm.app.compress_report import results_row
    from ppmm.app.results import record_compression

    if name is not None:
        words = [f"python tools/compress.py -c {path}", *([f"-w {weights}"] if weights else [])]
        words += [f"-o {' '.join(overrides)}"] if overrides else []
        record_compression(results_row(report, name, " ".join(words)), Path("docs/results.json"))


def check_out(folder: Path, weights: str | None, resume: bool, overwrite: bool) -> None:
    """See that the steps may use ``folder``, and clear it with ``overwrite``. Raises ConfigError."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is not a folder; choose another")
    if weights is not None and folder.resolve() in (Path(weights).resolve(), *Path(weights).resolve().parents):
        raise ConfigError(f"--weights {weights} lies in --out {folder}; choose another --out")
    if not folder.is_dir() or not any(folder.iterdir()) or resume:
        return
    if not (folder / CONFIG).is_file() or (folder / "history.jsonl").exists():
        raise ConfigError(f"{folder} holds files that are no compression; choose another --out")
    if not overwrite:
        raise ConfigError(
            f"{folder} already holds a compression; go on with --resume, start anew with --overwrite, or choose --out"
        )
    shutil.rmtree(folder)


def _begin(folder: Path, config: ConfigNode, weights: str | None) -> Path:
    """The checkpoint to start from; a new model's is written to ``0_new``."""
    (folder / CONFIG).write_text(dump(config), encoding="utf-8")
    if weights is not None:
        load_checkpoint(weights, config, config.get("plugins", []))
        return Path(weights)
    new = folder / "0_new" / CHECKPOINT
    if not new.is_dir():
        _write_new(new, config)
    return new


def _write_new(place: Path, config: ConfigNode) -> None:
    """The checkpoint of a model as training would begin with it."""
    import paddle

    from ppmm.models.pretrained import load_pretrained

    rows = build_rows(config, "train")
    parts = build_parts(config, rows)
    paddle.seed(config.get("seed", 0))
    model = build_model(config, parts)
    load_pretrained(model)
    records = apply_transforms(model, config)
    initialise(model, make_loader(config, rows, parts, training=True), config.get("seed", 0))
    counts = ClassCounts(rows, parts.targets)
    manifest = {
        "versions": versions(), "step": 0, "epoch": 0, "metrics": {}, "labels": parts.labels(),
        "dtypes": {MODEL: "float32"}, "transforms": records, "settings": settings_of(model),
        "parameters": _count(model), "class_counts": counts.counted, "train_rows": len(rows),
    }  # fmt: skip
    write_checkpoint(place, {MODEL: model_arrays(model)}, {CONFIG: dump(config), **vocabularies(parts)}, manifest)


def _run(
    step: Step, compressor: Compressor, start: Path, first: Path, path: str, overrides: Sequence[str], resume: bool
) -> dict[str, Any]:
    """One step from the checkpoint ``start``, or what an earlier run of it wrote; returns its part of the report."""
    done = _finished(step, start) if resume else None
    if done is not None:
        print(f"step {step.name}: finished before", file=sys.stderr)
        return done
    print(f"step {step.name}: {_told(step.node)}", file=sys.stderr, flush=True)
    began = time.monotonic()
    step.folder.mkdir(exist_ok=True)
    loaded = load_checkpoint(
        start, open_experiment(path, overrides), open_experiment(path, overrides).get("plugins", [])
    )
    try:
        context = StepContext(path, overrides, loaded, step.folder, first)
        result: Compressed = compressor.apply(loaded.model, context)
        loaded.model.eval()
        figures = context.evaluate(loaded.model)
        _write(step, loaded, context, result, figures)
        _check_rebuilt(step, loaded, context)
    except PpmmError as error:
        raise type(error)(f"step {step.name}: {error}") from error
    document = {
        "name": step.node["name"], "arguments": {key: value for key, value in step.node.items() if key != "name"},
        "from": identity_of(start), "seconds": round(time.monotonic() - began, 1), "metrics": figures,
        "parameters": _count(loaded.model), "report": result.report, "checkpoint": str(step.folder / CHECKPOINT),
    }  # fmt: skip
    write_document(step.folder / STEP, document)
    shown = "  ".join(f"{name} {value:.4f}" for name, value in figures.items())
    print(f"step {step.name}: {document['parameters']:,} parameters; val {shown}", flush=True)
    return document


def _finished(step: Step, start: Path) -> dict[str, Any] | None:
    """What a finished run of this step wrote; None where there is none.

    Raises ConfigError where it was another step, or started from another checkpoint.
    """
    if not (step.folder / STEP).is_file():
        others = [path for path in step.folder.parent.glob(f"{step.number}_*/{STEP}")]
        if others:
            raise ConfigError(
                f"step {step.name}: {others[0].parent} is another step; delete it and those after it, or choose --out"
            )
        return None
    document: dict[str, Any] = json.loads((step.folder / STEP).read_text(encoding="utf-8"))
    before = {"name": document["name"], **document["arguments"]}
    if before != json.loads(json.dumps(step.node)):
        raise ConfigError(
            f"step {step.name} was {_told(before)} and now is {_told(step.node)}; delete {step.folder} and the "
            "folders after it, or choose another --out"
        )
    if document["from"] != identity_of(start):
        raise ConfigError(
            f"step {step.name} started from another checkpoint than {start}; delete {step.folder} and the folders "
            "after it, or choose another --out"
        )
    read_checkpoint(step.folder / CHECKPOINT)
    return document


def identity_of(checkpoint: Path) -> str:
    """What tells a checkpoint from others: its weights and its form."""
    manifest = read_checkpoint(checkpoint).manifest
    text = json.dumps([manifest["files"][MODEL], manifest["transforms"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _write(step: Step, loaded: Loaded, context: StepContext, result: Compressed, figures: Mapping[str, float]) -> None:
    """The step's checkpoint."""
    kept = {
        key: value for key, value in loaded.checkpoint.manifest.items() if key not in ("format", "files", "averaged")
    }
    commit = source_commit()
    learned = model_arrays(context.objective)
    manifest = {
        **kept, "versions": versions(), **({} if commit is None else {"commit": commit}), "metrics": dict(figures),
        "transforms": [*context.transforms, *result.transforms], "parameters": _count(loaded.model),
    }  # fmt: skip
    arrays = {MODEL: model_arrays(loaded.model), **({OBJECTIVE: learned} if learned else {})}
    texts = {CONFIG: dump(loaded.config), **vocabularies(loaded.parts)}
    write_checkpoint(step.folder / CHECKPOINT, arrays, texts, manifest)


def _check_rebuilt(step: Step, loaded: Loaded, context: StepContext) -> None:
    """Raises CompressError where the checkpoint does not give back the model that the step made."""
    again = load_checkpoint(step.folder / CHECKPOINT, plugins=loaded.config.get("plugins", []))
    for name, wanted in _answers(loaded.model, context).items():
        got = _answers(again.model, context)[name]
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        if got.shape != wanted.shape or float(np.abs(got - wanted).max(initial=0)) > TOLERANCE * scale:
            raise CompressError(f"its checkpoint does not give the same model back: '{name}' differs")


def _answers(model: Any, context: StepContext) -> dict[str, np.ndarray]:
    import paddle

    with paddle.no_grad():
        outputs = model(context.sample)
    return {name: outputs[name].numpy() for name in model.outputs}


def copy_checkpoint(checkpoint: Path, place: Path) -> None:
    """A second folder of the last step's checkpoint."""
    found = read_checkpoint(checkpoint)
    names = found.manifest["files"]
    arrays = {name: found.arrays(name) for name in names if name.endswith(".safetensors")}
    texts = {name: found.text(name) for name in names if not name.endswith(".safetensors")}
    write_checkpoint(place, arrays, texts, {k: v for k, v in found.manifest.items() if k not in ("format", "files")})


def _count(model: Any) -> int:
    return sum(int(parameter.size) for parameter in model.parameters())


def _told(node: Mapping[str, Any]) -> str:
    arguments = ", ".join(f"{key} {value}" for key, value in node.items() if key != "name")
    return f"{node['name']} ({arguments})" if arguments else str(node["name"])
