"""ppmm.versions: tested pins, the warning at import, and what is known of made-up combinations."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ppmm import versions
from ppmm.versions import TESTED, Problem, known_problems, release, version_warning

ROOT = Path(__file__).resolve().parent.parent
GOOD = {
    **TESTED,
    "pandas": "2.3.3",
    "pyarrow": "19.0.1",
    "datasets": "3.6.0",
    "scipy": "1.15.3",
    "scikit-learn": "1.6.1",
    "matplotlib": "3.10.9",
    "huggingface-hub": "0.25.2",
    "aistudio-sdk": "0.2.6",
    "decorator": "5.3.1",
    "onnx-graphsurgeon": "0.6.1",
    "setuptools": "75.8.0",
}


def pins(path: Path) -> dict[str, str]:
    """{normalised name: version} of a file of ``name==version`` lines."""
    lines = re.findall(r"^([\w.-]+)==(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lines}


def serious(changes: dict[str, str | None], python: tuple[int, int] = (3, 11)) -> list[tuple[str, str]]:
    """(level, what) of all but the notes, for the tested set with changes (None: not installed)."""
    mixed = {name: version for name, version in {**GOOD, **changes}.items() if version is not None}
    return [(problem.level, problem.what) for problem in known_problems(mixed, python) if problem.level != "note"]


def test_requirements_pin_the_tested_versions() -> None:
    pinned = pins(ROOT / "requirements.txt")
    assert {name: pinned.get(name) for name in TESTED} == TESTED


@pytest.mark.parametrize("python", ["310", "311", "312"])
def test_constraints_hold_every_pin(python: str) -> None:
    constraints = pins(ROOT / "constraints" / f"py{python}.txt")
    assert {name: constraints.get(name) for name in pins(ROOT / "requirements.txt")} == pins(ROOT / "requirements.txt")


@pytest.mark.parametrize("python", ["310", "311", "312"])
def test_constraints_hold_all_that_the_extras_bring(python: str) -> None:
    """Ray's own requirements too; those of its requirements as far as they are installed here."""
    wanted, todo = set(), ["ray", "datasketch", "ftfy", "py3langid"]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if name in wanted:
            continue
        wanted.add(name)
        try:
            needs = [Requirement(line) for line in requires(name) or ()]
        except PackageNotFoundError:
            continue
        todo += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    assert wanted >= {"ray", "datasketch", "ftfy", "py3langid"}
    assert sorted(wanted - pins(ROOT / "constraints" / f"py{python}.txt").keys()) == []


@pytest.mark.parametrize(
    ("version", "numbers"),
    [
        ("3.1.1", (3, 1, 1)),
        ("3.1.1.post126", (3, 1, 1)),
        ("2.9.0b4", (2, 9, 0)),
        ("4.6.0.66", (4, 6, 0, 66)),
        ("dev", ()),
    ],
)
def test_release(version: str, numbers: tuple[int, ...]) -> None:
    assert release(version) == numbers


def test_no_warning_for_the_tested_set() -> None:
    assert version_warning(GOOD) is None
    assert version_warning({"paddlepaddle-gpu": "3.1.1.post126", "opencv-python-headless": "4.6.0.66"}) is None
    assert version_warning({}) is None


def test_the_warning_names_every_other_version_in_one_line() -> None:
    found = version_warning({"paddlepaddle-gpu": "3.2.2", "numpy": "1.26.4", "visualdl": "2.5.0"})
    assert found == (
        "ppmm is not tested with paddlepaddle-gpu 3.2.2 (tested: 3.1.1), visualdl 2.5.0 (tested: 2.5.3); "
        "python -m ppmm.doctor tells what is known of it"
    )


def test_the_tested_set_has_notes_only() -> None:
    assert serious({}) == []
    assert serious({}, (3, 12)) == []
    assert known_problems({"numpy": "1.26.4"}, (3, 11)) == []
    assert [problem.what for problem in known_problems(GOOD, (3, 11))] == [
        "fp16 autocast on a CPU silently stays fp32",
        "INT8 of paddle.quantization is wrong under oneDNN",
        "PaddleSlim's quant_post_dynamic gives NaN",
        "paddle2onnx aborts on INT8 models",
    ]


