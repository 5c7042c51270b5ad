"""What stands in the files of VisualDL and TensorBoard, read back record by record."""

import io
import struct
from types import SimpleNamespace

import numpy as np
import paddle
import pytest
from crc32c import crc32c
from paddle import nn
from PIL import Image
from tensorboardX.proto import event_pb2
from visualdl.proto import record_pb2

from ppmm.engine.batch_pictures import batch_pictures
from ppmm.engine.parameter_watch import ParameterWatch
from ppmm.engine.scalars import Scalars
from ppmm.engine.step import TrainStep, scheduled
from ppmm.engine.trainer import Trainer
from ppmm.errors import PpmmError

WRITERS = ("visualdl", "tensorboard")


def masked(content):
    """The checksum of a TFRecord: CRC-32C rotated by 15 bits, plus a constant."""
    crc = crc32c(content)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def tensorboard_values(folder):
    for path in sorted(folder.glob("*tfevents*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            size, check = struct.unpack_from("<QI", content, at)
            assert check == masked(content[at : at + 8])
            body = content[at + 12 : at + 12 + size]
            assert struct.unpack_from("<I", content, at + 12 + size)[0] == masked(body)
            event = event_pb2.Event.FromString(body)
            yield from ((value.tag, event.step, value) for value in event.summary.value)
            at += 16 + size


def visualdl_values(folder):
    (path,) = folder.glob("*vdlrecords*")  # VisualDL shows one file of a folder
    content, at = path.read_bytes(), 0
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        for value in record_pb2.Record.FromString(content[at + 8 : at + 8 + size]).values:
            if value.tag != "meta_data_tag":
                yield value.tag, value.id, value
        at += 8 + size


def values(writer, folder):
    return list({"visualdl": visualdl_values, "tensorboard": tensorboard_values}[writer](folder / "scalars"))


def points(writer, folder, tag):
    """(step, value) of one tag, in the order of the file."""
    number = {"visualdl": lambda value: value.value, "tensorboard": lambda value: value.simple_value}[writer]
    return [(step, number(value)) for name, step, value in values(writer, folder) if name == tag]


class Batches:
    batch_size = 2

    def __len__(self):
        return 3

    def epoch(self, epoch, start=0):
        for number in range(start, 3):
            yield {"x": paddle.full([2, 3], number + 1.0), "index": paddle.arange(2)}


class Line(nn.Layer):
    """y = w x; the gradient of its mean by w is the mean of x."""

    def __init__(self):
        super().__init__()
        self.w = self.create_parameter([3], default_initializer=nn.initializer.Constant(2.0))

    def forward(self, batch):
        return {"y": (batch["x"] * self.w).sum(-1)}


def trainer_of(folder, hook, epochs=2, figures=None):
    model = Line()
    schedule = scheduled(0.5, lambda step: 1.0)
    optimizer = paddle.optimizer.SGD(schedule, parameters=model.parameters())
    step = TrainStep(model, lambda outputs, batch: {"loss": outputs["y"].mean()}, optimizer, schedule)
    found = iter(figures or [1.0] * 9)
    return Trainer(step, Batches(), lambda poll: {"loss": next(found)}, [hook], epochs=epochs, folder=folder)


@pytest.mark.parametrize("writer", WRITERS)
def test_curves(writer, tmp_path):
    trainer_of(tmp_path, Scalars(every=2, writer=writer), figures=[3.0, float("nan")]).fit()
    # w starts at 2 and falls by 0.5 * x at each step: x is 1, 2, 3, 1, 2, 3
    losses = [3 * 2.0 * 1, 3 * 1.5 * 2, 3 * 0.5 * 3, 3 * -1.0 * 1, 3 * -1.5 * 2, 3 * -2.5 * 3]
    assert points(writer, tmp_path, "train/loss") == [(2, losses[1]), (4, losses[3]), (6, losses[5])]
    assert points(writer, tmp_path, "learning_rate") == [(2, 0.5), (4, 0.5), (6, 0.5)]
    assert points(writer, tmp_path, "val/loss") == [(3, 3.0)]
    assert all(value > 0 for _, value in points(writer, tmp_path, "system/samples_per_second"))
    assert all(0 <= value <= 1 for _, value in points(writer, tmp_path, "system/data_wait"))
    assert len(points(writer, tmp_path, "system/memory_mb")) == 3


@pytest.mark.parametrize("writer", WRITERS)
def test_a_resumed_run_writes_no_point_twice(writer, tmp_path):
    """Killed after step 5 (a cut record at the end), resumed from a checkpoint of step 3 that no evaluation follows."""
    first = trainer_of(tmp_path, Scalars(every=1, writer=writer, system=False))
    first.total_steps = 5
    first.fit()
    newest = max((tmp_path / "scalars").iterdir())
    newest.write_bytes(newest.read_bytes() + struct.pack("<Q", 99) + b"cut")
    second = trainer_of(tmp_path, Scalars(every=1, writer=writer, system=False), figures=[7.0, 8.0])
    second.state.step, second.state.epoch, second.state.batch = 3, 0, 3
    second.fit()
    assert [step for step, _ in points(writer, tmp_path, "train/loss")] == [1, 2, 3, 4, 5, 6]
    assert points(writer, tmp_path, "val/loss") == [(3, 1.0), (6, 8.0)]


@pytest.mark.parametrize("writer", WRITERS)
def test_histograms(writer, tmp_path):
    trainer_of(tmp_path, Scalars(writer=writer, histograms=2), epochs=1).fit()
    assert points(writer, tmp_path, "update_ratio/w") == [(2, pytest.approx(1.0 / 1.5))]
    found = {tag: (step, value) for tag, step, value in values(writer, tmp_path)}
    for tag, expected in (("weight/w", 0.5), ("gradient/w", 2.0)):
        step, value = found[tag]
        assert step == 2
        if writer == "tensorboard":
            histogram = value.histo
            assert (histogram.min, histogram.max, histogram.num, histogram.sum) == (expected,) * 2 + (3, 3 * expected)
        else:
            edges, counts = list(value.histogram.bin_edges), list(value.histogram.hist)
            inside = [i for i, count in enumerate(counts) if count]
            assert sum(counts) == 3 and edges[inside[0]] <= expected <= edges[inside[0] + 1] and len(inside) == 1


def test_gradients_of_several_backward_passes_add_up_and_other_steps_are_not_watched():
    model = Line()
    watch = ParameterWatch(list(model.named_parameters()))
    watch.arm()
    for factor in (1.0, 2.5):
        (model.w * factor).sum().backward()
    model.w.set_value(paddle.to_tensor([2.0, 2.0, 5.0]))
    (reading,) = watch.read()
    assert reading.name == "w" and reading.gradient.tolist() == [3.5] * 3
    assert reading.weight.tolist() == [2.0, 2.0, 5.0] and reading.update_ratio == pytest.approx(3 / 12**0.5)
    (model.w * 7).sum().backward()
    assert watch.read() == []


@pytest.mark.parametrize("writer", WRITERS)
def test_pictures_once_in_an_epoch(writer, tmp_path):
    trainer = trainer_of(tmp_path, Scalars(writer=writer, images=1))
    picture = paddle.to_tensor(np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 1, 3, 4))
    batch = {"x": paddle.ones([1, 3]), "photo": picture, "has_photo": paddle.to_tensor([True])}
    trainer.loader.epoch = lambda epoch, start=0: iter([batch] * 3)
    trainer.fit()
    shown = [(step, value) for tag, step, value in values(writer, tmp_path) if tag == "photo/0"]
    assert [step for step, _ in shown] == [1, 4]
    image = shown[0][1].image
    pixels = np.asarray(Image.open(io.BytesIO(image.encoded_image_string)).convert("RGB"))
    assert pixels.shape == (3, 4, 3) and pixels[0, 0].tolist() == [0] * 3 and pixels[2, 3].tolist() == [255] * 3


def test_what_a_picture_shows():
    image = np.zeros((2, 3, 2, 2), np.float32)
    image[0, 0, 0, 1], image[0, 1, 1, 0], image[0, 2, 1, 1] = 4.0, 2.0, np.nan
    features = np.zeros((2, 3, 2), np.float32)
    features[1] = [[0, 1], [2, 3], [9, 9]]  # the last step is padding
    batch = {
        "image": paddle.to_tensor(image), "has_image": paddle.to_tensor([True, True]),
        "audio": paddle.to_tensor(features), "has_audio": paddle.to_tensor([False, True]),
        "audio_mask": paddle.to_tensor([[True] * 3, [True, True, False]]),
        "text": paddle.zeros([2, 5], dtype="int64"), "has_text": paddle.to_tensor([True, True]),
        "soft_answer": paddle.zeros([2, 3, 3]),
    }  # fmt: skip
    found = batch_pictures(batch, 1)
    assert found.keys() == {"image", "audio"}
    assert found["image"][0].tolist() == [[[0, 0, 0], [255, 0, 0]], [[0, 128, 0], [0, 0, 0]]]
    assert found["audio"][0][..., 0].tolist() == [[85, 255], [0, 170]]


@pytest.mark.parametrize("arguments", [{"every": 0}, {"images": -1}, {"histograms": 0}])
def test_refused(arguments):
    with pytest.raises(ValueError, match="must be at least"):
        Scalars(**arguments)


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    hook = Scalars(writer="tensorboard")
    with pytest.raises(PpmmError, match="pip install tensorboardX"):
        hook.on_start(SimpleNamespace(folder=tmp_path, state=SimpleNamespace(step=0)))
    hook.on_stop(None, PpmmError())
