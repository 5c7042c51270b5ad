"""The chain on a GPU: trained there, the same checkpoint answers alike on the CPU and exports."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import paddle
import pytest

from ppmm.app.export import export_checkpoint
from ppmm.app.train import train

pytestmark = pytest.mark.gpu


def test_train_on_a_gpu_and_export(write_config: Callable[..., Path], tmp_path: Path) -> None:
    if not paddle.device.is_compiled_with_cuda() or paddle.device.cuda.device_count() == 0:
        pytest.fail("make test-gpu needs paddlepaddle-gpu and a GPU; python -m ppmm.doctor says what there is")
    figures = train(str(write_config("on_gpu", device="gpu:0")))
    assert 0 <= figures["accuracy"] <= 1 and figures["loss"] < 10
    report = export_checkpoint(str(tmp_path / "output" / "on_gpu" / "checkpoints" / "best"), str(tmp_path / "bundle"))
    assert report["max_abs"] <= 1e-3
