"""Reading a bundle folder: nothing in it is trusted before its hash is right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ppmm.config import build, loads
from ppmm.decode.answers import ANSWERED_KINDS
from ppmm.errors import ConfigError, DataError, ExportError
from ppmm.hashing import file_sha256, unseal
from ppmm.runtime.golden import Golden, read_golden
from ppmm.types import Field

__all__ = ["Bundle", "read_bundle"]

FORMAT = 2
"""1 had no golden samples, and INT8 graphs of it hold wrong weight ranges."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: where it lies.
        document: bundle.yaml.
        fields: the preprocessing objects, by field.
        golden: real samples with the trained model's answers; None where it was exported without.
        digest: SHA-256 of bundle.yaml, which has those of all files.
    """

    folder: Path
    document: dict[str, Any]
    fields: dict[str, Field]
    golden: Golden | None
    digest: str

    def graph(self, name: str) -> dict[str, Any]:
        """The entry of one graph. Raises ExportError naming those that there are."""
        graphs = self.document["graphs"]
        if name not in graphs:
            raise ExportError(f"{self.folder} has no graph '{name}'; it has {', '.join(graphs)}")
        entry: dict[str, Any] = graphs[name]
        return entry


def read_bundle(folder: Path) -> Bundle:
    """Read, verify and build. Raises ExportError that says what is wrong with the bundle."""
    path = folder / "bundle.yaml"
    if not path.is_file():
        raise ExportError(f"{folder} is not a bundle: it has no bundle.yaml; make one with deploy/export.py")
    body = unseal(path.read_text(encoding="utf-8", errors="replace"))
    if body is None:
        raise ExportError(f"{path} was changed after the export: its hash is not the one in its last line")
    try:
        document = loads(body, file=str(path))
        version, files, preprocessing = document["format"], document["files"], document["preprocessing"]
        if version != FORMAT:
            raise ExportError(
                f"{folder} has bundle format {version}; this version of ppmm reads {FORMAT}; export it again"
            )
        _verify(folder, files)
        for graph in document["graphs"].values():
            named = {*graph["files"], *filter(None, [graph.get("onnx")])}
            if not named <= set(files) or not graph["files"]:
                raise ExportError(f"{path} names graph files without a hash: {', '.join(map(str, named))}")
        for target in document["targets"].values():
            if not isinstance(target["output"], str) or not isinstance(target["labels"], list):
                raise ExportError(f"{path}: a target needs an output and labels")
            limits = target.get("thresholds")
            if limits is not None and (len(limits) != len(target["labels"]) or not all(0 < p < 1 for p in limits)):
                raise ExportError(f"{path}: thresholds must be a probability for each of the labels")
            if target.get("kind", "label") not in ANSWERED_KINDS:
                raise ExportError(f"{path}: a target of the kind {target['kind']} is unknown to this version of ppmm")
        fields: dict[str, Field] = build(preprocessing, dict[str, Field])
        for field in fields.values():
            field.load_assets(folder)
    except (ConfigError, DataError, KeyError, AttributeError, TypeError) as error:
        raise ExportError(f"{path} cannot be used: {error}") from error
    return Bundle(folder, document, fields, read_golden(folder, list(files)), file_sha256(path))


def _verify(folder: Path, files: dict[str, str]) -> None:
    for name, digest in files.items():
        if Path(name).name != name:
            raise ExportError(f"{folder}/bundle.yaml names a file outside the bundle: {name}")
        if not (folder / name).is_file():
            raise ExportError(f"{folder} is incomplete: {name} is missing; export it again")
        if file_sha256(folder / name) != digest:
            raise ExportError(f"{folder / name} was changed after the export: its hash is not the one in bundle.yaml")