@pytest.mark.parametrize("wheel", ["paddlepaddle", "paddlepaddle-gpu"])
def test_paddle_3_3_is_wrong(wheel: str) -> None:
    first, second = known_problems({wheel: "3.3.1", "paddleslim": "2.6.0", "decorator": "5"}, (3, 11))[:2]
    assert first == Problem(
        "wrong",
        "oneDNN of Paddle 3.3 gives wrong results: inplace_pass overwrites a value that is still used",
        "install 3.1.1, or call config.delete_pass('inplace_pass')",
    )
    assert second.level == "note"
    assert second.what == "PaddleSlim cannot trace models with matmul on Paddle 3.2 and 3.3: no INT8 Transformers"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"paddlepaddle-gpu": "3.1.1"},
            "paddlepaddle and paddlepaddle-gpu own one module, paddle: which files it has is chance",
        ),
        (
            {"opencv-python-headless": "4.6.0.66"},
            "opencv-python and opencv-python-headless own one module, cv2: which files it has is chance",
        ),
        ({"numpy": "2.2.0"}, "OpenCV 4.6 and paddleaudio do not import with numpy 2"),
        ({"pyarrow": "26.0.0"}, "pyarrow 20 and later import only with numpy 2"),
        ({"scipy": "1.16.0"}, "scipy 1.16 and later import only with numpy 2"),
        ({"huggingface-hub": "0.26.0"}, "paddlenlp does not import with huggingface-hub 0.26 or later"),
        ({"aistudio-sdk": "0.3.1"}, "paddlenlp does not import with aistudio-sdk 0.3 or later"),
        ({"decorator": None}, "paddleslim needs decorator, undeclared"),
        ({"paddlepaddle": "2.6.2", "paddle2onnx": None}, "Paddle 2 cannot write the PIR graphs that ppmm exports"),
    ],
)
def test_a_broken_combination(changes: dict[str, str | None], expected: str) -> None:
    assert serious(changes) == [("broken", expected)]


def test_setuptools_are_needed_from_python_3_12_on() -> None:
    assert serious({"setuptools": None}, (3, 11)) == []
    assert serious({"setuptools": None}, (3, 12)) == [("broken", "Paddle needs setuptools on Python 3.12, undeclared")]


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"paddlepaddle": "3.0.0"}, "Paddle 3.0 does not export log-mel of dynamic length"),
        (
            {"paddlepaddle": "3.2.2"},
            "PaddleSlim cannot trace models with matmul on Paddle 3.2 and 3.3: no INT8 Transformers",
        ),
        ({"onnx-graphsurgeon": None}, "paddle2onnx's default export runs pip at run time, which brings numpy 2"),
    ],
)
def test_a_note(changes: dict[str, str | None], note: str) -> None:
    assert serious(changes) == []
    mixed = {name: version for name, version in {**GOOD, **changes}.items() if version is not None}
    assert note in [problem.what for problem in known_problems(mixed, (3, 11))]


def test_problems_without_their_package_are_not_named() -> None:
    whats = [problem.what for problem in known_problems({"paddlepaddle": "3.1.1", "numpy": "1.26.4"}, (3, 11))]
    assert whats == ["fp16 autocast on a CPU silently stays fp32", "INT8 of paddle.quantization is wrong under oneDNN"]


def test_installed_versions_are_those_of_this_environment() -> None:
    found = versions.installed_versions(["pytest", "no-such-package", "pytest"])
    assert found == {"pytest": pytest.__version__}


WARNS = """
import sys, logging
if sys.argv[1] == "silent":
    logging.getLogger("ppmm").setLevel("ERROR")
import importlib.metadata as metadata
known = metadata.version
metadata.version = lambda name: "3.2.2" if name == "paddlepaddle" else known(name)
import ppmm
"""


def test_import_warns_in_one_line_that_can_be_silenced() -> None:
    for how, lines in (("loud", 1), ("silent", 0)):
        done = subprocess.run([sys.executable, "-c", WARNS, how], cwd=ROOT, capture_output=True, text=True, check=True)
        assert len(done.stderr.splitlines()) == lines, done.stderr
        assert done.stderr.count("paddlepaddle 3.2.2 (tested: 3.1.1)") == lines
