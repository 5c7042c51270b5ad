"""The switches of Paddle Inference for GPUs and TensorRT, which this machine cannot run: what would be called."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paddle
import pytest

from ppmm.errors import ExportError
from ppmm.runtime.backends import Device, backends_of, check_backend, check_precision, parse_device
from ppmm.runtime.paddle_config import set_cpu, set_gpu
from ppmm.runtime.paddle_graph import check_gpu

TYPES = SimpleNamespace(Float32="f32", Half="f16", Bfloat16="b16", Int8="i8")
GRAPH = {
    "precision": "fp32",
    "inputs": [{"name": "image", "range": {"min": [1, 3, 8, 8], "opt": [8, 3, 8, 8], "max": [32, 3, 8, 8]}}],
    "tensorrt": {"precision": "fp16", "workspace_mb": 512, "max_batch": 32},
}


class Recorder:
    """Remembers calls; only those that a real Config has."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        from paddle import inference

        assert hasattr(inference.Config, name), name
        return lambda *args, **more: self.calls.append((name, *args, *([more] if more else [])))


def recorded(**settings: Any) -> list[tuple[Any, ...]]:
    config = Recorder()
    given = {"device": Device("gpu", 1), "precision": "fp32", "pir": True, "graph": GRAPH, "cache": None, **settings}
    set_gpu(config, TYPES, **given)
    return config.calls


def test_cuda() -> None:
    calls = recorded(precision="fp16")
    assert ("enable_use_gpu", 256, 1, "f16") in calls and ("enable_new_executor", True) in calls
    assert not [call for call in calls if "tensorrt" in call[0]]
    assert ("enable_use_gpu", 256, 1, "b16") in recorded(precision="bf16")
    assert ("enable_new_executor", True) not in recorded(pir=False)


def test_tensorrt() -> None:
    calls = recorded(cache=Path("/engines"), pir=False)
    assert ("enable_use_gpu", 256, 1) in calls and ("set_optim_cache_dir", "/engines") in calls
    (engine,) = [call[1] for call in calls if call[0] == "enable_tensorrt_engine"]
    assert engine == {
        "workspace_size": 512 << 20, "max_batch_size": 32, "min_subgraph_size": 3, "precision_mode": "f16",
        "use_static": True, "use_calib_mode": False,
    }  # fmt: skip
    (shapes,) = [call[1:] for call in calls if call[0] == "set_trt_dynamic_shape_info"]
    assert shapes == ({"image": [1, 3, 8, 8]}, {"image": [32, 3, 8, 8]}, {"image": [8, 3, 8, 8]})
    int8 = recorded(precision="int8", cache=Path("/e"), pir=False)
    assert [call[1]["precision_mode"] for call in int8 if call[0] == "enable_tensorrt_engine"] == ["i8"]


def test_cpu() -> None:
    config = Recorder()
    set_cpu(config, "onednn", 3, "int8", pir=False)
    assert ("set_cpu_math_library_num_threads", 3) in config.calls
    assert [call[0] for call in config.calls if "mkldnn" in call[0]] == ["enable_mkldnn", "enable_mkldnn_int8"]


def test_which_back_ends_a_gpu_has() -> None:
    gpu = parse_device("gpu:2")
    assert gpu == Device("gpu", 2) and parse_device("gpu") == Device("gpu", 0)
    assert backends_of(GRAPH, gpu) == ("cuda", "tensorrt")
    assert backends_of({"precision": "int8"}, gpu) == ()
    with pytest.raises(ExportError, match="no back end on a GPU; see --tensorrt"):
        check_backend(None, {"precision": "int8"}, gpu)
    assert check_backend(None, {**GRAPH, "precision": "int8"}, gpu) == "tensorrt"
    assert check_precision("fp16", GRAPH, gpu) == "fp16"
    with pytest.raises(ExportError, match="tested in fp32, not in fp16"):
        check_precision("fp16", GRAPH, Device("cpu"))


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paddle, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 1)
    check_gpu(Device("gpu", 0))
    with pytest.raises(ExportError, match="gpu:1 is not there: Paddle sees 1 GPU"):
        check_gpu(Device("gpu", 1))


@pytest.mark.gpu
def test_cuda_answers_as_the_model_did(bundle: Path) -> None:
    from ppmm.runtime import Predictor

    assert Predictor(bundle, device="gpu:0").self_test(anew=True)["cases"] == 8
