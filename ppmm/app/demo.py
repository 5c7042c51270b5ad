"""tools/demo.py: the commands that a user would type, one after the other, and one table at the end."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ppmm.app.compress_report import results_row
from ppmm.app.document import write_document
from ppmm.errors import PpmmError

__all__ = ["demo"]

DATA = Path("data/digits_qa")
CONFIG = "configs/quickstart.yaml"


def demo(out: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """Run every step, write ``<out>/quickstart/demo.json`` and print it as a table."""
    folder = out / "quickstart"
    best, bundle = str(folder / "checkpoints" / "best"), str(folder / "bundle")
    seconds: dict[str, float] = {}
    began = time.monotonic()

    def step(name: str, *command: str) -> str:
        start = time.monotonic()
        text = _run(command)
        seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - start, 1)
        return text

    step("data", "tools/data.py", "make", "digits-qa", "--out", str(DATA))
    step("train", "tools/train.py", "-c", CONFIG, "--overwrite", "-o", *overrides, f"output={out}", "name=quickstart")
    subsets, speaker = folder / "metrics_test.json", folder / "metrics_test_speaker.json"
    step("eval", "tools/eval.py", "-w", best, "--split", "test", "--subsets", "--out", str(subsets))
    step("eval", "tools/eval.py", "-w", best, "--split", "test_speaker", "--out", str(speaker))
    step("export", "deploy/export.py", "-w", best, "--out", bundle)
    small = folder / "compressed"
    step("compress", "tools/compress.py", "-c", CONFIG, "-w", best, "--out", str(small), "--overwrite",
         "-o", *overrides, f"output={out}", "name=quickstart")  # fmt: skip
    row = _example()
    sample = ["--image", row["image"], "--audio", row["audio"], "--text", row["question"]]
    answer = json.loads(step("predict", "deploy/predict.py", bundle, *sample))
    seconds["total"] = round(time.monotonic() - began, 1)
    figures = _figures(folder, subsets, speaker) | {"compressed": _compressed(small)}
    example = {"question": row["question"], "answer": answer["answer"], "expected": str(row["answer"])}
    example["probability"] = answer["probabilities"][answer["answer"]]
    figures.update({"predict_example": example, "seconds": seconds})
    write_document(folder / "demo.json", figures)
    print(table(figures))
    print(f"figures: {folder / 'demo.json'}   pictures: {folder / 'report.html'}")
    return figures


def _run(command: Sequence[str]) -> str:
    """Print and run one tool with this Python; its standard output is shown and returned."""
    print(f"\n$ python {shlex.join(command)}", flush=True)
    lines = []
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise PpmmError(f"python {shlex.join(command)} ended with exit code {process.returncode}")
    return "".join(lines)


def _example() -> dict[str, Any]:
    """The first test row that needs both the picture and the sound."""
    with (DATA / "test.jsonl").open(encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    row: dict[str, Any] = next(row for row in rows if row["kind"] == "sum" and row["language"] == "en")
    return {**row, "image": str(DATA / row["image"]), "audio": str(DATA / row["audio"])}


def _figures(folder: Path, subsets: Path, speaker: Path) -> dict[str, Any]:
    test = json.loads(subsets.read_text(encoding="utf-8"))
    by_drop = {tuple(entry["dropped"]): entry["metrics"]["accuracy"] for entry in test["results"]}
    unseen = json.loads(speaker.read_text(encoding="utf-8"))
    parity = json.loads((folder / "bundle" / "parity.json").read_text(encoding="utf-8"))
    return {
        "accuracy": by_drop[()],
        "accuracy_test_speaker": unseen["metrics"]["accuracy"],
        "dropped": {field: by_drop[(field,)] for field in ("image", "audio", "text")},
        "parity_max_abs": parity["max_abs"],
    }


def _compressed(folder: Path) -> dict[str, float]:
    """What compression has won: times faster at batch 1 than in Paddle Inference, times smaller, accuracy on val."""
    document = json.loads((folder / "compress_report.json").read_text(encoding="utf-8"))
    row = results_row(document, "quickstart", "make demo")
    return {
        "speedup": row["speedup_p50_paddle"], "size_ratio": row["size_ratio"],
        "accuracy_before": row["baseline"]["accuracy"], "accuracy": row["compressed"]["accuracy"],
    }  # fmt: skip


def table(figures: dict[str, Any]) -> str:
    """The result as a Markdown table."""
    small = figures["compressed"]
    rows = [
        ("test accuracy, all three modalities", f"{figures['accuracy']:.3f}"),
        *((f"without {field}", f"{value:.3f}") for field, value in figures["dropped"].items()),
        ("a speaker never heard in training", f"{figures['accuracy_test_speaker']:.3f}"),
        ("exported graph against model, largest difference", f"{figures['parity_max_abs']:.1e}"),
        ("compressed: accuracy on val, before and after", f"{small['accuracy_before']:.3f}, {small['accuracy']:.3f}"),
        (
            "compressed: INT8, against float32 in Paddle Inference",
            f"{small['speedup']:.1f}x faster, {small['size_ratio']:.1f}x smaller",
        ),
        *((f"seconds: {name}", f"{value:.0f}") for name, value in figures["seconds"].items()),
    ]
    example = figures["predict_example"]
    rows.append((f'"{example["question"]}"', f"{example['answer']} (expected {example['expected']})"))
    width = max(len(name) for name, _ in rows)
    lines = [f"| {'make demo':<{width}} | result |", f"|{'-' * (width + 2)}|--------|"]
    return "\n" + "\n".join([*lines, *(f"| {name:<{width}} | {value} |" for name, value in rows)])
