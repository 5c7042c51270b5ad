"""`python -m ppmm.doctor`: this machine and its packages in one table, what is known to go wrong here, and the remedy.

Whatever imports Paddle or OpenCV runs in a process of its own, so that a crash there becomes a line of the table.
Exits with 1 where results would be wrong, a package is broken, or the self-test fails; with 0 otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ppmm
from ppmm import environment, versions
from ppmm.probes import in_child
from ppmm.versions import Problem

__all__ = ["main"]

TOLERANCE = 1e-4  # of the oneDNN self-test; a right one differs by 3e-7, Paddle 3.3.1 by 1.8 to 3.3
SHARED_MEMORY = Path("/dev/shm")
Ask = Callable[..., dict[str, Any]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table (or JSON); returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ppmm.doctor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="without the speed measurement and the oneDNN self-test")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    options = parser.parse_args(arguments)
    report = collect(quick=options.quick)
    print(json.dumps(report, indent=2) if options.json else render(report))
    return 0 if report["good"] else 1


def collect(quick: bool, ask: Ask = in_child) -> dict[str, Any]:
    """All that is found, as JSON-able values.

    Args:
        quick: leave out what takes more than the imports.
        ask: (name of a probe, its text arguments) -> its answer, or ``{"error": why}``.
    """
    installed = versions.installed_versions()
    processor = environment.cpu()
    setting = os.environ.get("MKL_DEBUG_CPU_TYPE")
    report: dict[str, Any] = {
        "ppmm": ppmm.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cpu": {
            "model": processor.model or platform.machine(),
            "cores": os.cpu_count(),
            **{name: getattr(processor, name) for name in ("avx512", "vnni", "bf16")},
        },
        "mkl": {"setting": setting, "wanted": environment.mkl_cpu_type(processor)},
        "versions": version_rows(installed),
        "paddle": ask("paddle_facts"),
        "cv2": ask("cv2_facts"),
        "shared_memory": shared_memory(),
    }
    if not quick and "error" not in report["paddle"]:
        report["matmul"] = ask("matmul_speed", setting or "")
        if setting is not None:
            report["matmul_without_setting"] = ask("matmul_speed", "")
        report["onednn"] = ask("onednn_self_test")
    problems = sorted(versions.known_problems(installed) + found_problems(report), key=versions.severity)
    report["problems"] = [asdict(problem) for problem in problems]
    report["good"] = not any(problem.level in ("wrong", "broken") for problem in problems)
    return report


def version_rows(installed: Mapping[str, str]) -> list[dict[str, str | None]]:
    """A row for each installed member of the tested set, and for each that is missing altogether."""
    rows: list[dict[str, str | None]] = []
    for family, tested in versions.TESTED.items():
        present = [name for name in versions.ALTERNATIVES.get(family, (family,)) if name in installed]
        rows += [{"name": name, "tested": tested, "found": installed[name]} for name in present]
        if not present:
            rows.append({"name": family, "tested": tested, "found": None})
    return rows


def found_problems(report: Mapping[str, Any]) -> list[Problem]:
    """What the report's own findings tell, beside what is known of the versions."""
    problems = []
    if "error" in report["paddle"]:
        remedy = "pip install paddlepaddle==3.1.1, or paddlepaddle-gpu from Paddle's own index"
        problems.append(Problem("broken", f"paddle does not import: {report['paddle']['error']}", remedy))
    if "error" in report["cv2"]:
        remedy = "pip uninstall -y opencv-python; pip install --no-deps opencv-python-headless==4.6.0.66"
        problems.append(Problem("broken", f"cv2 does not import: {report['cv2']['error']}", remedy))
    for name in ("matmul", "matmul_without_setting", "onednn"):
        if "error" in report.get(name, {}):
            remedy = "install the tested versions (requirements.txt)"
            problems.append(Problem("broken", f"the {name} measurement failed: {report[name]['error']}", remedy))
    if not report.get("onednn", {}).get("largest", 0.0) <= TOLERANCE:  # NaN is wrong too
        what = f"oneDNN changes the output of an exported graph by {report['onednn']['largest']:.2g}"
        problems.append(Problem("wrong", what, "install Paddle 3.1.1, or predict without oneDNN"))
    setting, wanted = report["mkl"]["setting"], report["mkl"]["wanted"]
    if wanted is not None and setting != wanted:
        what = f"MKL_DEBUG_CPU_TYPE is {setting}, and {wanted} is the fastest for this CPU"
        problems.append(Problem("slow", what, "unset it: ppmm chooses"))
    if report["shared_memory"] is not None and report["shared_memory"] < 2**30:
        what = f"{SHARED_MEMORY} has {_gib(report['shared_memory'])}, and the data loader's workers share batches there"
        problems.append(Problem("note", what, "start the container with --shm-size=2g, or train with workers: 0"))
    return problems


