"""Names and sizes of the scripts in tools/ and deploy/, and what their --help imports."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = sorted((ROOT / "tools").glob("*.py"))
SCRIPTS = [*TOOLS, *sorted((ROOT / "deploy").glob("*.py"))]
# Each takes from half a second to eight seconds to import; --help must not wait for them.
HEAVY = {
    "paddle",
    "paddlenlp",
    "paddleslim",
    "paddleaudio",
    "visualdl",
    "scipy",
    "sklearn",
    "matplotlib",
    "cv2",
    "pandas",
}

# Runs a script as __main__ and then tells which of HEAVY it has imported; the exit code is the script's.
SPY = """
import atexit, runpy, sys
heavy = set(sys.argv.pop(1).split(","))
atexit.register(lambda: print("HEAVY:", *sorted(heavy & set(sys.modules)), file=sys.stderr))
sys.argv.pop(0)
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def heavy_imports(code: str, *arguments: str) -> tuple[int, list[str]]:
    """(exit code, the heavy modules imported) of ``code`` in a new interpreter."""
    command = [sys.executable, "-c", code, ",".join(sorted(HEAVY)), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    lines = [line for line in done.stderr.splitlines() if line.startswith("HEAVY:")]
    assert len(lines) == 1, done.stderr
    return done.returncode, lines[0].split()[1:]


def test_no_script_or_folder_bears_the_name_of_a_module() -> None:
    """``python tools/x.py`` puts tools/ first on the path, where tools/inspect.py would be everybody's `inspect`."""
    installed = pkgutil.iter_modules([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    taken = {*sys.stdlib_module_names, *(module.name for module in installed)}
    entries = [path for folder in ("tools", "deploy") for path in (ROOT / folder).rglob("*")]
    names = {name_of(path): path.stem for path in entries if path.is_dir() or path.suffix == ".py"}
    assert {"inspect", "types", "numpy", "paddle"} <= taken
    assert {place for place, name in names.items() if name in taken} == set()


@pytest.mark.parametrize("script", TOOLS, ids=name_of)
def test_a_tool_has_at_most_sixty_lines(script: Path) -> None:
    assert len(script.read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("script", SCRIPTS, ids=name_of)
def test_help_imports_nothing_heavy(script: Path) -> None:
    assert heavy_imports(SPY, str(script), "--help") == (0, [])


@pytest.mark.parametrize("module", ["ppmm", "ppmm.doctor", "ppmm.config", "ppmm.registry"])
def test_import_of_ppmm_imports_nothing_heavy(module: str) -> None:
    found = "sorted(set(sys.argv[1].split(',')) & set(sys.modules))"
    assert heavy_imports(f"import sys, {module}; print('HEAVY:', *{found}, file=sys.stderr)") == (0, [])


def test_the_spy_sees_heavy_imports(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import cv2\nraise SystemExit(3)\n")
    assert heavy_imports(SPY, str(script)) == (3, ["cv2"])
