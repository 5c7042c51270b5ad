"""The figures of `ppmm.runtime.benchmark` as a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ppmm.errors import ExportError

__all__ = ["plot", "table"]


def table(report: Mapping[str, Any]) -> str:
    """Text; the last column is the model's time over that of the fastest back end at the same batch and threads."""
    lines = [
        f"{report['bundle']} ({report['samples']} golden samples; preprocess includes reading and decoding)",
        "backend   threads batch     p50     p90     p99  samples/s  preprocess  collate    model  postprocess   ratio",
    ]
    best: dict[tuple[int, int], float] = {}
    for row in report["rows"]:
        key = (row["threads"], row["batch"])
        best[key] = min(best.get(key, float("inf")), row["stages_ms"]["model"])
    for row in report["rows"]:
        stages = row["stages_ms"]
        against = stages["model"] / best[row["threads"], row["batch"]]
        lines.append(
            f"{row['backend']:<9} {row['threads']:>7} {row['batch']:>5} {row['p50_ms']:>7.2f} {row['p90_ms']:>7.2f} "
            f"{row['p99_ms']:>7.2f} {row['samples_per_second']:>10.0f} {stages['preprocess']:>11.3f} "
            f"{stages['collate']:>8.3f} {stages['model']:>8.3f} {stages['postprocess']:>12.3f} {against:>7.2f}x"
        )
    for name, start in report["start"].items():
        lines.append(f"start {name}: {start['seconds']:.1f} s to the first answer, {start['memory_mb']:.0f} MB")
    return "\n".join(lines)


def plot(reports: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Stacked bars of the stages at each batch, one panel a bundle. Raises ExportError without matplotlib."""
    try:
        import matplotlib
    except ImportError as error:
        raise ExportError("--plot needs matplotlib, which a server's environment does not have; use .venv") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(reports), figsize=(1 + 5 * len(reports), 4), squeeze=False)
    for panel, report in zip(panels[0], reports, strict=True):
        names = [f"{row['backend']}\nbatch {row['batch']}, {row['threads']} t" for row in report["rows"]]
        bottom = [0.0] * len(names)
        for stage in ("preprocess", "collate", "model", "postprocess"):
            heights = [row["stages_ms"][stage] / row["batch"] for row in report["rows"]]
            panel.bar(names, heights, bottom=bottom, label=stage)
            bottom = [low + high for low, high in zip(bottom, heights, strict=True)]
        panel.set_title(Path(report["bundle"]).parent.name)
        panel.set_ylabel("ms per sample, median")
        panel.tick_params(axis="x", labelrotation=45)
    panels[0][0].legend()
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
