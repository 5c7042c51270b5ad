"""Export of a model that was trained with rounded numbers (the step ``qat``)."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppmm.app.checkpoints import Loaded
from ppmm.compress.int8_forms import fit_for_int8, layer_names
from ppmm.compress.trained_ranges import quantise_with_ranges
from ppmm.errors import ExportError
from ppmm.export.bundle import GraphWriter, graph_entry
from ppmm.models.layers.fake_quantised import fake_quantised_layers
from ppmm.types import FieldSpec

__all__ = ["check_options", "is_rounded", "leave_rounding_out", "trained_writer"]


def is_rounded(loaded: Loaded) -> bool:
    """Whether layers of the model round to 8 bits."""
    return bool(fake_quantised_layers(loaded.model))


def check_options(**options: Any) -> None:
    """Raises ExportError for options of calibration, of which there is none."""
    for name, value in options.items():
        if value:
            raise ExportError(
                f"--{name.replace('_', '-')} is for calibration; the ranges of this checkpoint were trained (qat). "
                "Leave it out, or name layers under keep in the step qat"
            )


def leave_rounding_out(loaded: Loaded, precision: str) -> str:
    """Let the model compute in float32 from now on, as its graph of another precision than INT8 will; returns that in
    words."""
    layers = fake_quantised_layers(loaded.model)
    for layer in layers.values():
        layer.quantiser.rounding = False
    words = (
        f"{len(layers)} layers were trained in 8 bits; this {precision} graph has their float32 weights without the "
        "rounding, so its figures are not those of the checkpoint; the parity gate compares it with the model without "
        "rounding. The graph that was trained is --precision int8"
    )
    print(words, file=sys.stderr)
    return words


def trained_writer(loaded: Loaded, report: dict[str, Any]) -> GraphWriter:
    """What writes the INT8 graph with the trained ranges; ``report`` takes what became of each layer."""
    ranges = {name: layer.quantiser.range() for name, layer in fake_quantised_layers(loaded.model).items()}

    def write(model: Any, specs: Mapping[str, FieldSpec], folder: Path, name: str) -> dict[str, Any]:
        fit_for_int8(model)
        names = layer_names(model)
        with tempfile.TemporaryDirectory(prefix="ppmm_fp32_") as scratch:
            entry = graph_entry(model, specs, Path(scratch), name, precision="int8", old_ir=True)
            files = [Path(scratch) / file for file in entry["files"]]
            places = {layer: weight for weight, layer in names.items()}
            here = {layer: bound for layer, bound in ranges.items() if f"{layer}.weight" in places}
            bounds = {places[f"{layer}.weight"]: bound for layer, bound in here.items()}
            done = quantise_with_ranges(files, bounds, folder / name, names)
        report[name] = done
        kept = [layer["name"] for layer in done["layers"] if layer["precision"] == "fp32"]
        left = ", ".join(f"{count} {kind}" for kind, count in done["fp32_operators"].items())
        print(
            f"int8 in {name}: {len(done['layers']) - len(kept)} operators with the ranges of training; in float32: "
            f"{', '.join(kept) or 'no other layer'}; operators: {left or 'none'}",
            file=sys.stderr,
        )
        entry["quantisation"] = {key: done[key] for key in ("algorithm", "rows")} | {"kept": kept}
        return entry

    return write
