"""tools/bench.py train: the trainer against a bare Paddle loop, and what standard models reach on this machine."""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import paddle
from paddle import Tensor

from ppmm import environment
from ppmm.app.bench_models import CASES, Case
from ppmm.app.document import write_document
from ppmm.engine.history import History
from ppmm.engine.hooks import HookBase
from ppmm.engine.progress import Progress
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Trainer
from ppmm.engine.weights import trained_parameters
from ppmm.models.flops import count_flops
from ppmm.optim.optimizers import AdamW
from ppmm.types import Batch

__all__ = ["bench_train"]

GOAL = 1.02
"""At most so much of the bare loop's time."""
SIDE = 1024
"""Of the square matrices whose product tells the machine's peak."""
BACKWARD = 3
"""Forward and backward pass cost three times the forward pass: a product has two factors to give gradients to."""


def bench_train(out: Path | None = None, *, quick: bool = False, threads: int = 1) -> dict[str, Any]:
    """Train each standard model by the trainer and by a bare loop in turns; print and return what was measured.

    Both loops train the same weights on the same batches and end with the same weights, bit for bit, else it raises.
    The trainer is the real one: its step, history and progress; data loading is in neither.

    Args:
        out: path of a JSON file.
        quick: smaller batches and fewer rounds.
        threads: of Paddle's products.

    Returns:
        ``models``: for each its ``samples_per_second``, ``flops`` of a step (two for a multiply-add), ``gflops``
        reached, ``peak`` (share of ``peak_gflops``), ``ratio`` of the trainer's time to the bare loop's (median of
        the rounds), ``ratios`` of every round, and ``cpu_ratio``, ``cpu_ratios``, the same by processor time;
        ``ratio``, ``cpu_ratio``: the medians over all rounds of all models.
    """
    environment.set_threads(threads)
    document: dict[str, Any] = {
        "goal": GOAL, "threads": threads, "quick": quick, "cpu": environment.cpu().model, "load": os.getloadavg()[0],
        "models": {},
    }  # fmt: skip
    for case in CASES:
        found = _measured(case, quick)
        document["models"][case.name] = found
        print(
            f"{case.name:<16} {found['samples_per_second']:8.1f} samples/s, {found['gflops']:6.1f} of "
            f"{found['peak_gflops']:.0f} GFLOP/s ({100 * found['peak']:.0f} % of the matmul peak); "
            f"trainer / bare loop {found['ratio']:.3f} by the clock, {found['cpu_ratio']:.3f} by CPU time "
            f"({found['rounds']} rounds of {found['steps']} steps)",
            flush=True,
        )
    for name in ("ratio", "cpu_ratio"):
        document[name] = statistics.median(one for found in document["models"].values() for one in found[f"{name}s"])
    print(
        f"trainer / bare loop over all rounds: {document['ratio']:.3f} by the clock, {document['cpu_ratio']:.3f} by "
        f"CPU time (goal at most {GOAL}); threads: {threads}"
    )
    write_document(out, document)
    return document


class _Seconds(NamedTuple):
    """By the clock, and of processor time: the latter is the surer measure where others use the machine."""

    clock: float
    cpu: float

    @classmethod
    def now(cls) -> _Seconds:
        return cls(time.perf_counter(), time.process_time())

    def until_now(self) -> _Seconds:
        now = _Seconds.now()
        return _Seconds(now.clock - self.clock, now.cpu - self.cpu)


class _Bare:
    """A loop as one writes it by hand."""

    def __init__(self, case: Case, batches: Sequence[Batch]) -> None:
        paddle.seed(0)
        self.model, self.loss = case.build()
        self.batches = batches
        parameters = trained_parameters(self.model, self.loss)
        decay = {tensor.name for name, tensor in parameters if tensor.ndim > 1}
        self.rate = paddle.optimizer.lr.LambdaDecay(1e-4, lambda step: 1.0)
        self.optimizer = paddle.optimizer.AdamW(
            learning_rate=self.rate, parameters=[tensor for _, tensor in parameters], weight_decay=0.01,
            apply_decay_param_fun=lambda name: name in decay,
        )  # fmt: skip
        self.taken = itertools.count()

    def run(self, steps: int) -> _Seconds:
        """What ``steps`` steps take."""
        self.model.train()
        began = _Seconds.now()
        for number in itertools.islice(self.taken, steps):
            batch = self.batches[number % len(self.batches)]
            loss = self.loss(self.model(batch), batch)["loss"]
            loss.backward()
            self.optimizer.step()
            self.optimizer.clear_grad()
            self.rate.step()
            float(loss)
        return began.until_now()


