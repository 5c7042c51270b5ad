"""The import rules of the design: which package of ppmm may import which other, and which libraries, checked by AST.

Imports inside functions count like those at the top; only those under ``if TYPE_CHECKING:`` are free.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The parts by layer. A part is the first name after ``ppmm.``; a file's own part is always allowed to it.
FOUNDATION = {"errors", "types", "registry", "config", "hashing", "environment", "versions", "command"}
FEATURES = {"modalities", "decode"}
LEARNING = {"data", "models", "objectives", "metrics", "optim"}
SERVICE = {"runtime", "serving", "index"}
ONE_TO_FOUR = FOUNDATION | FEATURES | LEARNING | {"engine"}

# part -> the other parts that it may import (rules 1 to 7 of the design).
PARTS = {
    "": {"errors", "environment", "versions"},  # ppmm/__init__.py
    **{part: FOUNDATION for part in FOUNDATION},
    "doctor": FOUNDATION | {"probes"},
    "probes": FOUNDATION,
    "sample_arguments": FOUNDATION,
    **{part: FOUNDATION for part in FEATURES},
    **{part: FOUNDATION | FEATURES for part in LEARNING},
    "engine": (FOUNDATION - {"config"}) | FEATURES,  # the protocols of layer 3 are in ppmm.types
    "compress": ONE_TO_FOUR,
    "export": ONE_TO_FOUR,
    "runtime": FOUNDATION | FEATURES,
    "serving": FOUNDATION | FEATURES | SERVICE,
    "index": FOUNDATION | FEATURES | SERVICE,
    "app": ONE_TO_FOUR | {"compress", "export", "doctor", "sample_arguments"} | SERVICE,
}
SCRIPT_HELP = {"command", "sample_arguments"}  # how a script ends, and the arguments that name a sample
TOOLS = {"app"} | SCRIPT_HELP
DEPLOY = {"runtime", "serving", "index"} | SCRIPT_HELP

# part -> the only libraries beside the standard one that it may import; parts that are not named are free.
LIBRARIES = {
    **{part: {"yaml"} for part in FOUNDATION | {"", "doctor", "sample_arguments"}},
    "probes": {"paddle", "cv2", "numpy"},  # inside functions, see below
    # paddlenlp (inside functions, see LAZY) only to turn its tokenizers into tokenizer.json, in training
    **{
        part: {
            "numpy",
            "scipy",
            "cv2",
            "PIL",
            "soundfile",
            "tokenizers",
            "jieba",
            "resampy",
            "paddleaudio",
            "paddlenlp",
        }
        for part in FEATURES
    },
    "tools": set(),
    "deploy": {"numpy"},
}
# library -> the only parts that may import it at all.
OWNERS = {"paddleslim": {"compress"}}
# library -> the parts that may import it only inside a function.
LAZY = {
    "paddle": FEATURES | SERVICE | {"probes", "tools", "deploy"},
    "numpy": {"probes"},
    "cv2": {"probes"},
    "paddleaudio": {"modalities", "decode"},
    **{
        name: set(PARTS)
        for name in ("paddlenlp", "paddleslim", "onnxruntime", "paddle2onnx", "visualdl", "tensorboardX")
    },
}


class Import(NamedTuple):
    """One imported module: its dotted name, its line, and whether a function holds it."""

    module: str
    line: int
    lazy: bool


def imports_of(source: str, package: str) -> list[Import]:
    """Every import that can happen at run time, ``from a import b`` as ``a.b``.

    Args:
        package: the dotted package of the file, from which relative imports count.
    """
    found: list[Import] = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                visit(child, lazy)
            return
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, node.lineno, lazy) for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [base])])
            found.extend(Import(f"{base}.{alias.name}", node.lineno, lazy) for alias in node.names)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(ast.parse(source), False)
    return found


def part_of(path: Path) -> str:
    """The part that a file of the tree belongs to; the scripts' folders are parts too."""
    if path.parts[0] != "ppmm":
        return path.parts[0]
    name = path.parts[1].removesuffix(".py")
    return "" if name == "__init__" else name


def allowed_parts(path: Path) -> set[str]:
    """The parts that a file may import, beside its own."""
    if path.parts[0] == "tools" or path == Path("deploy/export.py"):
        return TOOLS
    if path.parts[0] == "deploy":
        return DEPLOY
    return PARTS[part_of(path)]


