"""docs/choosing.md and docs/choosing.zh.md name only what exists, and every fusion and encoder finds its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ppmm.registry import ENCODERS, FUSIONS, MODELS, OBJECTIVES

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / "choosing.md", ROOT / "docs" / "choosing.zh.md"]


def rows(page: Path) -> list[list[str]]:
    """The cells of all tables."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(text: str) -> set[str]:
    """Names in code spans."""
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"`(configs/[\w/]+\.yaml)`|(tools/\w+\.py)", text)
    links = [f"docs/{link}" for link in re.findall(r"\]\(([\w.]+)\)", text) if link != "results.md"]
    missing = [path for pair in named for path in pair if path and not (ROOT / path).exists()]
    assert named and not missing + [link for link in links if not (ROOT / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_encoder_and_fusion_is_advised_somewhere(page: Path) -> None:
    named = set().union(*(words(cell) for row in rows(page) for cell in row))
    missing = {*ENCODERS.names(), *FUSIONS.names()} - named - {"lenet", "bilstm"}  # classics, beside cnn and bigru
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_table_of_tasks_names_real_models_and_objectives(page: Path) -> None:
    tasks = [row for row in rows(page) if len(row) == 4 and "`" in row[1]]
    assert len(tasks) == 7
    for _, model, objective, _ in tasks:
        assert words(model) - {"matching"} <= {*MODELS.names(), *FUSIONS.names()}, model
        assert words(objective) <= set(OBJECTIVES.names()), objective


def test_both_languages_advise_the_same() -> None:
    english, chinese = ([[words(cell) for cell in row[1:3]] for row in rows(page)] for page in PAGES)
    assert english == chinese
