"""One of several processes: its results are those of one process with the same global batch. Run by test_group.py."""

from __future__ import annotations

import signal
from itertools import chain

import numpy as np
import paddle
import towers as one_process
from paddle import nn

from ppmm.engine.distributed import SINGLE
from ppmm.engine.evaluator import evaluate
from ppmm.engine.process_group import ProcessGroup
from ppmm.engine.step import DivergenceError, TrainStep, scheduled
from ppmm.errors import DataError, PpmmError
from ppmm.metrics.accuracy import Accuracy
from ppmm.metrics.calibration import CalibrationError
from ppmm.metrics.confusion import ConfusionMatrix
from ppmm.metrics.retrieval import Retrieval
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.objectives.info_nce import InfoNCE
from ppmm.optim.ogm_ge import OGMGE
from ppmm.optim.optimizers import AdamW

FIELDS = one_process.FIELDS


def share(batch, group):
    """This process's rows of a batch, its texts as long as its own longest."""
    count = len(batch["index"])
    sizes = [len(part) for part in np.array_split(np.arange(count), group.world)]
    parts = one_process.cut(batch, [size for size in sizes if size])
    return parts[group.rank] if sizes[group.rank] else {}


def trainer(model, objective, group):
    scheduler = scheduled(0.02, lambda step: 1.0)
    named = list(model.named_parameters())
    named += list(objective.named_parameters()) if isinstance(objective, nn.Layer) else []
    optimizer = AdamW(learning_rate=0.02).build(named, scheduler, nn.ClipGradByGlobalNorm(1.0))
    return TrainStep(model, objective, optimizer, scheduler, 3, processes=group)


def weights(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def assert_close(found, wanted, **tolerance):
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, err_msg=name, **tolerance)


def documents_and_arrays(group):
    assert group.exchange({"rank": group.rank, "x": float("inf")})[1] == {"rank": 1, "x": float("inf")}
    long = group.exchange("ü" * (3000 * group.rank))
    assert [len(text) for text in long] == [3000 * rank for rank in range(group.world)]
    assert group.sum_rows(group.rank + 1) == sum(range(1, group.world + 1))
    lengths = [2 * rank for rank in range(group.world)]  # nothing in the first process
    for dtype in ("float32", "float64", "int64", "bool", "float16", "bfloat16"):
        own = (paddle.arange(lengths[group.rank] * 3).reshape([-1, 3]) % 2 + group.rank).astype(dtype)
        mine = own if group.rank else None
        found = group.gather(mine, [[length, 3] if length else [0] for length in lengths], dtype)
        assert found[0] is None
        for rank, each in enumerate(found[1:], 1):
            wanted = (paddle.arange(lengths[rank] * 3).reshape([-1, 3]) % 2 + rank).astype(dtype)
            assert each.dtype == wanted.dtype and bool((each == wanted).all())


def errors_are_everybodys(group):
    assert group.agree(None, signal.SIGTERM if group.rank == 1 else 0) == signal.SIGTERM
    for kind in (DataError, PpmmError):
        try:
            group.agree(kind("row 7") if group.rank == 1 else None)
        except kind as error:
            assert str(error) == ("row 7" if group.rank == 1 else "process 1: row 7")
        else:
            raise AssertionError("no error")

    def items():
        yield 1
        if group.rank == 1:
            raise DataError("row 8")
        yield 2

    seen = []
    try:
        for item in group.agreed(items()):
            seen.append(item)
    except DataError as error:
        assert "row 8" in str(error)
    assert seen == [1]


def weights_and_buffers(group):
    paddle.seed(group.rank)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1D(3))
    group.share_weights(model, None)
    wanted = group.exchange({name: tensor.numpy().tolist() for name, tensor in model.state_dict().items()})
    assert all(each == wanted[0] for each in wanted)
    model[1]._mean.set_value(paddle.full([3], float(group.rank)))
    group.average_statistics(model)
    assert model[1]._mean.numpy().tolist() == [(group.world - 1) / 2] * 3


def steps(group):
    """Batches of 12, 5 and 1 rows: the last ones leave processes without rows; tower `text` has no row in some."""
    batches = [one_process.rows(count, seed) for seed, count in enumerate((12, 5, 1, 12))]
    for make in (
        lambda: CrossEntropy("y"),
        lambda: CrossEntropy("y", class_weights=[1.0, 2.0, 9.0]),
        lambda: InfoNCE(FIELDS),
    ):
        alone, together = (trainer(one_process.towers(), make(), processes) for processes in (SINGLE, group))
        for number, batch in enumerate(batches):
            wanted, found = alone([batch], number), together([share(batch, group)], number)
            assert abs(found["loss"] - wanted["loss"]) < 1e-6 * max(1, abs(wanted["loss"])), (number, found, wanted)
        assert_close(weights(together.model), weights(alone.model), atol=2e-6)
        digests = group.exchange([float(np.float64(array).sum()) for array in weights(together.model).values()])
        assert all(each == digests[0] for each in digests), "the same weights in each, bit for bit"