def shared_memory(folder: Path = SHARED_MEMORY) -> int | None:
    """Bytes of the shared memory's file system, None where there is none."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_frsize * found.f_blocks


def render(report: Mapping[str, Any]) -> str:
    """The report as text."""
    cpu = report["cpu"]
    features = ", ".join(f"{name.upper()} {'yes' if cpu[name] else 'no'}" for name in ("avx512", "vnni", "bf16"))
    lines = [
        f"ppmm {report['ppmm']}, Python {report['python']}, {report['system']}",
        f"CPU       {cpu['model']}, {cpu['cores']} cores; {features}",
        f"MKL       MKL_DEBUG_CPU_TYPE={report['mkl']['setting'] or '(not set)'}",
        f"matmul    {_speed(report)}",
        f"GPU       {_gpu(report['paddle'])}",
        f"oneDNN    {_onednn(report.get('onednn'))}",
        f"cv2       {_cv2(report['cv2'])}",
        f"/dev/shm  {_gib(report['shared_memory'])}",
        "",
        f"{'package':24}{'found':16}tested",
    ]
    for row in report["versions"]:
        found = row["found"] or "(not installed)"
        mark = "" if row["found"] is None or versions.same_release(row["found"], row["tested"]) else "   <- other"
        lines.append(f"{row['name']:24}{found:16}{row['tested']}{mark}")
    lines.append("")
    for problem in report["problems"]:
        lines += [f"{problem['level']:8}{problem['what']}", f"{'':8}-> {problem['remedy']}"]
    return "\n".join([*lines, "", "good" if report["good"] else "NOT GOOD: see the lines 'wrong' and 'broken' above"])


def _speed(report: Mapping[str, Any]) -> str:
    speed, without = report.get("matmul"), report.get("matmul_without_setting", {})
    if speed is None or "error" in speed:
        return "not measured" if speed is None else f"failed: {speed['error']}"
    threads = f"{speed['threads']} thread{'s' if speed['threads'] > 1 else ''}"
    compared = f" ({without['gflops']:g} without the MKL setting)" if "gflops" in without else ""
    return f"{speed['gflops']:g} GFLOP/s with {threads}, 1024 x 1024 x 1024{compared}"


def _gpu(facts: Mapping[str, Any]) -> str:
    if "error" in facts:
        return "unknown: paddle does not import"
    if facts["cuda"] is None:
        return "none: this is Paddle for CPUs"
    return f"{', '.join(facts['gpus']) or 'none found'}; Paddle for CUDA {facts['cuda']}"


def _onednn(test: Mapping[str, Any] | None) -> str:
    if test is None:
        return "not tested"
    if "error" in test:
        return f"self-test failed: {test['error']}"
    verdict = "passed" if test["largest"] <= TOLERANCE else "FAILED"
    return f"self-test {verdict}: differs from dygraph by {test['onednn']:.2g}, the plain graph by {test['plain']:.2g}"


def _cv2(facts: Mapping[str, Any]) -> str:
    if "error" in facts:
        return f"does not import: {facts['error']}"
    return f"{facts['version']}, of {' and '.join(facts['owners']) or 'an unknown package'}"


def _gib(size: int | None) -> str:
    return "none" if size is None else f"{size / 2**30:.1f} GiB"


if __name__ == "__main__":
    sys.exit(main())
