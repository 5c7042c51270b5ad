"""docs/models.md and docs/models.zh.md: every worked number is recomputed with the real parts, every size counted."""

from __future__ import annotations

import functools
import inspect
import re
from pathlib import Path

import pytest
import yaml
from worked_blocks import BLOCK, Block, check_line, compare, numbers, read_blocks, recompute

from ppmm.registry import ENCODERS, FUSIONS, HEADS, MODELS, TRUNKS

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "models.md", DOCS / "models.zh.md"]
WORKED = [
    pytest.param(block, id=f"{page.name} {number}: {block.part}")
    for page in PAGES
    for number, block in enumerate(read_blocks(page))
]
SIZES = {
    "in_channels": 3,
    "vocab_size": 10000,
    "in_features": 80,
    "in_dims": {"image": 128, "audio": 128},
    "classes": 10,
}
"""What the pages say that the sizes are counted with."""
OWN = {"wave_cnn": {"in_channels": 1}, "paddle_vision": {"backbone": "resnet18"}}
FROM_A_FOLDER = {"paddlenlp"}
"""Parts whose size is that of somebody's files."""
REGISTRIES = {"encoders": ENCODERS, "trunks": TRUNKS, "fusions": FUSIONS}


@pytest.mark.parametrize("block", WORKED)
def test_the_real_part_gives_the_result(block: Block) -> None:
    compare(recompute(block), block.result)


@pytest.mark.parametrize("block", WORKED)
def test_the_way_by_hand_is_right_and_leads_to_the_result(block: Block) -> None:
    reached = {round(check_line(line), 6) for line in block.by_hand}
    missing = [number for number in numbers(block.result) if number % 1 and round(number, 6) not in reached]
    assert block.by_hand and not missing, f"no line of by_hand ends in {missing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_fusion_and_trunk_has_a_block_with_an_absent_field(page: Path) -> None:
    blocks = [block for block in read_blocks(page) if block.part.split()[0] in ("fusion", "trunk")]
    wanted = {f"{kind} {name}" for kind in ("fusion", "trunk") for name in REGISTRIES[f"{kind}s"].names()}
    assert {block.part for block in blocks} == wanted
    for block in blocks:
        assert any(False in values["present"] for values in block.inputs.values()), block.part


def test_both_languages_have_the_same_blocks() -> None:
    english, chinese = (BLOCK.findall(page.read_text("utf-8")) for page in PAGES)
    assert english == chinese


def test_both_languages_have_the_same_equations() -> None:
    english, chinese = (re.findall(r"^\$\$\n(.*?)^\$\$$", page.read_text("utf-8"), re.M | re.S) for page in PAGES)
    assert english and english == chinese
    swallowed = [equation for equation in english if re.search(r"\\[^A-Za-z]", equation)]
    assert not swallowed, "Markdown takes a backslash before punctuation for itself"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_opening_yaml_names_real_parts_and_arguments(page: Path) -> None:
    model = yaml.safe_load(re.findall(r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.M | re.S)[0])["model"]
    nodes = [(ENCODERS, node) for node in model["encoders"].values()]
    nodes += [(MODELS, model), (TRUNKS, model["trunk"]), (FUSIONS, model["fusion"]), (HEADS, model["head"])]
    for registry, node in nodes:
        arguments = {key: value for key, value in node.items() if key != "name"}
        inspect.signature(registry.get(node["name"])).bind_partial(**arguments)


def size_rows(page: Path, kind: str) -> dict[str, tuple[str, str]]:
    """{part: (size of its embedding, parameters)} of the table after ``<!-- sizes: kind -->``."""
    table = page.read_text("utf-8").split(f"<!-- sizes: {kind} -->\n")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("`"): (row[1], row[2].replace(",", "")) for row in rows}


@functools.lru_cache
def counted(kind: str, name: str) -> tuple[str, str]:
    """The size of the embedding and the number of parameters with the defaults."""
    cls = REGISTRIES[kind].get(name)
    arguments = {key: value for key, value in SIZES.items() if key in inspect.signature(cls).parameters}
    part = cls(**{**arguments, **OWN.get(name, {})})
    size = str(part.out_dims["image"] if kind == "trunks" else part.out_dim)
    return size, str(sum(parameter.size for parameter in part.parameters() if not parameter.stop_gradient))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize("kind", REGISTRIES)
def test_every_part_has_a_row(page: Path, kind: str) -> None:
    assert set(size_rows(page, kind)) == set(REGISTRIES[kind].names())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names() if name not in FROM_A_FOLDER],
)
def test_sizes(page: Path, kind: str, name: str) -> None:
    assert size_rows(page, kind)[name] == counted(kind, name)
