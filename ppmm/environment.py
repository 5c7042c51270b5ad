"""What must be right before Paddle computes: its MKL's setting and threads. Standard library only.

`import ppmm` calls `prepare`; nothing else in ppmm sets Paddle's environment variables.
"""

from __future__ import annotations

import ctypes
import importlib.util
import logging
import os
import platform
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cpu", "cpu", "mkl_cpu_type", "parse_cpuinfo", "prepare", "set_threads"]

LOG = logging.getLogger(__name__)


class Cpu(NamedTuple):
    """The processor as /proc/cpuinfo names it; empty where that file does not exist."""

    vendor: str = ""
    model: str = ""
    flags: frozenset[str] = frozenset()

    @property
    def avx512(self) -> bool:
        """Whether it has the five AVX512 groups that MKL's AVX512 code needs."""
        return {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"} <= self.flags

    @property
    def vnni(self) -> bool:
        """Whether it multiplies INT8 in one instruction: INT8 models are fast."""
        return bool({"avx512_vnni", "avx_vnni"} & self.flags)

    @property
    def bf16(self) -> bool:
        """Whether it multiplies bfloat16 in one instruction: bf16 models are fast."""
        return bool({"avx512_bf16", "amx_bf16"} & self.flags)


def parse_cpuinfo(text: str) -> Cpu:
    """The first processor of a /proc/cpuinfo text (ARM's has no vendor and no flags: empty)."""

    def value(key: str) -> str:
        found = re.search(rf"^{key}[ \t]*:[ \t]*(.*)$", text, re.MULTILINE)
        return found.group(1).strip() if found else ""

    return Cpu(value("vendor_id"), value("model name"), frozenset(value("flags").split()))


def cpu(path: Path = Path("/proc/cpuinfo")) -> Cpu:
    """This machine's processor; an empty `Cpu` where there is no such file."""
    try:
        return parse_cpuinfo(path.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return Cpu()


def mkl_cpu_type(processor: Cpu) -> str | None:
    """The MKL_DEBUG_CPU_TYPE that lifts MKL off its slow generic path, None where MKL needs no help.

    MKL chooses its kernels by vendor, not by feature. Measured on one core of an AMD EPYC (Zen 4), matmul of
    1024 x 1024: 34 GFLOP/s without, 83 with 5 (AVX2), 102 with 7 (AVX512).
    """
    if processor.vendor in ("", "GenuineIntel") or "avx2" not in processor.flags:
        return None
    return "7" if processor.avx512 else "5"


def prepare(environ: MutableMapping[str, str] = os.environ, processor: Cpu | None = None) -> None:
    """Set what Paddle's MKL reads once, at its first product; warns in one line where that product came earlier.

    Args:
        environ: the variables to set; one that is already set is left as the user chose it.
        processor: this machine's where None.
    """
    if "MKL_DEBUG_CPU_TYPE" in environ or platform.machine() not in ("x86_64", "AMD64"):
        return
    wanted = mkl_cpu_type(cpu() if processor is None else processor)
    if wanted is None:
        return
    environ["MKL_DEBUG_CPU_TYPE"] = wanted
    if _mkl_in_use():
        LOG.warning(
            "Paddle computed before ppmm was imported and stays slow on this CPU: import ppmm before paddle is used, "
            "or set MKL_DEBUG_CPU_TYPE=%s",
            wanted,
        )


def _mkl_in_use() -> bool:
    """Whether Paddle has loaded its MKL, which it does at its first product, not at import."""
    if "paddle" not in sys.modules:
        return False
    try:
        return "libmklml" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True


def set_threads(count: int, environ: MutableMapping[str, str] = os.environ) -> None:
    """Let Paddle's matrix products use ``count`` threads, in this process and in those that it starts.

    OMP_NUM_THREADS stays 1. Measured on two cores, MKL's two threads alone reach what OMP_NUM_THREADS=2 reaches
    (matmul 104 -> 206 GFLOP/s; training steps of a CNN, a Transformer and a BiLSTM 0 to 30 % faster), while the latter
    makes Paddle warn and, on a busy machine, lets threads that wait for one another slow a BiLSTM's step fourfold.
    Paddle Inference has a switch of its own (`Config.set_cpu_math_library_num_threads`).

    Once Paddle is imported the variables come too late for it, and MKL is told directly; NumPy's own threads then
    keep the number that they have. Where neither is possible, a warning says so.

    Args:
        count: threads, at least 1. Two are not always faster than one for small models: measure.
        environ: the variables to set.
    """
    if count < 1:
        raise ValueError(f"threads must be at least 1, not {count}")
    environ["OMP_NUM_THREADS"] = "1"
    environ["MKL_NUM_THREADS"] = environ["OPENBLAS_NUM_THREADS"] = str(count)
    if "paddle" in sys.modules and not _set_mkl_threads(count):
        LOG.warning("Paddle is already imported and keeps its threads: call ppmm.environment.set_threads before it")


def _set_mkl_threads(count: int) -> bool:
    """Tell Paddle's MKL its number of threads; False where Paddle was built without (ARM, OpenBLAS)."""
    spec = importlib.util.find_spec("paddle")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        library = Path(folder) / "libs" / "libmklml_intel.so"
        if library.is_file():
            ctypes.CDLL(str(library)).MKL_Set_Num_Threads(ctypes.c_int(count))
            return True
    return False
