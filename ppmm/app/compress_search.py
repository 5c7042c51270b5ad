"""tools/compress.py --target: which share of each tower goes, and in which precision, so that a target is met.

A table of blocks (each tower pruned alone, trained for a moment, its graph raced against the dense one) predicts;
candidates are then built, trained by the steps of the YAML and measured as real graphs.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ppmm import environment
from ppmm.app.checkpoints import Loaded, load_checkpoint
from ppmm.app.claim import claim
from ppmm.app.compress import CHECKPOINT, check_out, compress, copy_checkpoint, identity_of
from ppmm.app.compress_context import StepContext
from ppmm.app.document import write_document
from ppmm.app.experiment import open_experiment, set_device
from ppmm.app.export import export_checkpoint
from ppmm.app.graph_race import Graph, race, variants_of
from ppmm.app.search_plot import write_search_plot
from ppmm.app.train import run_folder
from ppmm.compress.context import Training
from ppmm.compress.search import Block, Candidate, Goal, Outcome, Plan, pareto_front, read_goals
from ppmm.compress.steps.prune import PruneStep
from ppmm.config import ConfigNode, dump
from ppmm.config.node import plain
from ppmm.errors import CompressError, ConfigError, ExportError
from ppmm.export.onnx_graph import ONNX
from ppmm.runtime import Predictor
from ppmm.runtime.backends import Backend

__all__ = ["search", "towers_of"]

RATIOS = (0.25, 0.5, 0.75, 0.875)
FP32 = ("plain", "onednn", "onnx")
RECIPE = [{"name": "finetune", "epochs": 3}]
"""What trains a candidate where the YAML has no step but pruning."""


@dataclass
class Search:
    """One search.

    Args:
        path: the YAML.
        overrides: ``a.b.c=value``.
        folder: of the result.
        start: the checkpoint.
        rows: of val, that each measurement of the metric takes; None takes all.
        rounds: calls of each graph in a race.
        probe_steps: optimizer steps after which a block's loss is read.
    """

    path: str
    overrides: Sequence[str]
    folder: Path
    start: Path
    rows: int | None
    rounds: int
    probe_steps: int
    config: ConfigNode = field(init=False)
    dense: Loaded = field(init=False)

    def __post_init__(self) -> None:
        self.config = open_experiment(self.path, self.overrides)
        self.dense = load_checkpoint(self.start, self.config, self.config.get("plugins", []))
        self.threads = int(self.config.get("threads", 1))
        context = self.context(self.dense, "dense")
        specs = self.dense.parts.specs()
        self.inputs = {name: tensor.numpy()[:1] for name, tensor in context.sample.items() if name in specs}
        self.metric, self.sign = context.metric, 1.0 if context.higher else -1.0
        self.value = context.evaluate(self.dense.model, rows=self.rows)[self.metric]

    def context(self, loaded: Loaded, name: str) -> StepContext:
        """What a step in a folder of the table may ask for."""
        folder = self.folder / "table" / name
        folder.mkdir(parents=True, exist_ok=True)
        return StepContext(self.path, self.overrides, loaded, folder, self.start)

    def graphs(self, model: Any, folder: Path) -> dict[str, Graph]:
        """A model's graphs by back end; their files go to ``folder``."""
        folder.mkdir(parents=True)
        return variants_of(model, self.dense.parts.specs(), folder, self.threads, bf16=False)

    def drop(self, figures: Mapping[str, float]) -> float:
        """What a figure has lost."""
        return self.sign * (self.value - figures[self.metric])


