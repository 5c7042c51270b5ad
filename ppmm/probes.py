"""What only running Paddle or OpenCV can tell: build, GPUs, speed, and whether oneDNN computes what dygraph does.

Each probe runs in a process of its own (`in_child`), so that a crash in it is an answer, and every one imports afresh.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ppmm import versions

__all__ = ["cv2_facts", "in_child", "matmul_speed", "onednn_self_test", "paddle_facts"]

CHILD = "import json, sys; from ppmm import probes; print(json.dumps(getattr(probes, sys.argv[1])(*sys.argv[2:])))"


def in_child(probe: str, *arguments: str, seconds: float = 300.0) -> dict[str, Any]:
    """The answer of a probe of this module from a process of its own; ``{"error": why}`` where it failed."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, probe, *arguments], capture_output=True, text=True, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no answer in {seconds:g} s"}
    if done.returncode < 0:
        return {"error": f"killed by signal {-done.returncode}"}
    if done.returncode > 0:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def paddle_facts() -> dict[str, Any]:
    """Version, build and GPUs of the paddle that is imported."""
    import paddle

    cuda = bool(paddle.is_compiled_with_cuda())
    count = paddle.device.cuda.device_count() if cuda else 0
    names = [paddle.device.cuda.get_device_name(index) for index in range(count)]
    return {"version": paddle.__version__, "cuda": paddle.version.cuda() if cuda else None, "gpus": names}


def cv2_facts() -> dict[str, Any]:
    """Version and owner of the cv2 that is imported."""
    import cv2

    owners = list(versions.installed_versions(versions.CV2))
    return {"version": cv2.__version__, "owners": owners}


def matmul_speed(mkl_type: str) -> dict[str, Any]:
    """GFLOP/s of Paddle's 1024 x 1024 matmul, the best of many.

    Args:
        mkl_type: MKL_DEBUG_CPU_TYPE, none where empty; MKL reads it at the first product of the process.
    """
    os.environ.pop("MKL_DEBUG_CPU_TYPE", None)
    if mkl_type:
        os.environ["MKL_DEBUG_CPU_TYPE"] = mkl_type
    import paddle

    paddle.set_device("cpu")
    matrix = paddle.randn([1024, 1024])
    best = float("inf")
    for _ in range(20):
        start = time.perf_counter()
        paddle.matmul(matrix, matrix).numpy()
        best = min(best, time.perf_counter() - start)
    threads = os.environ.get("MKL_NUM_THREADS") or os.environ.get("OMP_NUM_THREADS") or "1"
    return {"gflops": round(2 * 1024**3 / best / 1e9, 1), "threads": int(threads)}


def onednn_self_test() -> dict[str, Any]:
    """The largest differences of a small exported graph to dygraph: without oneDNN, and with it.

    The graph is the one that inplace_pass of Paddle 3.3 spoils: ``y = v / norm(v); z = v + 1``.
    """
    import numpy as np
    import paddle

    class Normalised(paddle.nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.project = paddle.nn.Linear(16, 16)

        def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
            value = self.project(x)
            return value / paddle.linalg.norm(value, axis=-1, keepdim=True), value + 1

    paddle.set_device("cpu")
    paddle.seed(0)
    model = Normalised()
    model.eval()
    x = paddle.randn([4, 16])
    expected = [output.numpy() for output in model(x)]
    with tempfile.TemporaryDirectory() as folder:
        paddle.jit.save(model, f"{folder}/graph", input_spec=[paddle.static.InputSpec([None, 16], "float32")])
        found = {name: _run_graph(Path(folder), x, name == "onednn") for name in ("plain", "onednn")}
    differences = {name: _largest_difference(outputs, expected) for name, outputs in found.items()}
    return {**differences, "largest": float(np.max(list(differences.values())))}


def _largest_difference(found: list[Any], expected: list[Any]) -> float:
    """Over all outputs; NaN where any is NaN."""
    import numpy as np

    return float(np.max([np.max(np.abs(a - b)) for a, b in zip(found, expected, strict=True)]))


def _run_graph(folder: Path, x: Any, onednn: bool) -> list[Any]:
    """The outputs of the graph in ``folder`` for ``x`` by Paddle Inference, as arrays."""
    from paddle import inference

    graph = next(path for path in folder.iterdir() if path.suffix in (".json", ".pdmodel"))
    config = inference.Config(str(graph), str(graph.with_suffix(".pdiparams")))
    config.disable_glog_info()
    if onednn:
        config.enable_mkldnn()
    elif hasattr(config, "disable_mkldnn"):
        config.disable_mkldnn()
    config.enable_memory_optim()
    config.enable_new_executor(True)
    return [output.numpy() for output in inference.create_predictor(config).run([x])]