class Absent(nn.Layer):
    """A tower that only rows below 3 pass through, and one that nobody uses."""

    def __init__(self):
        super().__init__()
        self.one, self.two, self.unused = nn.Linear(5, 3), nn.Linear(5, 3), nn.Linear(5, 3)

    def forward(self, batch):
        logits = self.one(batch["image"])
        return {"logits": logits + self.two(batch["image"]) if int(batch["index"][0]) < 3 else logits}


def a_gradient_that_only_one_process_has(group):
    paddle.seed(2)
    batch = one_process.rows(4 * group.world)
    step = trainer(Absent(), CrossEntropy("y"), group)
    step.gradients([share(batch, group)], 0)
    assert step.model.unused.weight.grad is None, "as in one process, the optimizer leaves it alone"
    found = group.exchange(step.model.two.weight.grad.numpy().tolist())
    assert all(each == found[0] for each in found) and np.abs(found[0]).max() > 0


def objectives(group):
    whole = one_process.rows()
    for name, make in one_process.OBJECTIVES.items():
        wanted, expected = one_process.gradients(
            one_process.step_of(one_process.towers(), make(), cache=False), [whole]
        )
        step = one_process.step_of(one_process.towers(), make())
        step.processes = group
        halves = one_process.cut(whole, [8, 4])
        for cache, parts in ((True, [share(half, group) for half in halves]), (False, [share(whole, group)])):
            step.cache = cache
            step.optimizer.clear_grad()
            for parameter in step.parameters():
                parameter.clear_gradient(False)
            found, actual = one_process.gradients(step, parts)
            assert_close(found, wanted, rtol=1e-5, atol=1e-6)
            for one, other in zip(actual, expected, strict=True):
                assert (one is None) == (other is None), name
                if one is not None:
                    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6, err_msg=name)


def evaluation(group):
    """The last batch has 1 row: all but one process have none of it."""
    whole = one_process.rows(13, seed=9)
    whole["y"] = whole["index"] % 3
    batches = one_process.cut(whole, [6, 6, 1])
    metrics = lambda: [  # noqa: E731
        Accuracy("y"), CalibrationError("y"), ConfusionMatrix("y", labels={"y": ["a", "b", "c"]}),
        Retrieval(FIELDS, "index"),
    ]  # fmt: skip
    model, objective = one_process.towers(norm=True), InfoNCE(FIELDS)
    wanted = evaluate(model, batches, metrics(), objective)
    told = []
    found = evaluate(
        model, [share(batch, group) for batch in batches], metrics(), objective,
        lambda batch, outputs: told.append(batch["index"].numpy().tolist()), processes=group,
    )  # fmt: skip
    assert found.rows == wanted.rows == 13
    assert list(chain(*told)) == list(range(13)), "the order of one process"
    assert_close(found.figures, wanted.figures, rtol=1e-6)
    exact = [name for name in wanted.figures if "loss" not in name and "temperature" not in name and "ece" not in name]
    assert {name: found.figures[name] for name in exact} == {name: wanted.figures[name] for name in exact}
    assert found.details.keys() == wanted.details.keys()


class Balanced(nn.Layer):
    """Encoders that also answer alone."""

    fields = ("image", "text")

    def __init__(self):
        super().__init__()
        self.encoders = nn.LayerDict({"image": nn.Linear(5, 3), "text": nn.Linear(3, 3)})

    def forward(self, batch):
        text = self.encoders["text"](batch["text"][:, 0])
        image = self.encoders["image"](batch["image"]) * 4
        return {"logits": image + text, "image_logits": image, "text_logits": text}


def balance(group):
    """The rule sees the rows of all processes; its noise is the same in each."""
    batch = one_process.rows(2 * group.world + 1)
    for noise in (0.0, 1.0):
        found = []
        for processes in (SINGLE, group):
            paddle.seed(2)
            step = trainer(Balanced(), CrossEntropy("y"), processes)
            step.balance = OGMGE("y", alpha=1.0, noise=noise)
            told = step.gradients([batch if processes is SINGLE else share(batch, group)], 0)
            found.append((told, [parameter.grad.numpy() for parameter in step.model.parameters()]))
        assert min(found[0][0].values()) < 0.9, "one field is slowed down"
        assert_close(found[1][0], found[0][0], rtol=1e-5)
        if noise == 0:
            for one, other in zip(found[1][1], found[0][1], strict=True):
                np.testing.assert_allclose(one, other, atol=1e-6)
        everywhere = group.exchange([gradient.tolist() for gradient in found[1][1]])
        assert all(each == everywhere[0] for each in everywhere)


def divergence(group):
    batch = one_process.rows(4 * group.world)
    batch["image"][group.world * 4 - 1] = float("nan")
    step = trainer(one_process.towers(), CrossEntropy("y"), group)
    try:
        step([share(batch, group)], 0)
    except DivergenceError as error:
        assert error.rows == list(range(4 * group.world)), "the rows of all processes"
    else:
        raise AssertionError("no error")


def main() -> None:
    with ProcessGroup() as group:
        for check in (
            documents_and_arrays, errors_are_everybodys, weights_and_buffers, steps,
            a_gradient_that_only_one_process_has, objectives, evaluation, balance, divergence,
        ):  # fmt: skip
            check(group)
            print(f"passed {check.__name__}", flush=True)


if __name__ == "__main__":
    main()
