"""ppmm.doctor and ppmm.probes: made-up findings first, then this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ppmm import doctor, environment, probes, versions
from ppmm.environment import Cpu

GOOD_ANSWERS: dict[str, dict[str, Any]] = {
    "paddle_facts": {"version": "3.1.1", "cuda": None, "gpus": []},
    "cv2_facts": {"version": "4.6.0", "owners": ["opencv-python"]},
    "matmul_speed": {"gflops": 88.0, "threads": 1},
    "onednn_self_test": {"plain": 0.0, "onednn": 3e-7, "largest": 3e-7},
}
AMD = Cpu("AuthenticAMD", "Some EPYC", frozenset({"avx2", "avx512_vnni"}))


@pytest.fixture(autouse=True)
def made_up_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "cpu", lambda: AMD)
    monkeypatch.setattr(versions, "installed_versions", lambda names=(): {"paddlepaddle": "3.1.1", "numpy": "1.26.4"})
    monkeypatch.setattr(doctor, "shared_memory", lambda: 2 * 2**30)
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "5")


def collect(quick: bool = False, **answers: dict[str, Any]) -> dict[str, Any]:
    """The report for made-up answers of the probes."""

    def ask(probe: str, *arguments: str) -> dict[str, Any]:
        if arguments == ("",):
            return {"gflops": 34.0, "threads": 1}
        return {**GOOD_ANSWERS, **answers}[probe]

    return doctor.collect(quick, ask)


def serious(report: dict[str, Any]) -> list[tuple[str, str]]:
    return [(problem["level"], problem["what"]) for problem in report["problems"] if problem["level"] != "note"]


def test_a_good_machine() -> None:
    report = collect()
    assert report["good"]
    assert serious(report) == []
    assert report["matmul"] == {"gflops": 88.0, "threads": 1}
    assert report["matmul_without_setting"] == {"gflops": 34.0, "threads": 1}
    assert report["versions"][0] == {"name": "paddlepaddle", "tested": "3.1.1", "found": "3.1.1"}
    assert report["versions"][1] == {"name": "paddlenlp", "tested": "2.8.1", "found": None}
    assert json.loads(json.dumps(report)) == report


def test_the_table_of_a_good_machine() -> None:
    lines = doctor.render(collect()).splitlines()
    assert lines[1] == f"CPU       Some EPYC, {os.cpu_count()} cores; AVX512 no, VNNI yes, BF16 no"
    assert lines[2:9] == [
        "MKL       MKL_DEBUG_CPU_TYPE=5",
        "matmul    88 GFLOP/s with 1 thread, 1024 x 1024 x 1024 (34 without the MKL setting)",
        "GPU       none: this is Paddle for CPUs",
        "oneDNN    self-test passed: differs from dygraph by 3e-07, the plain graph by 0",
        "cv2       4.6.0, of opencv-python",
        "/dev/shm  2.0 GiB",
        "",
    ]
    assert lines[10].split() == ["paddlepaddle", "3.1.1", "3.1.1"]
    assert lines[-1] == "good"


def test_quick_measures_nothing() -> None:
    report = collect(quick=True)
    assert {"matmul", "matmul_without_setting", "onednn"} & set(report) == set()
    assert "oneDNN    not tested" in doctor.render(report)


def test_no_second_measurement_where_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MKL_DEBUG_CPU_TYPE")
    monkeypatch.setattr(environment, "cpu", lambda: Cpu("GenuineIntel", "Xeon", frozenset({"avx2"})))
    report = collect()
    assert "matmul_without_setting" not in report
    assert serious(report) == []
    assert "MKL       MKL_DEBUG_CPU_TYPE=(not set)" in doctor.render(report)


def test_a_wrong_onednn_is_wrong() -> None:
    report = collect(onednn_self_test={"plain": 0.0, "onednn": 1.83, "largest": 1.83})
    assert not report["good"]
    assert serious(report) == [("wrong", "oneDNN changes the output of an exported graph by 1.8")]
    assert "self-test FAILED: differs from dygraph by 1.8" in doctor.render(report)


def test_nan_of_onednn_is_wrong() -> None:
    report = collect(onednn_self_test={"plain": 0.0, "onednn": float("nan"), "largest": float("nan")})
    assert serious(report) == [("wrong", "oneDNN changes the output of an exported graph by nan")]
    assert "self-test FAILED" in doctor.render(report)


def test_a_crash_of_a_probe_is_broken() -> None:
    report = collect(onednn_self_test={"error": "killed by signal 11"})
    assert serious(report) == [("broken", "the onednn measurement failed: killed by signal 11")]
    assert not report["good"]


def test_a_paddle_that_does_not_import() -> None:
    report = collect(paddle_facts={"error": "ModuleNotFoundError: No module named 'paddle'"})
    assert "onednn" not in report
    assert serious(report) == [("broken", "paddle does not import: ModuleNotFoundError: No module named 'paddle'")]
    assert "GPU       unknown: paddle does not import" in doctor.render(report)


def test_a_cv2_without_libgl() -> None:
    report = collect(cv2_facts={"error": "ImportError: libGL.so.1: cannot open shared object file"})
    assert serious(report) == [
        ("broken", "cv2 does not import: ImportError: libGL.so.1: cannot open shared object file")
    ]
    assert "install --no-deps opencv-python-headless==4.6.0.66" in report["problems"][0]["remedy"]


def test_a_version_known_to_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "installed_versions", lambda names=(): {"paddlepaddle-gpu": "3.3.1"})
    report = collect(quick=True)
    assert not report["good"]
    assert report["problems"][0]["level"] == "wrong"
    assert "paddlepaddle-gpu        3.3.1           3.1.1   <- other" in doctor.render(report)


def test_a_slow_setting_and_a_small_shared_memory_leave_it_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_DEBUG_CPU_TYPE", "4")
    monkeypatch.setattr(doctor, "shared_memory", lambda: 64 * 2**20)
    report = collect()
    assert report["good"]
    assert serious(report) == [("slow", "MKL_DEBUG_CPU_TYPE is 4, and 5 is the fastest for this CPU")]
    assert "/dev/shm has 0.1 GiB, and the data loader's workers share batches there" in [
        problem["what"] for problem in report["problems"]
    ]


def test_gpus_are_named() -> None:
    report = collect(paddle_facts={"version": "3.1.1", "cuda": "12.6", "gpus": ["A10", "A10"]})
    assert "GPU       A10, A10; Paddle for CUDA 12.6" in doctor.render(report)


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_exit_code(good: bool, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "collect", lambda quick: {"quick": quick, "good": good})
    assert doctor.main(["--quick", "--json"]) == code
    assert json.loads(capsys.readouterr().out) == {"quick": True, "good": good}


def test_the_shared_memory_of_a_missing_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    found = os.statvfs(tmp_path)
    assert doctor.shared_memory(tmp_path) == found.f_frsize * found.f_blocks
    assert doctor.shared_memory(tmp_path / "none") is None


def test_a_child_that_fails_answers_with_its_last_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert probes.in_child("no_such_probe")["error"].startswith("AttributeError")
    monkeypatch.setattr(probes, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert probes.in_child("cv2_facts") == {"error": "killed by signal 11"}
    monkeypatch.setattr(probes, "CHILD", "import time; time.sleep(60)")
    assert probes.in_child("cv2_facts", seconds=0.2) == {"error": "no answer in 0.2 s"}


def test_this_machine_as_json() -> None:
    """The real command, whose children see the real packages."""
    done = subprocess.run([sys.executable, "-m", "ppmm.doctor", "--json"], capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert done.returncode == (0 if report["good"] else 1)
    assert report["onednn"]["plain"] <= 1e-5
    assert report["onednn"]["onednn"] <= doctor.TOLERANCE
    assert report["matmul"]["gflops"] > 0
    assert report["cv2"]["owners"][0] in versions.CV2
