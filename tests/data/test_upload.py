"""Batches on their way to the device: the same ones in the same order, one ahead."""

import numpy as np
import paddle
import pytest

from ppmm.data.upload import one_ahead, uploaded
from ppmm.errors import DataError


def arrays(count, log=None, fail_at=None):
    for number in range(count):
        if number == fail_at:
            raise DataError(f"row {number}")
        if log is not None:
            log.append(f"read {number}")
        yield {"x": np.full([2, 3], number, dtype=np.float32), "index": np.arange(2) + number}


def upload_to(log):
    def upload(batch):
        log.append(f"upload {int(batch['x'][0, 0])}")
        return {name: paddle.to_tensor(array) for name, array in batch.items()}, None

    return upload


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_all_in_order_each_uploaded_before_the_one_ahead_of_it_is_used(count):
    log = []
    for batch in one_ahead(arrays(count, log), upload_to(log)):
        log.append(f"use {int(batch['x'][0, 0])}")
    assert [entry for entry in log if entry.startswith("use")] == [f"use {number}" for number in range(count)]
    for number in range(count - 1):
        assert (
            log.index(f"upload {number + 1}") < log.index(f"use {number}") < log.index(f"read {number + 2}")
            if (number + 2 < count)
            else log.index(f"upload {number + 1}") < log.index(f"use {number}")
        )


@pytest.mark.parametrize("fail_at", [0, 1, 3])
def test_an_error_comes_after_the_batches_before_it(fail_at):
    seen = []
    with pytest.raises(DataError, match=f"row {fail_at}"):
        for batch in one_ahead(arrays(5, fail_at=fail_at), upload_to([])):
            seen.append(int(batch["x"][0, 0]))
    assert seen == list(range(fail_at))


def test_on_a_cpu_the_tensors_are_the_arrays():
    for batch, wanted in zip(uploaded(arrays(3)), arrays(3), strict=True):
        for name, array in wanted.items():
            assert batch[name].numpy().tobytes() == array.tobytes() and batch[name].numpy().dtype == array.dtype


@pytest.mark.gpu
def test_on_a_gpu_too():
    paddle.set_device("gpu:0")
    for batch, wanted in zip(uploaded(arrays(20)), arrays(20), strict=True):
        for name, array in wanted.items():
            assert batch[name].place.is_gpu_place() and batch[name].numpy().tobytes() == array.tobytes()