class _Batches:
    """The bare loop's batches, for the trainer."""

    def __init__(self, batches: Sequence[Batch], steps: int) -> None:
        self.batches, self.steps = batches, steps
        self.batch_size = len(next(iter(batches[0].values())))

    def __len__(self) -> int:
        return self.steps

    def epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        return itertools.islice(itertools.cycle(self.batches), self.steps)


class _Turns(HookBase):
    """The last hook: after each round of ``steps`` steps the bare loop takes its turn, off the trainer's clock."""

    def __init__(self, bare: _Bare, steps: int) -> None:
        self.bare, self.steps = bare, steps
        self.pairs: list[tuple[_Seconds, _Seconds]] = []

    def on_start(self, trainer: Any) -> None:
        self.began = _Seconds.now()

    def on_step(self, trainer: Any) -> None:
        if trainer.state.step % self.steps == 0:
            mine = self.began.until_now()
            self.pairs.append((mine, self.bare.run(self.steps)))
            self.began = _Seconds.now()


class _Quiet(Progress):
    """Progress without the line about an evaluation that there is not."""

    def on_epoch(self, trainer: Any) -> None:
        pass


def _measured(case: Case, quick: bool) -> dict[str, Any]:
    rows = case.quick_rows if quick else case.rows
    batches = [case.batch(rows, number) for number in range(4)]
    bare = _Bare(case, batches)
    rounds, steps = (2, 1) if quick else (case.rounds, case.steps)
    turns = _Turns(bare, steps)
    peak = _matmul_peak()
    trainer = _trained(case, _Batches(batches, (rounds + 1) * steps), turns)
    peak = max(peak, _matmul_peak())
    _check_same(trainer.step.model, bare.model)
    pairs = turns.pairs[1:]  # the first round warms up
    ratios = [mine.clock / other.clock for mine, other in pairs]
    cpu_ratios = [mine.cpu / other.cpu for mine, other in pairs]
    seconds = statistics.median(mine.clock for mine, _ in pairs) / turns.steps
    flops = 2 * BACKWARD * count_flops(bare.model, batches[0])
    return {
        "samples_per_second": rows / seconds, "rows": rows, "seconds_per_step": seconds, "flops": flops,
        "gflops": flops / seconds / 1e9, "peak_gflops": peak, "peak": flops / seconds / 1e9 / peak,
        "parameters": sum(int(tensor.size) for tensor in bare.model.parameters()),
        "rounds": len(pairs), "steps": turns.steps, "ratio": statistics.median(ratios), "ratios": ratios,
        "cpu_ratio": statistics.median(cpu_ratios), "cpu_ratios": cpu_ratios,
    }  # fmt: skip


def _trained(case: Case, batches: _Batches, turns: _Turns) -> Trainer:
    """The trainer as the app wires it, after its run over ``batches``."""
    paddle.seed(0)
    model, objective = case.build()
    recipe = AdamW(learning_rate=1e-4)
    step = TrainStep(model, objective, None, None)
    with tempfile.TemporaryDirectory() as folder:
        hooks = [History(Path(folder) / "history.jsonl", 10), _Quiet(seconds=3600), turns]
        trainer = Trainer(step, batches, lambda poll: {"loss": 0.0}, hooks, epochs=1, folder=Path(folder))
        step.scheduler = scheduled(recipe.learning_rate, lambda number: 1.0)
        step.optimizer = recipe.build(trained_parameters(model, objective), step.scheduler)
        trainer.fit()
    return trainer


def _check_same(one: Any, other: Any) -> None:
    """Raises RuntimeError where the two loops did not compute the same: their times would say nothing."""
    arrays = other.state_dict()
    for name, tensor in one.state_dict().items():
        if tensor.numpy().tobytes() != arrays[name].numpy().tobytes():
            raise RuntimeError(f"trainer and bare loop ended with another {name}: they did not compute the same")


def _matmul_peak() -> float:
    """GFLOP/s of float32 matrices of SIDE x SIDE: the best of a few."""
    x: Tensor = paddle.rand([SIDE, SIDE])
    seconds = min(_timed(lambda: paddle.matmul(x, x)) for _ in range(6))
    return float(2 * SIDE**3 / seconds / 1e9)


def _timed(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
