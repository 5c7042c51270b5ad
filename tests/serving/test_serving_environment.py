"""Predicting and serving in the environment of a server, which has neither training code's packages nor PaddleSlim.

The checks themselves are in ``served_*.py``; pytest runs them over there, on bundles that are made here.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-serve" / "bin" / "python"
CHECKS = sorted(path.name for path in Path(__file__).parent.glob("served_*.py"))

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="no .venv-serve: make env-serve")


@pytest.fixture(scope="module")
def environment(
    bundle: Path, towers: Path, samples: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """What the checks are told, by environment variables."""
    folder = tmp_path_factory.mktemp("serving")
    rows = [{name: str(value) for name, value in sample.items()} for sample in samples]
    (folder / "samples.json").write_text(json.dumps(rows))
    told = {"bundle": str(bundle), "towers": str(towers), "samples": str(folder / "samples.json")}
    return {
        **os.environ,
        **{f"PPMM_TEST_{name.upper()}": value for name, value in told.items()},
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(ROOT / "tests" / "serving"),
    }


@pytest.mark.parametrize("name", CHECKS)
def test_in_the_environment_of_a_server(name: str, environment: dict[str, str]) -> None:
    command = [str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path("tests/serving") / name)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_no_training_package_is_there() -> None:
    code = (
        "import importlib.util as u; "
        "print([n for n in ('paddlenlp', 'paddleslim', 'visualdl', 'paddle2onnx') if u.find_spec(n)])"
    )
    done = subprocess.run([str(PYTHON), "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_predict_tool(bundle: Path, samples: list[dict[str, Any]], environment: dict[str, str]) -> None:
    from ppmm.runtime import Predictor

    command = [str(PYTHON), "deploy/predict.py", str(bundle), "--text", samples[0]["text"], "--backend", "auto"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    (expected,) = Predictor(bundle).predict([{"text": samples[0]["text"]}])
    found = json.loads(done.stdout)
    assert found["answer"] == expected["answer"]
    assert found["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
