"""The switches of Paddle Inference, for a CPU and for a GPU; nothing else in ppmm touches its Config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ppmm.runtime.backends import Device

__all__ = ["set_cpu", "set_gpu"]

INT8_OPERATORS = {"conv2d", "fused_conv2d", "depthwise_conv2d", "fc"}
"""What oneDNN computes in INT8. Left to itself Paddle 3.1.1 also takes pooling, concat and products of activations,
whose ranges nobody measured: adaptive pooling then raises ("could not create a descriptor")."""
PLAIN_PASSES = ["conv2d_bn_fuse_pass"]
"""What Paddle 3.1.1 leaves out without oneDNN, beside its own: a tenth of a small network's time."""
GPU_MEMORY_MB = 256
"""What Paddle takes of the GPU at first; it grows."""
SMALLEST_SUBGRAPH = 3


def set_cpu(config: Any, backend: str, threads: int, precision: str, pir: bool) -> None:
    """Lay ``config`` out for a CPU.

    Args:
        config: ``paddle.inference.Config``.
        backend: ``onednn`` (fast) or ``plain`` (Paddle's own kernels).
        threads: of the math library.
        precision: ``fp32``, ``bf16`` or ``int8``: an INT8 graph that is run without its switch is three times slower
            than float32, a float32 graph with it is wrong.
        pir: whether the graph is of the new format.
    """
    config.disable_gpu()
    _set_common(config, pir)
    config.set_cpu_math_library_num_threads(threads)
    if backend == "onednn":
        config.enable_mkldnn()
        if precision == "bf16":
            config.enable_mkldnn_bfloat16()
        if precision == "int8":
            config.enable_mkldnn_int8(INT8_OPERATORS)
        return
    config.disable_mkldnn()
    if pir:
        config.enable_new_ir(True)
        config.enable_custom_passes(PLAIN_PASSES, False)


def set_gpu(
    config: Any, types: Any, device: Device, precision: str, pir: bool, graph: Mapping[str, Any], cache: Path | None
) -> None:
    """Lay ``config`` out for a GPU.

    Args:
        config: ``paddle.inference.Config``.
        types: ``paddle.inference.PrecisionType``.
        device: which GPU.
        precision: ``fp32``, ``fp16``, ``bf16`` or ``int8`` (TensorRT only).
        pir: whether the graph is of the new format.
        graph: its entry in bundle.yaml; with ``tensorrt`` where TensorRT shall compute: ``precision``, ``workspace_mb``
            and ``max_batch``, and ``range`` (min, opt, max) of every input.
        cache: folder where TensorRT keeps its engines, which take minutes to build; None without TensorRT.
    """
    kinds = {"fp32": types.Float32, "fp16": types.Half, "bf16": types.Bfloat16, "int8": types.Int8}
    _set_common(config, pir)
    if cache is None:
        config.enable_use_gpu(GPU_MEMORY_MB, device.number, kinds[precision])
        return
    config.enable_use_gpu(GPU_MEMORY_MB, device.number)
    settings = graph["tensorrt"]
    if settings.get("precision") and precision == "fp32":
        precision = settings["precision"]
    config.set_optim_cache_dir(str(cache))
    config.enable_tensorrt_engine(
        workspace_size=settings["workspace_mb"] << 20,
        max_batch_size=settings["max_batch"],
        min_subgraph_size=SMALLEST_SUBGRAPH,
        precision_mode=kinds[precision],
        use_static=True,
        use_calib_mode=False,  # the ranges of an INT8 graph are in it
    )
    ranges = {entry["name"]: entry["range"] for entry in graph["inputs"]}
    config.set_trt_dynamic_shape_info(
        {name: entry["min"] for name, entry in ranges.items()},
        {name: entry["max"] for name, entry in ranges.items()},
        {name: entry["opt"] for name, entry in ranges.items()},
    )


def _set_common(config: Any, pir: bool) -> None:
    config.disable_glog_info()
    config.enable_memory_optim()
    if pir:
        config.enable_new_executor(True)
