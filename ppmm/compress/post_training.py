"""Post-training quantisation of an exported graph: ranges measured on calibration batches, no training."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.compress.old_ir_process import run_worker
from ppmm.errors import CompressError

__all__ = ["ALGORITHMS", "PostTraining", "quantise_graph"]

Algorithm = Literal["abs_max", "avg", "hist", "KL", "mse"]
ALGORITHMS: tuple[Algorithm, ...] = ("abs_max", "avg", "hist", "KL", "mse")


@dataclass(frozen=True)
class PostTraining:
    """How ranges are found and what is quantised.

    Args:
        algorithm: of the range of each activation: its largest absolute value (``abs_max``), the mean of those of the
            batches (``avg``), the 99.999 % quantile (``hist``), the range that changes the distribution least (``KL``,
            as in TensorRT) or that gives the least squared error (``mse``).
        per_channel: a scale for each output channel of a weight, else one for the whole.
        bias_correction: correct mean and variance of quantised weights (Banner et al. 2019, section 4.2).
        keep: layers that stay in float32, by the name of their weight in the model.
        keep_worst: how many more stay so: those that, quantised alone, change the outputs most.
        measure: whether to measure that of every layer even where ``keep_worst`` is 0.
    """

    algorithm: Algorithm = "hist"
    per_channel: bool = True
    bias_correction: bool = False
    keep: tuple[str, ...] = ()
    keep_worst: int = 0
    measure: bool = False

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise CompressError(f"no calibration named '{self.algorithm}'; there is {', '.join(ALGORITHMS)}")
        if self.keep_worst < 0:
            raise CompressError(f"layers to keep in float32 must be at least 0, got {self.keep_worst}")


def quantise_graph(
    files: Sequence[Path],
    batches: Sequence[Mapping[str, np.ndarray]],
    prefix: Path,
    options: PostTraining,
    names: Mapping[str, str],
) -> dict[str, Any]:
    """Write the INT8 form of a float32 graph as ``<prefix>.pdmodel`` and ``<prefix>.pdiparams``.

    Args:
        files: graph (``.pdmodel``: the old IR) and weights.
        batches: calibration, the graph's inputs by name.
        prefix: of the new files.
        options: what to do.
        names: the layers' names in the model by those of their weights in the graph, for the report and for ``keep``.

    Returns the report: ``layers`` (name, operator, precision, and where it was measured ``error``: the mean squared
    change of the outputs as a share of their variance when it alone is quantised), ``fp32_operators`` (how many of
    each kind stay), ``batches``, ``rows``, ``algorithm``.
    Raises CompressError when there is nothing to calibrate on or nothing to quantise, or a layer to keep is unknown.
    """
    if not batches:
        raise CompressError(
            "the calibration set is empty: quantisation measures the ranges of activations on real rows"
        )
    with tempfile.TemporaryDirectory(prefix="ppmm_int8_") as name:
        folder = Path(name)
        calibration = []
        for number, batch in enumerate(batches):
            calibration.append(str(folder / f"batch_{number}.npz"))
            np.savez(calibration[-1], **{key: np.asarray(value) for key, value in batch.items()})
        request = {
            "task": "post_training",
            "files": [str(path) for path in files],
            "calibration": calibration,
            "prefix": str(prefix),
            "names": dict(names),
            "options": asdict(options),
            "report": str(folder / "report.json"),
        }
        run_worker(request, folder)
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return {"algorithm": options.algorithm, "per_channel": options.per_channel, **report}
