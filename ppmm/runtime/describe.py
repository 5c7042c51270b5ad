"""A bundle in words: its model card, and what deploy/describe.py prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.runtime.bundle import Bundle

__all__ = ["describe"]

SHOWN_LABELS = 12
HOW_TO_GIVE = {
    "image": "image file (PNG, JPEG, WebP, BMP)",
    "audio": "sound file (WAV, FLAC, OGG, MP3)",
    "text": "text",
    "numeric": "list of numbers",
    "tokens": "list of tokens",
}


def describe(bundle: Bundle) -> str:
    """Markdown: inputs, outputs, preprocessing, graphs, sizes, history, agreement, and how to ask it."""
    document = bundle.document
    history = document.get("history", {})
    parts = [
        f"# {history.get('name', bundle.folder.name)}",
        "A bundle of ppmm: static graphs, their weights, the preprocessing, the labels and the proof that they answer "
        "as the trained model does. Every file is hashed in `bundle.yaml`; a changed one is refused.",
        "## Inputs\n\n" + _inputs(bundle),
        "A sample may lack any of them, not all.",
        "## Answers\n\n" + _answers(bundle),
        "## Graphs\n\n" + _graphs(bundle),
        "## Agreement with the trained model\n\n" + _agreement(bundle),
        "## History\n\n" + _history(history, document["versions"]),
        "## Preprocessing\n\n" + "\n".join(f"- `{name}`: {_node(node)}" for name, node in _preprocessing(document)),
        "## Use\n\n" + _use(bundle),
    ]
    return "\n\n".join(parts) + "\n"


def _inputs(bundle: Bundle) -> str:
    rows = [(name, field.kind, HOW_TO_GIVE.get(field.kind, field.kind)) for name, field in bundle.fields.items()]
    return _table(("field", "kind", "given as"), rows)


def _answers(bundle: Bundle) -> str:
    rows = []
    for name, entry in bundle.document["targets"].items():
        labels = [str(label) for label in entry["labels"]]
        more = f", ... ({len(labels)} in all)" if len(labels) > SHOWN_LABELS else ""
        rows.append((name, entry.get("kind", "label"), ", ".join(labels[:SHOWN_LABELS]) + more or "a number"))
    embeds = sorted(
        {
            output["name"]
            for graph in bundle.document["graphs"].values()
            for output in graph["outputs"]
            if output["name"].endswith("_embed")
        }
    )
    rows += [(name, "embedding", "direction in the shared space") for name in embeds]
    return _table(("name", "kind", "values"), rows)


def _graphs(bundle: Bundle) -> str:
    rows = []
    for name, graph in bundle.document["graphs"].items():
        files = [*graph["files"], *filter(None, [graph.get("onnx")])]
        sizes = ", ".join(f"{file} {_size(bundle.folder / file)}" for file in files)
        inputs = ", ".join(f"{each['name']} {_shape(each['shape'])} {each['dtype']}" for each in graph["inputs"])
        outputs = ", ".join(output["name"] for output in graph["outputs"])
        rows.append((name, graph["precision"], inputs, outputs, sizes))
    return _table(("graph", "precision", "inputs", "outputs", "files"), rows)


def _agreement(bundle: Bundle) -> str:
    path = bundle.folder / "parity.json"
    if not path.is_file():
        return "Not recorded."
    report = json.loads(path.read_text(encoding="utf-8"))
    lines = [f"Compared on {report['samples']} real samples, mixed, one by one, and without each field."]
    if "tolerance" in report:
        lines.append(f"Largest difference {report['max_abs']:.2g} (at most {report['tolerance']:g} allowed).")
    if "min_cosine" in report:
        lines.append(f"Least cosine {report['min_cosine']:.4f} (at least {report['least_cosine']:g} asked).")
    gate = report.get("metric")
    if gate and gate.get("metric"):
        rows = [
            (fields, f"{entry['model']:.4f}", f"{entry['graph']:.4f}", f"{entry['drop']:+.4f}")
            for fields, entry in gate["fields"].items()
        ]
        lines.append("\n" + _table(("fields", f"{gate['metric']} of the model", "of the graph", "lost"), rows))
    return "\n".join(lines)


def _history(history: Mapping[str, Any], versions: Mapping[str, Any]) -> str:
    lines = [f"- data: {', '.join(f'{split} {name}' for split, name in history.get('data', {}).items()) or 'unknown'}"]
    lines.append(f"- trained for {history.get('step', '?')} steps, {history.get('parameters', 0):,} parameters")
    figures = {name: value for name, value in (history.get("metrics") or {}).items() if isinstance(value, int | float)}
    if figures:
        lines.append("- on validation: " + ", ".join(f"{name} {value:.4f}" for name, value in figures.items()))
    steps = [record["name"] for record in history.get("transforms") or []]
    lines.append(f"- changes of the model, compression included: {', '.join(steps) or 'none'}")
    lines.append("- versions: " + ", ".join(f"{name} {version}" for name, version in versions.items()))
    return "\n".join(lines)


def _preprocessing(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    return list(document["preprocessing"].items())


def _node(node: Any) -> str:
    """A config node in a line: name(argument=value, ...)."""
    if isinstance(node, Mapping) and "name" in node:
        arguments = ", ".join(f"{key}={_node(value)}" for key, value in node.items() if key != "name")
        return f"{node['name']}({arguments})"
    if isinstance(node, list):
        return "[" + ", ".join(_node(item) for item in node) + "]"
    return str(node)


def _use(bundle: Bundle) -> str:
    given = {"image": "picture.png", "audio": "sound.wav", "text": "..."}
    options = " ".join(
        f"--{name} {given[name]}" if name in given else f"--field {name}=..." for name in list(bundle.fields)
    )
    return (
        f"```\npython deploy/predict.py BUNDLE {options}\npython deploy/serve.py BUNDLE\n```\n\n"
        "```python\nfrom ppmm.runtime import Predictor\n\n"
        'predictor = Predictor("BUNDLE", backend="auto")\n'
        f"predictor.predict([{{{', '.join(f'{name!r}: ...' for name in bundle.fields)}}}])\n```"
    )


def _shape(shape: Sequence[int | None]) -> str:
    return "[" + ",".join("?" if side is None else str(side) for side in shape) + "]"


def _size(path: Path) -> str:
    size = path.stat().st_size
    return f"{size / 1e6:.2f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells)
