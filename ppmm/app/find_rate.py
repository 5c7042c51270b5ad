"""tools/find.py lr: the learning-rate range test of a YAML, with a picture and a suggestion."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ppmm.app.document import write_document
from ppmm.app.experiment import open_experiment
from ppmm.config import ConfigNode
from ppmm.engine.rate_finder import LEAST, RateCurve, groups_of, range_test, steepest
from ppmm.errors import ConfigError, PpmmError
from ppmm.optim.exponential_ramp import ExponentialRamp

__all__ = ["find_rate", "output_folder", "ramp_of"]

RULE = "steepest descent of the loss over the logarithm of the rate (Gugger 2018)"


def find_rate(
    path: str,
    overrides: Sequence[str] = (),
    *,
    start: float = 1e-6,
    stop: float = 1.0,
    steps: int = 100,
    out: str | None = None,
) -> float:
    """Print and return the suggested rate; write ``rate.json`` and ``rate.svg``.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        start: the first rate.
        stop: the last one.
        steps: optimizer steps between them; epochs repeat where the training data is smaller.
        out: folder of the two files; ``output/find/<name>`` by default.

    Raises:
        ConfigError: a wrong YAML or range, or a model without a parameter that can be trained.
        PpmmError: the loss does not fall anywhere in the range; the files are written all the same.
    """
    from ppmm.app.trial_run import trial_trainer
    from ppmm.data.curate.table_writer import write_text

    _check_range(start, stop, steps)
    config = open_experiment(path, overrides)
    folder = output_folder(config, out)
    schedule = ExponentialRamp(start / stop)
    ramp = open_experiment(path, [*overrides, *ramp_of(start, stop, steps)])
    with trial_trainer(ramp) as trainer:
        rates = [stop * schedule(number, trainer.total_steps) for number in range(steps)]
        groups = groups_of(trainer.loader, trainer.accumulate)
        curve = range_test(trainer.step, groups, rates, note=_note(steps))
    suggestion = steepest(curve)
    command = [f"python tools/train.py -c {path}"]
    if overrides:
        command.append(f"-o {shlex.join(overrides)}")
    if suggestion is not None:
        suggestion = float(f"{suggestion:.2g}")
        command.append(f"-o optimizer.learning_rate={suggestion:g}")
    document = {
        "config": path, "overrides": list(overrides), "suggestion": suggestion, "rule": RULE,
        "diverged": curve.diverged, "rates": curve.rates, "losses": curve.losses, "smoothed": curve.smoothed,
    }  # fmt: skip
    write_document(folder / "rate.json", document)
    write_text(folder / "rate.svg", picture(curve, suggestion, config["name"]))
    ended = "the loss diverged at" if curve.diverged is not None else "no divergence up to"
    print(f"{len(curve.rates)} steps from {start:g}: {ended} {curve.diverged or stop:.3g}")
    print(f"picture and figures: {folder}/rate.{{svg,json}}")
    if suggestion is None:
        raise PpmmError(
            f"the loss does not fall between {curve.rates[0]:g} and {curve.rates[-1]:g}, so no rate is suggested: give "
            "more --steps or another --from and --to, or see whether the data can be learned"
        )
    print(f"suggested learning rate: {suggestion:g}, by {RULE}")
    print(f"next: {' '.join(command)}")
    return suggestion


def ramp_of(start: float, stop: float, steps: int) -> list[str]:
    """The overrides that turn an experiment into a range test."""
    return [
        f"optimizer.learning_rate={stop!r}",
        f"schedule={{name: exponential_ramp, start: {start / stop!r}}}",
        f"trainer.max_steps={steps}",
        f"trainer.epochs={steps}",  # each has a step at least
    ]


def output_folder(config: ConfigNode, out: str | None) -> Path:
    """Where the files of a finder go. Raises ConfigError for the folder of a run, which is never changed."""
    folder = Path(out) if out is not None else Path(config.get("output", "output")) / "find" / config["name"]
    if (folder / "history.jsonl").exists() or (folder.exists() and not folder.is_dir()):
        raise ConfigError(f"--out {folder}: a run or a file, which is left alone; name another folder")
    return folder


def _check_range(start: float, stop: float, steps: int) -> None:
    if not 0 < start < stop < math.inf:
        raise ConfigError(f"--from {start:g} --to {stop:g}: needs 0 < from < to")
    if steps < LEAST:
        raise ConfigError(f"--steps {steps}: a curve needs at least {LEAST}")


def _note(steps: int) -> Callable[[int, float, float], None]:
    def note(number: int, rate: float, loss: float) -> None:
        if number % max(1, steps // 10) == 0:
            print(f"step {number + 1}/{steps} rate {rate:.2e} loss {loss:.4f}", file=sys.stderr, flush=True)

    return note


def picture(curve: RateCurve, suggestion: float | None, name: str) -> str:
    """SVG: the loss of each step, the smoothed loss, the suggested rate and where the loss diverged."""
    import io

    from ppmm.app.report_figures import matplotlib_style

    top = 1.5 * max(curve.losses[: max(1, len(curve.losses) // 10)]) - 0.5 * min(curve.losses)
    with matplotlib_style():
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, NullFormatter

        figure = Figure(figsize=(7.0, 4.0), facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        axes.plot(curve.rates, curve.losses, ".", color="#7aa6c2", markersize=4, label="loss of a step")
        axes.plot(curve.rates, curve.smoothed, color="#1f3b4d", linewidth=1.8, label="smoothed")
        if suggestion is not None:
            axes.axvline(suggestion, color="#b5432a", linewidth=1.2, label=f"suggested: {suggestion:g}")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        if min(curve.losses) < top:
            axes.set_ylim(top=min(top, max(curve.losses) + 0.05 * abs(top)))
        axes.set_xlabel("learning rate")
        axes.set_ylabel("training loss")
        axes.set_title(f"range test of {name}")
        axes.grid(True)
        axes.legend(frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
