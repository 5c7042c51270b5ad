"""docs/deploy.md and docs/deploy.zh.md: commands, flags, routes and files that exist; both languages say the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = ROOT / "docs" / "deploy.md", ROOT / "docs" / "deploy.zh.md"
SCRIPTS = ("export", "describe", "predict", "benchmark", "serve", "webui", "load_test", "manifests")
OTHERS = {"--gpus", "--image", "--bundle-uri", "--name", "--out", "--checks"}  # of subcommands and other tools


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def flags(page: Path) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", read(page)))


@pytest.fixture(scope="module")
def helps() -> str:
    """What every script says of itself."""
    texts = []
    for name in SCRIPTS:
        command = [sys.executable, f"deploy/{name}.py", "--help"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        assert done.returncode == 0, done.stderr
        texts.append(done.stdout)
    return "\n".join(texts)


def test_every_flag_is_one_of_a_script(helps: str) -> None:
    known = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", helps)) | OTHERS
    assert flags(ENGLISH) - known == set()


def test_both_languages_have_the_same_commands_flags_and_figures() -> None:
    fence = re.compile(r"^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    assert fence.findall(read(ENGLISH))[0] == fence.findall(read(CHINESE))[0]
    assert flags(ENGLISH) == flags(CHINESE)
    rows = []
    for page in (ENGLISH, CHINESE):
        lines = [line for line in read(page).splitlines() if line.startswith("|")]
        rows.append([re.findall(r"\d[\d.,]*", line) for line in lines])
    assert len(rows[0]) == len(rows[1])
    assert [sorted(set(row)) for row in rows[0][-12:]] == [sorted(set(row)) for row in rows[1][-12:]]


def test_every_route_is_one_of_the_server() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "ppmm" / "serving").glob("*.py"))
    for route in ("/predict", "/search", "/items", "/explain", "/healthz", "/readyz", "/metrics"):
        assert f'"{route}' in source and route in read(ENGLISH)


def test_every_file_is_there() -> None:
    for name in re.findall(r"`((?:tests|deploy|ppmm)/[\w/.]+)`", read(ENGLISH)):
        assert (ROOT / name).exists(), name
    assert "docs/deploy.md" in (ROOT / "README.md").read_text("utf-8")
    assert "docs/deploy.zh.md" in (ROOT / "README.zh.md").read_text("utf-8")