def search(
    path: str,
    weights: str,
    targets: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    out: str | None = None,
    max_drop: float = 1.0,
    trials: int = 6,
    rows: int | None = None,
    rounds: int = 40,
    probe_steps: int = 30,
    resume: bool = False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Find and write the checkpoint that meets the targets with the smallest loss; returns ``search.json``.

    Args:
        path: the YAML; the steps of its ``compress`` beside pruning train each candidate.
        weights: the checkpoint to compress.
        targets: such as ``latency=5ms``, ``speedup=4x``, ``size=8x``: of the graph at batch 1, with the YAML's threads,
            against the dense model on its best float32 back end. All must be met.
        overrides: ``a.b.c=value``.
        out: folder; ``<output>/<name>/search`` when None.
        max_drop: largest loss of the monitored figure on val, in hundredths of its unit (points).
        trials: candidates that are trained at most.
        rows: of val for the table's figures; all when None. Candidates are measured on all.
        rounds: calls of each graph in a race.
        probe_steps: optimizer steps after which the table reads what a pruned tower costs.
        resume: go on with the table and the candidates that are there.
        overwrite: delete them.

    Raises CompressError, naming the best that was found, where the targets cannot be met so.
    """
    goals = read_goals(targets)
    if trials < 1 or rounds < 1 or probe_steps < 1 or not max_drop >= 0:
        raise ConfigError("--trials, --rounds and --probe-steps must be at least 1, --max-drop at least 0")
    config = open_experiment(path, overrides)
    set_device(config)
    folder = run_folder(config) / "search" if out is None else Path(out)
    check_out(folder, weights, resume, overwrite)
    with claim(folder):
        (folder / "config.yaml").write_text(dump(config), encoding="utf-8")
        this = Search(path, overrides, folder, Path(weights), rows, rounds, probe_steps)
        plan = _plan(this)
        limits = [goal.limits(plan.latency, plan.size) for goal in goals]
        most = min(latency for latency, _ in limits), min(size for _, size in limits)
        outcomes, chosen = _try(this, plan, *most, max_drop / 100, trials)
        document = _document(this, plan, goals, max_drop, outcomes, chosen)
        write_document(folder / "search.json", document)
        write_search_plot(folder / "search.svg", plan, outcomes, chosen, this.metric)
        print(f"table, candidates and front: {folder}/search.{{json,svg}}")
        if chosen is None:
            raise CompressError(_unmet(plan, goals, outcomes, max_drop))
        copy_checkpoint(_trial_folder(this, chosen.ratios) / CHECKPOINT, folder / CHECKPOINT)
    print(f"chosen: {_told(plan, chosen)}\ncheckpoint: {folder / CHECKPOINT}")
    return document


def towers_of(model: Any) -> dict[str, str]:
    """Name of each tower -> the pattern of its layers: each encoder, and what joins them."""
    parts = dict(model.named_children())
    towers = {}
    for name, part in parts.items():
        if not part.parameters():
            continue
        inside = dict(part.named_children()) if name == "encoders" else {}
        towers.update({field: f"{name}.{field}*" for field in inside} or {name: f"{name}*"})
    return towers


def _plan(this: Search) -> Plan:
    """The table of blocks, each measured once."""
    towers = towers_of(this.dense.model)
    dense, size = _raced(this, this.dense.model, None)
    latency = _best_of(dense)
    table: dict[str, dict[float, Block]] = {}
    for tower, pattern in towers.items():
        for ratio in RATIOS:
            block = _block(this, tower, pattern, ratio, latency, size)
            if block is not None:
                table.setdefault(tower, {})[ratio] = block
    factors = {"fp32": (1.0, 1.0)}
    for precision in _low_precisions():
        factors[precision] = _factor(this, precision, latency, size)
    return Plan(list(table), table, latency, size, factors)


def _block(this: Search, tower: str, pattern: str, ratio: float, latency: float, size: float) -> Block | None:
    """One entry of the table, or what an earlier run wrote of it; None where nothing of the tower can go."""
    loaded = load_checkpoint(this.start, this.config, this.config.get("plugins", []))
    context = this.context(loaded, f"{tower}_{ratio:g}")
    file = context.folder / "block.json"
    key = [identity_of(this.start), this.rows, this.probe_steps, pattern, ratio]
    if file.is_file():
        known = json.loads(file.read_text(encoding="utf-8"))
        if known["key"] == key:
            return None if known["block"] is None else Block(**known["block"])
        shutil.rmtree(context.folder)
        context.folder.mkdir()
    block: Block | None = None
    with contextlib.suppress(CompressError):
        result = PruneStep(ratios={pattern: ratio}).apply(loaded.model, context)
        pair, bytes_left = _raced(this, loaded.model, this.dense.model)
        with contextlib.redirect_stderr(io.StringIO()):
            context.train(loaded.model, Training(max_steps=this.probe_steps), result.transforms)
        drop = this.drop(context.evaluate(loaded.model, rows=this.rows))
        share = _best_of(pair) / _best_of(pair, "dense ")
        block = Block(latency * (1 - share), size - bytes_left, max(0.0, drop))
    write_document(file, {"key": key, "block": None if block is None else asdict(block)})
    shutil.rmtree(context.folder / "run", ignore_errors=True)
    told = "nothing can go" if block is None else f"saves {block.saved_ms:.2f} ms, loses {block.drop:.4f} at first"
    print(f"table: {tower} without {ratio:.1%}: {told}", file=sys.stderr, flush=True)
    return block


def _raced(this: Search, model: Any, against: Any | None) -> tuple[dict[str, float], float]:
    """Median ms by back end, those of ``against`` with ``dense`` before the name, and the bytes of the graph."""
    with tempfile.TemporaryDirectory(prefix="ppmm_race_") as name:
        graphs = this.graphs(model, Path(name) / "own")
        if against is not None:
            graphs |= {f"dense {key}": graph for key, graph in this.graphs(against, Path(name) / "dense").items()}
        times = race(graphs, this.inputs, this.rounds)
        medians = {key: float(np.median(values)) for key, values in times.items()}
        size = _size(Path(name) / "own", _fastest(medians))
    return medians, size


def _size(folder: Path, backend: str) -> float:
    """Bytes of graph and weights that a back end reads."""
    files = [file for file in folder.iterdir() if file.name.startswith("main.")]
    return float(sum(file.stat().st_size for file in files if (file.name == ONNX) == (backend == "onnx")))


def _fastest(times: Mapping[str, float], before: str = "") -> str:
    """The fastest float32 back end."""
    return min((name for name in FP32 if before + name in times), key=lambda name: times[before + name])


def _best_of(times: Mapping[str, float], before: str = "") -> float:
    """The median of that."""
    return times[before + _fastest(times, before)]


def _factor(this: Search, precision: str, latency: float, size: float) -> tuple[float, float]:
    """Latency and size of the dense model in a low precision as shares of float32; infinite where it has none."""
    found = _exported(this, this.start, precision, this.folder / "table" / precision, this.dense.model)
    return (float("inf"), float("inf")) if found is None else (found[0] / latency, found[1] / size)


def _exported(
    this: Search, checkpoint: Path, precision: str, folder: Path, model: Any
) -> tuple[float, float, float] | None:
    """Latency in ms, bytes and loss of the metric against the same in float32; None where export refuses."""
    file = folder.with_suffix(".json")
    key = identity_of(checkpoint)
    if file.is_file() and (known := json.loads(file.read_text(encoding="utf-8")))["key"] == key:
        found = known["found"]
        return None if found is None else (found[0], found[1], found[2])
    measured: tuple[float, float, float] | None = None
    try:
        backends: list[Backend] = ["onednn", "onnx"] if precision == "int8" else ["onednn"]
        onnx = "onnx" in backends
        report = export_checkpoint(str(checkpoint), str(folder), precision=precision, onnx=onnx, towers=False)
        graphs: dict[str, Graph] = {
            name: Predictor(folder, backend=name, threads=this.threads, self_test=False).graph for name in backends
        }
        times = {name: float(np.median(values)) for name, values in race(graphs, this.inputs, this.rounds).items()}
        fastest = min(times, key=times.__getitem__)
        gate = report["metric_onnx" if fastest == "onnx" else "metric"]
        measured = times[fastest], _size(folder, fastest), float(gate.get("worst_drop", 0.0))
    except (CompressError, ExportError) as error:
        print(f"{precision}: {error}", file=sys.stderr)
    write_document(file, {"key": key, "found": None if measured is None else list(measured)})
    return measured


def _low_precisions() -> list[str]:
    """Those for which this processor has instructions."""
    processor = environment.cpu()
    return [name for name, has in (("bf16", processor.bf16), ("int8", processor.vnni)) if has]


def _try(
    this: Search, plan: Plan, max_latency: float, max_size: float, max_drop: float, trials: int
) -> tuple[list[Outcome], Outcome | None]:
    """Build candidates until one meets all; what was measured, and that one."""
    outcomes: list[Outcome] = []
    for number in range(1, trials + 1):
        tried = [outcome.ratios for outcome in outcomes]
        candidate = plan.next(max_latency, max_size, tried)
        if candidate is None and not outcomes:
            print("table: nothing is predicted to meet the target; the smallest is tried", file=sys.stderr)
            candidate = plan.smallest(tried)
        if candidate is None:
            break
        print(f"candidate {number} of {trials} at most: {_shares(plan, candidate)}", file=sys.stderr, flush=True)
        found = _built(this, plan, candidate)
        for outcome in found:
            plan.learn(outcome)
            print(f"candidate {number}: {_told(plan, outcome)}", flush=True)
        outcomes += found
        good = [one for one in found if one.latency <= max_latency and one.size <= max_size and one.drop <= max_drop]
        if good:
            return outcomes, min(good, key=lambda one: (one.drop, one.latency))
    return outcomes, None


def _trial_folder(this: Search, ratios: Sequence[float]) -> Path:
    return this.folder / ("trial_" + "_".join(f"{ratio:g}" for ratio in ratios))


def _built(this: Search, plan: Plan, candidate: Candidate) -> list[Outcome]:
    """Prune, train and measure a candidate in every precision."""
    towers = towers_of(this.dense.model)
    shares = {towers[tower]: ratio for tower, ratio in zip(plan.towers, candidate.ratios, strict=True) if ratio > 0}
    recipe = [node for node in map(plain, this.config.get("compress", [])) if "prune" not in node["name"]] or RECIPE
    first = [{"name": "prune", "ratios": shares}] if shares else []
    steps = json.dumps([*first, *recipe])
    folder = _trial_folder(this, candidate.ratios)
    report = compress(this.path, str(this.start), [*this.overrides, f"compress={steps}"], out=str(folder), resume=True)
    drop = this.drop(report["steps"][-1]["metrics"])
    model = load_checkpoint(folder / CHECKPOINT, plugins=this.config.get("plugins", [])).model
    times, size = _raced(this, model, this.dense.model)
    scale = plan.latency / _best_of(times, "dense ")  # noise that hits both alike
    outcomes = [Outcome(candidate.ratios, "fp32", scale * _best_of(times), size, drop)]
    for precision in _low_precisions():
        if plan.factors[precision][0] < float("inf"):
            found = _exported(this, folder / CHECKPOINT, precision, folder / precision, model)
            if found is not None:
                outcomes.append(Outcome(candidate.ratios, precision, found[0], found[1], drop + found[2]))
    return outcomes


def _document(
    this: Search,
    plan: Plan,
    goals: Sequence[Goal],
    max_drop: float,
    outcomes: Sequence[Outcome],
    chosen: Outcome | None,
) -> dict[str, Any]:
    return {
        "checkpoint": str(this.start), "targets": [asdict(goal) for goal in goals], "max_drop": max_drop,
        "metric": this.metric, "threads": this.threads,
        "dense": {"latency_ms": plan.latency, "bytes": plan.size, this.metric: this.value},
        "towers": plan.towers,
        "table": {
            tower: {str(ratio): asdict(block) for ratio, block in blocks.items()}
            for tower, blocks in plan.table.items()
        },
        "precisions": {name: list(shares) for name, shares in plan.factors.items()},
        "outcomes": [asdict(one) for one in outcomes],
        "front": [asdict(one) for one in pareto_front(outcomes)] if outcomes else [],
        "chosen": None if chosen is None else asdict(chosen),
    }  # fmt: skip


def _shares(plan: Plan, one: Candidate | Outcome) -> str:
    parts = [f"{tower} {ratio:g}" for tower, ratio in zip(plan.towers, one.ratios, strict=True) if ratio > 0]
    return ", ".join(parts) or "nothing pruned"


def _told(plan: Plan, one: Outcome) -> str:
    return (
        f"{one.precision} {one.latency:.2f} ms ({plan.latency / one.latency:.2f}x faster), {one.size / 1e6:.2f} MB "
        f"({plan.size / one.size:.1f}x smaller), {100 * one.drop:.2f} points lost; {_shares(plan, one)}"
    )


def _unmet(plan: Plan, goals: Sequence[Goal], outcomes: Sequence[Outcome], max_drop: float) -> str:
    wanted = ", ".join(f"{goal.name}={goal.value:g}{goal.unit}" for goal in goals)
    if not outcomes:
        return f"--target {wanted}: nothing of this model can be pruned"
    found = "; ".join(_told(plan, one) for one in pareto_front(outcomes)[:3])
    return f"--target {wanted} is not met with at most {max_drop:g} points lost; the best found: {found}"