def violations(path: Path, source: str) -> list[str]:
    """What a file imports against the rules, one line each."""
    part = part_of(path)
    if path.parts[0] == "ppmm" and part not in PARTS:
        return [f"{path}: a new part of ppmm; give it a row in PARTS of {Path(__file__).name}"]
    problems = []
    for module, line, lazy in imports_of(source, ".".join(path.parent.parts)):
        top, _, rest = module.partition(".")
        target = rest.partition(".")[0]
        if top == "ppmm":
            if target and is_part(target) and target != part and target not in allowed_parts(path):
                problems.append(f"{path}:{line}: {part or 'ppmm'} must not import ppmm.{target}")
        elif top not in sys.stdlib_module_names:
            if top not in LIBRARIES.get(part, {top}) or part not in OWNERS.get(top, {part}):
                problems.append(f"{path}:{line}: {part or 'ppmm'} must not import {top}")
            elif not lazy and part in LAZY.get(top, ()):
                problems.append(f"{path}:{line}: {part or 'ppmm'} must import {top} inside a function")
    return problems


def is_part(name: str) -> bool:
    """Whether ``ppmm.name`` is a module or package, not a name that ppmm/__init__.py exports."""
    return name in PARTS or (ROOT / "ppmm" / name).is_dir() or (ROOT / "ppmm" / f"{name}.py").is_file()


FILES = sorted(
    path.relative_to(ROOT) for folder in ("ppmm", "tools", "deploy") for path in (ROOT / folder).rglob("*.py")
)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_only_what_its_layer_may(path: Path) -> None:
    assert violations(path, (ROOT / path).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("ppmm/errors.py", "import numpy", "errors must not import numpy"),
        ("ppmm/config/load.py", "def f():\n    import paddle", "config must not import paddle"),
        ("ppmm/config/load.py", "from ppmm.models import late_fusion", "config must not import ppmm.models"),
        ("ppmm/modalities/audio.py", "import paddleaudio", "modalities must import paddleaudio inside a function"),
        ("ppmm/modalities/audio.py", "import paddle", "modalities must not import paddle"),
        ("ppmm/models/x.py", "from ppmm import objectives", "models must not import ppmm.objectives"),
        ("ppmm/models/encoders/x.py", "from ...data import loader", "models must not import ppmm.data"),
        ("ppmm/models/x.py", "import paddleslim", "models must not import paddleslim"),
        ("ppmm/models/x.py", "import paddlenlp", "models must import paddlenlp inside a function"),
        ("ppmm/engine/trainer.py", "from ppmm.config import load", "engine must not import ppmm.config"),
        ("ppmm/compress/x.py", "import ppmm.export.bundle", "compress must not import ppmm.export"),
        ("ppmm/runtime/x.py", "def f():\n    import ppmm.models", "runtime must not import ppmm.models"),
        ("ppmm/runtime/x.py", "from paddle import inference", "runtime must import paddle inside a function"),
        ("ppmm/index/x.py", "import onnxruntime", "index must import onnxruntime inside a function"),
        ("tools/train.py", "from ppmm.engine import trainer", "tools must not import ppmm.engine"),
        ("deploy/predict.py", "from ppmm.app import train", "deploy must not import ppmm.app"),
    ],
)
def test_a_forbidden_import_is_found(path: str, source: str, problem: str) -> None:
    assert [line.split(": ", 1)[1] for line in violations(Path(path), source)] == [problem]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("ppmm/types.py", "if TYPE_CHECKING:\n    from paddle import Tensor"),
        ("ppmm/modalities/audio.py", "def f():\n    from paddleaudio.compliance import librosa"),
        ("ppmm/models/late_fusion.py", "import paddle\nfrom ppmm import types\nfrom .encoders import cnn"),
        ("ppmm/runtime/predictor.py", "def f():\n    from paddle import inference"),
        ("ppmm/compress/prune.py", "def f():\n    import paddleslim"),
        ("deploy/export.py", "from ppmm.app import export"),
        ("tools/train.py", "import argparse\nfrom ppmm import __version__\nfrom ppmm.app.train import train"),
    ],
)
def test_an_allowed_import_is_not(path: str, source: str) -> None:
    assert violations(Path(path), source) == []


def test_a_part_without_rules_is_an_error() -> None:
    assert "give it a row" in violations(Path("ppmm/helpers.py"), "import os")[0]
