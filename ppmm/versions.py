"""The versions that ppmm was tested with, and what is known to go wrong in others. Standard library only.

`python -m ppmm.doctor` prints what applies to this machine.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ALTERNATIVES",
    "CV2",
    "PADDLE",
    "TESTED",
    "WATCHED",
    "Problem",
    "installed_versions",
    "known_problems",
    "release",
    "same_release",
    "severity",
    "tested_and_found",
    "version_warning",
]

PADDLE = ("paddlepaddle", "paddlepaddle-gpu")
CV2 = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")

# One known-good set, measured together; requirements.txt pins the same (a test compares them).
TESTED = {
    "paddlepaddle": "3.1.1",
    "paddlenlp": "2.8.1",
    "paddleslim": "2.6.0",
    "paddleaudio": "1.0.2",
    "paddle2onnx": "2.1.0",
    "visualdl": "2.5.3",
    "opencv-python": "4.6.0.66",
    "numpy": "1.26.4",
}
# Several distributions own one module: any of them counts as the tested one.
ALTERNATIVES = {"paddlepaddle": PADDLE, "opencv-python": CV2}

_UNDECLARED = {  # newer ones import only with numpy 2, which their metadata does not say
    "pyarrow": "20",
    "datasets": "4",
    "pandas": "3",
    "scipy": "1.16",
    "scikit-learn": "1.7",
    "matplotlib": "3.11",
}
_PADDLENLP = {"huggingface-hub": "0.26", "aistudio-sdk": "0.3"}
WATCHED = (*TESTED, *PADDLE, *CV2, *_UNDECLARED, *_PADDLENLP, "decorator", "onnx-graphsurgeon", "setuptools")


def installed_versions(names: Iterable[str] = WATCHED) -> dict[str, str]:
    """{distribution: version} of those of ``names`` that are installed; nothing is imported."""
    found = {}
    for name in dict.fromkeys(names):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with: ``3.1.1.post126`` -> (3, 1, 1), ``2.9.0b4`` -> (2, 9, 0)."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in found.group().split(".")) if found else ()


def same_release(first: str, second: str) -> bool:
    """Whether two versions have the same numbers: 3.1.1 and 3.1.1.post126 have."""
    return release(first) == release(second)


def tested_and_found(versions: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """(distribution, tested version, found version) of every installed member of the tested set."""
    return [
        (name, tested, versions[name])
        for family, tested in TESTED.items()
        for name in ALTERNATIVES.get(family, (family,))
        if name in versions
    ]


def version_warning(versions: Mapping[str, str] | None = None) -> str | None:
    """One line on the installed versions that differ from the tested ones; None where all are as tested."""
    rows = tested_and_found(installed_versions() if versions is None else versions)
    other = [f"{name} {found} (tested: {tested})" for name, tested, found in rows if not same_release(found, tested)]
    if not other:
        return None
    return f"ppmm is not tested with {', '.join(other)}; python -m ppmm.doctor tells what is known of it"


@dataclass(frozen=True)
class Problem:
    """Something known of this combination.

    Args:
        level: ``wrong`` results, ``broken`` (does not import or run), ``slow``, or a ``note`` on what not to use.
        what: one sentence.
        remedy: what to do about it.
    """

    level: Literal["wrong", "broken", "slow", "note"]
    what: str
    remedy: str


def known_problems(versions: Mapping[str, str], python: tuple[int, int] | None = None) -> list[Problem]:
    """What was measured to go wrong in this combination of versions, the worst first.

    Args:
        versions: {distribution: version} as of `installed_versions`.
        python: (major, minor), this interpreter's where None.
    """
    numbers = {name: release(version) for name, version in versions.items()}
    found = [
        *_owners(versions),
        *_numpy_problems(numbers),
        *_paddle_problems(numbers),
        *_companions(numbers, sys.version_info[:2] if python is None else python),
    ]
    return sorted(found, key=severity)


def severity(problem: Problem) -> int:
    """0 for the worst level; a key to sort by."""
    return ("wrong", "broken", "slow", "note").index(problem.level)


def _owners(versions: Mapping[str, str]) -> list[Problem]:
    problems = []
    for module, owners in (("paddle", PADDLE), ("cv2", CV2)):
        present = [name for name in owners if name in versions]
        if len(present) > 1:
            both = " and ".join(present)
            remedy = f"pip uninstall -y {' '.join(present)}, then install one of them"
            problems.append(Problem("broken", f"{both} own one module, {module}: which files it has is chance", remedy))
    return problems


def _numpy_problems(numbers: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    numpy = numbers.get("numpy", ())
    if numpy >= (2,):
        return [Problem("broken", "OpenCV 4.6 and paddleaudio do not import with numpy 2", "pip install 'numpy<2'")]
    return [
        Problem("broken", f"{name} {limit} and later import only with numpy 2", f"pip install '{name}<{limit}'")
        for name, limit in _UNDECLARED.items()
        if numpy and numbers.get(name, ()) >= release(limit)
    ]


def _paddle_problems(numbers: Mapping[str, tuple[int, ...]]) -> list[Problem]:
    paddle = next((numbers[name] for name in PADDLE if name in numbers), ())
    problems = []
    if paddle[:2] == (3, 3):
        what = "oneDNN of Paddle 3.3 gives wrong results: inplace_pass overwrites a value that is still used"
        problems.append(Problem("wrong", what, "install 3.1.1, or call config.delete_pass('inplace_pass')"))
    if paddle[:2] in ((3, 2), (3, 3)) and "paddleslim" in numbers:
        what = "PaddleSlim cannot trace models with matmul on Paddle 3.2 and 3.3: no INT8 Transformers"
        problems.append(Problem("note", what, "quantise with Paddle 3.1.1"))
    if paddle[:2] == (3, 0):
        problems.append(Problem("note", "Paddle 3.0 does not export log-mel of dynamic length", "install 3.1.1"))
    if paddle and paddle < (3,):
        problems.append(Problem("broken", "Paddle 2 cannot write the PIR graphs that ppmm exports", "install 3.1.1"))
        if "paddle2onnx" in numbers:
            problems.append(Problem("broken", "paddle2onnx 2.1 needs Paddle 3", "install Paddle 3.1.1"))
    if paddle >= (3,):
        problems += [problem for needed, problem in _PADDLE_3_NOTES if needed in ("", *numbers)]
    return problems


_PADDLE_3_NOTES = (  # (distribution that it concerns, "" for Paddle itself; problem)
    ("", Problem("note", "fp16 autocast on a CPU silently stays fp32", "use bf16 there, fp16 on a GPU")),
    ("", Problem("note", "INT8 of paddle.quantization is wrong under oneDNN", "use PaddleSlim's static PTQ or QAT")),
    ("paddleslim", Problem("note", "PaddleSlim's quant_post_dynamic gives NaN", "use static PTQ or QAT")),
    ("paddle2onnx", Problem("note", "paddle2onnx aborts on INT8 models", "export fp32, quantise with ONNX Runtime")),
)


def _companions(numbers: Mapping[str, tuple[int, ...]], python: tuple[int, ...]) -> list[Problem]:
    problems = [
        Problem("broken", f"paddlenlp does not import with {name} {limit} or later", f"pip install '{name}<{limit}'")
        for name, limit in _PADDLENLP.items()
        if "paddlenlp" in numbers and numbers.get(name, ()) >= release(limit)
    ]
    if "paddleslim" in numbers and "decorator" not in numbers:
        problems.append(Problem("broken", "paddleslim needs decorator, undeclared", "pip install decorator"))
    if python >= (3, 12) and any(name in numbers for name in PADDLE) and "setuptools" not in numbers:
        what = "Paddle needs setuptools on Python 3.12, undeclared"
        problems.append(Problem("broken", what, "pip install setuptools"))
    if "paddle2onnx" in numbers and "onnx-graphsurgeon" not in numbers:
        what = "paddle2onnx's default export runs pip at run time, which brings numpy 2"
        problems.append(Problem("note", what, "pip install onnx-graphsurgeon==0.6.1, or pass optimize_tool=None"))
    return problems
