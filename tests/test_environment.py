"""ppmm.environment: the MKL setting and the threads, on made-up processors."""

from __future__ import annotations

import importlib.util
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from ppmm import environment
from ppmm.environment import Cpu, mkl_cpu_type, parse_cpuinfo, prepare, set_threads

AVX512 = "avx512f avx512dq avx512cd avx512bw avx512vl"


def cpuinfo(vendor: str, flags: str, model: str = "Some CPU") -> str:
    """/proc/cpuinfo of two processors, as Linux writes it on x86."""
    block = f"processor\t: 0\nvendor_id\t: {vendor}\nmodel name\t: {model}\nflags\t\t: fpu {flags}\nbugs\t\t: a b\n\n"
    return block + block.replace("processor\t: 0", "processor\t: 1")


ZEN4 = cpuinfo("AuthenticAMD", f"avx2 {AVX512} avx512_vnni avx512_bf16", "AMD EPYC")
ZEN2 = cpuinfo("AuthenticAMD", "avx2 fma")
ICE_LAKE = cpuinfo("GenuineIntel", f"avx2 {AVX512} avx512_vnni")
KNIGHTS = cpuinfo("AuthenticAMD", "avx2 avx512f avx512cd")
OLD_AMD = cpuinfo("AuthenticAMD", "sse4_2 avx")
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd\nCPU implementer\t: 0x41\n"


@pytest.fixture(autouse=True)
def on_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")


def test_cpuinfo_is_read() -> None:
    cpu = parse_cpuinfo(ZEN4)
    assert (cpu.vendor, cpu.model) == ("AuthenticAMD", "AMD EPYC")
    assert cpu.flags == {"fpu", "avx2", *AVX512.split(), "avx512_vnni", "avx512_bf16"}
    assert (cpu.avx512, cpu.vnni, cpu.bf16) == (True, True, True)
    assert parse_cpuinfo(ARM) == Cpu("", "", frozenset())


def test_features_of_other_processors() -> None:
    assert [(cpu.avx512, cpu.vnni, cpu.bf16) for cpu in map(parse_cpuinfo, (ZEN2, ICE_LAKE, KNIGHTS))] == [
        (False, False, False),
        (True, True, False),
        (False, False, False),
    ]
    assert Cpu(flags=frozenset({"avx_vnni"})).vnni
    assert Cpu(flags=frozenset({"amx_bf16"})).bf16


@pytest.mark.parametrize(
    ("text", "wanted"), [(ZEN4, "7"), (ZEN2, "5"), (KNIGHTS, "5"), (OLD_AMD, None), (ICE_LAKE, None), (ARM, None)]
)
def test_mkl_type(text: str, wanted: str | None) -> None:
    assert mkl_cpu_type(parse_cpuinfo(text)) == wanted


def test_a_missing_cpuinfo_is_an_empty_cpu(tmp_path: Path) -> None:
    assert environment.cpu(tmp_path / "cpuinfo") == Cpu("", "", frozenset())
    (tmp_path / "cpuinfo").write_text(ICE_LAKE)
    assert environment.cpu(tmp_path / "cpuinfo").vendor == "GenuineIntel"


def test_prepare_sets_what_the_cpu_wants() -> None:
    for text, expected in ((ZEN4, {"MKL_DEBUG_CPU_TYPE": "7"}), (ICE_LAKE, {}), (ARM, {})):
        environ: dict[str, str] = {}
        prepare(environ, parse_cpuinfo(text))
        assert environ == expected


def test_prepare_keeps_the_users_choice() -> None:
    environ = {"MKL_DEBUG_CPU_TYPE": "5"}
    prepare(environ, parse_cpuinfo(ZEN4))
    assert environ == {"MKL_DEBUG_CPU_TYPE": "5"}


def test_prepare_sets_nothing_elsewhere_than_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    environ: dict[str, str] = {}
    prepare(environ, parse_cpuinfo(ZEN4))
    assert environ == {}


@pytest.mark.parametrize("in_use", [True, False])
def test_prepare_warns_in_one_line_when_it_is_too_late(
    in_use: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(environment, "_mkl_in_use", lambda: in_use)
    prepare({}, parse_cpuinfo(ZEN2))
    expected = [
        "Paddle computed before ppmm was imported and stays slow on this CPU: import ppmm before paddle is used, "
        "or set MKL_DEBUG_CPU_TYPE=5"
    ]
    assert [record.getMessage() for record in caplog.records] == (expected if in_use else [])


def test_threads_are_assigned_before_paddle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "paddle", raising=False)
    environ = {"OMP_NUM_THREADS": "8", "MKL_NUM_THREADS": "8"}
    set_threads(2, environ)
    assert environ == {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}


@pytest.mark.parametrize("told", [True, False])
def test_threads_after_paddle_go_to_mkl_or_say_so(
    told: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    counts: list[int] = []
    monkeypatch.setitem(sys.modules, "paddle", sys)
    monkeypatch.setattr(environment, "_set_mkl_threads", lambda count: counts.append(count) or told)
    with caplog.at_level(logging.WARNING, "ppmm"):
        set_threads(3, {})
    assert counts == [3]
    assert [record.getMessage() for record in caplog.records] == (
        []
        if told
        else ["Paddle is already imported and keeps its threads: call ppmm.environment.set_threads before it"]
    )


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, not 0"):
        set_threads(0, {})


THREADS = """
import ctypes, json, sys
import ppmm
from ppmm.environment import set_threads
if sys.argv[1] == "before":
    set_threads(2)
import paddle
library = ctypes.CDLL(paddle.__path__[0] + "/libs/libmklml_intel.so")
if sys.argv[1] == "after":
    set_threads(2)
paddle.matmul(paddle.ones([8, 8]), paddle.ones([8, 8]))
counts = [library.MKL_Get_Max_Threads()]
set_threads(1)
print(json.dumps([*counts, library.MKL_Get_Max_Threads()]))
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_paddles_own_mkl_obeys(when: str) -> None:
    """The MKL inside Paddle itself is asked: 2 threads, then 1."""
    paddle = importlib.util.find_spec("paddle")
    assert paddle is not None and paddle.origin is not None
    if not (Path(paddle.origin).parent / "libs" / "libmklml_intel.so").is_file():
        pytest.skip("this Paddle is built without MKL")
    done = subprocess.run([sys.executable, "-c", THREADS, when], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == [2, 1]
