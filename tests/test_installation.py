"""tools/make_venv.py, tools/install_pins.py and setup.py, without installing anything."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


def script(name: str) -> ModuleType:
    """A fresh copy of tools/``name``.py as a module."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --------------------------------------------------------------------------------------------------- make_venv


def test_make_venv_runs_on_python_3_8() -> None:
    ast.parse((ROOT / "tools" / "make_venv.py").read_text(encoding="utf-8"), feature_version=(3, 8))


def test_a_command_that_does_not_run_is_no_python(tmp_path: Path) -> None:
    shim = tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\necho 3.12\nexit 127\n")
    shim.chmod(0o755)
    module = script("make_venv")
    assert module.probe(str(shim), "venv") == ("3.12", False)
    assert module.probe(str(tmp_path / "none"), "venv") == ("", False)
    assert module.probe(sys.executable, "venv") == ("{}.{}".format(*sys.version_info), True)
    assert module.probe(sys.executable, "no_such_module") == ("{}.{}".format(*sys.version_info), False)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"python3.12": ("", False), "python3.11": ("3.11", True), "python3.10": ("3.10", True)}, "python3.11"),
        ({"python3.12": ("3.12", False), "python3": ("3.10", True)}, "python3"),
        ({"python3": ("3.13", True), "python3.10": ("3.10", True)}, "python3.10"),
    ],
)
def test_the_first_python_that_can_make_a_venv(
    answers: dict[str, tuple[str, bool]], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("make_venv")
    monkeypatch.setattr(module, "probe", lambda command, modules: answers.get(command, ("", False)))
    assert module.find_python() == expected


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"python3.11": ("3.11", False)}, "sudo apt install python3.11-venv"),
        ({"python3": ("3.10", False)}, "sudo apt install python3.10-venv"),
        ({"python3": ("3.13", True)}, "needs Python 3.10, 3.11 or 3.12"),
    ],
)
def test_a_missing_package_is_named(
    answers: dict[str, tuple[str, bool]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = script("make_venv")
    monkeypatch.setattr(module, "probe", lambda command, modules: answers.get(command, ("", False)))
    with pytest.raises(SystemExit) as stop:
        module.find_python()
    assert message in str(stop.value)


# ------------------------------------------------------------------------------------------------ install_pins


class Environment:
    """tools/install_pins.py on a made-up environment: pip is recorded, and cv2 imports or not."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = script("install_pins")
        self.site = folder / "site-packages"
        self.calls: list[tuple[str, ...]] = []
        self.cv2_error = ""
        self.site.mkdir()
        for name, value in {"SITE": self.site, "LOG": folder / "log", "STAMP": folder / "installed"}.items():
            monkeypatch.setattr(self.module, name, value)
        monkeypatch.setattr(self.module, "pip", lambda *arguments: self.calls.append(tuple(map(str, arguments))))
        monkeypatch.setattr(self.module.subprocess, "run", self.import_cv2)
        monkeypatch.setattr(self.module.importlib.metadata, "version", lambda name: "4.6.0.66")
        monkeypatch.setattr(sys, "argv", ["install_pins.py"])

    def import_cv2(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[1:] == ["-c", "import cv2"]
        return subprocess.CompletedProcess(command, 1 if self.cv2_error else 0, "", self.cv2_error)

    def distribution(self, name: str, complete: bool) -> Path:
        """A folder as pip leaves it after, or amid, the installation of a package."""
        folder = self.site / f"{name}.dist-info"
        folder.mkdir()
        (folder / "METADATA").touch()
        if complete:
            (folder / "INSTALLER").touch()
        return folder


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    return Environment(tmp_path, monkeypatch)


CONSTRAINTS = str(ROOT / "constraints" / "py{}{}.txt".format(*sys.version_info))
PINS = ("install", "--progress-bar=off", "-r", str(ROOT / "requirements.txt"), "-c", CONSTRAINTS)
EDITABLE = ("install", "--no-deps", "--no-build-isolation", "-e", str(ROOT))


def test_a_second_run_installs_nothing(environment: Environment, capsys: pytest.CaptureFixture[str]) -> None:
    environment.module.main()
    assert environment.calls == [PINS, EDITABLE]
    assert capsys.readouterr().out.endswith("make env: ready\n")
    environment.module.main()
    assert environment.calls == [PINS, EDITABLE]
    assert capsys.readouterr().out == ""


def test_changed_pins_are_installed(environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment.module.main()
    pins = tmp_path / "requirements.txt"
    pins.write_text("numpy==1.26.4\n")
    monkeypatch.setattr(environment.module, "PINS", pins)
    environment.module.main()
    assert len(environment.calls) == 4


def test_the_packages_of_a_server(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["install_pins.py", str(ROOT / "requirements-serve.txt")])
    environment.distribution("opencv_python_headless-4.6.0.66", complete=True)  # wanted there
    environment.module.main()
    constraints = CONSTRAINTS.replace(".txt", "-serve.txt")
    pins = ("install", "--progress-bar=off", "-r", str(ROOT / "requirements-serve.txt"), "-c", constraints)
    assert environment.calls == [pins, EDITABLE]


def test_a_failed_installation_leaves_no_stamp(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise SystemExit("no network")

    environment.module.main()
    environment.module.STAMP.write_text("of other pins")
    monkeypatch.setattr(environment.module, "pip", fail)
    with pytest.raises(SystemExit, match="no network"):
        environment.module.main()
    assert not environment.module.STAMP.exists()


def test_a_package_that_was_cut_short_is_installed_again(environment: Environment) -> None:
    whole = environment.distribution("numpy-1.26.4", complete=True)
    half = environment.distribution("paddlepaddle-3.1.1", complete=False)
    environment.module.install()
    assert whole.exists()
    assert not half.exists()


def test_without_libgl_the_headless_opencv_takes_over(
    environment: Environment, capsys: pytest.CaptureFixture[str]
) -> None:
    environment.cv2_error = "Traceback\nImportError: libGL.so.1: cannot open shared object file: No such file"
    environment.module.install()
    swap = [("uninstall", "-y", "opencv-python"), ("install", "--no-deps", "opencv-python-headless==4.6.0.66")]
    assert environment.calls == [PINS, *swap, EDITABLE]
    assert "libGL.so.1" in capsys.readouterr().out


def test_another_failure_of_cv2_changes_nothing(environment: Environment) -> None:
    environment.cv2_error = "ImportError: numpy.core.multiarray failed to import"
    environment.module.install()
    assert environment.calls == [PINS, EDITABLE]


def test_both_opencvs_go_before_one_comes(environment: Environment) -> None:
    environment.distribution("opencv_python_headless-4.6.0.66", complete=True)
    environment.module.install()
    assert environment.calls == [("uninstall", "-y", "opencv-python", "opencv-python-headless"), PINS, EDITABLE]


def test_pip_that_fails_shows_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = script("install_pins")
    monkeypatch.setattr(module, "LOG", tmp_path / "log")
    with pytest.raises(SystemExit) as stop:
        module.pip("no-such-command")
    assert 'unknown command "no-such-command"' in str(stop.value)
    assert str(stop.value).endswith(f"make env failed; see {tmp_path / 'log'}")


# ---------------------------------------------------------------------------------------------------- setup.py


@pytest.fixture(scope="module")
def setup_arguments() -> dict[str, Any]:
    """What setup.py passes to setuptools."""
    code = (
        "import json, runpy, setuptools\n"
        "setuptools.setup = lambda **arguments: print(json.dumps(arguments))\n"
        "runpy.run_path('setup.py')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_version_is_that_of_the_package(setup_arguments: dict[str, Any]) -> None:
    import ppmm

    assert setup_arguments["version"] == ppmm.__version__
    assert setup_arguments["python_requires"] == ">=3.10,<3.13"


def test_only_ppmm_is_packaged(setup_arguments: dict[str, Any]) -> None:
    packages = setup_arguments["packages"]
    assert {"ppmm", "ppmm.config", "ppmm.modalities", "ppmm.data.make"} <= set(packages)
    assert {name.split(".")[0] for name in packages} == {"ppmm"}


def test_every_folder_of_ppmm_is_a_package(setup_arguments: dict[str, Any]) -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in (ROOT / "ppmm").rglob("*.py")}
    assert {folder.replace(os.sep, ".") for folder in folders} == set(setup_arguments["packages"])


def test_serving_needs_neither_paddle_wheel_nor_training_packages(setup_arguments: dict[str, Any]) -> None:
    extras = setup_arguments["extras_require"]
    names = {re.split(r"[<>=!]", line)[0] for line in [*setup_arguments["install_requires"], *extras["serve"]]}
    assert names & {"paddlepaddle", "paddlepaddle-gpu", "paddlenlp", "paddleslim", "visualdl", "opencv-python"} == set()
    assert {"numpy", "tokenizers", "paddleaudio", "opencv-python-headless"} <= names


def test_the_pins_satisfy_the_bounds(setup_arguments: dict[str, Any]) -> None:
    from packaging.requirements import Requirement

    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE))
    extras = setup_arguments["extras_require"]
    wanted = [*setup_arguments["install_requires"], *extras["cpu"], *extras["train"], *extras["dev"]]
    bounds = [Requirement(line) for line in wanted]
    assert [str(bound) for bound in bounds if bound.name not in pins] == []
    assert [str(bound) for bound in bounds if not bound.specifier.contains(pins[bound.name])] == []
