"""docs/compression.md and docs/compression.zh.md: every step, key, flag and path is one that exists."""

import re
from pathlib import Path

import pytest
import yaml

from ppmm.config import build, loads
from ppmm.config.node import ConfigNode
from ppmm.registry import COMPRESSORS
from ppmm.types import Compressor

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / "compression.md", ROOT / "docs" / "compression.zh.md"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fences(page, kind):
    return [text for found, text in FENCE.findall(page.read_text("utf-8")) if found == kind]


@each_page
def test_every_list_of_steps_can_be_built(page):
    snippets = fences(page, "yaml")
    assert len(snippets) >= 5
    for text in snippets:
        nodes = yaml.safe_load(text)["compress"]
        for node in nodes:
            node.pop("ratios_from", None) and node.update(ratio=None)
        node = loads(yaml.safe_dump({"compress": nodes}), file=page.name)
        assert isinstance(node, ConfigNode) and len(build(node["compress"], list[Compressor])) == len(nodes)


@each_page
def test_every_step_is_in_it(page):
    text = page.read_text("utf-8")
    for name in COMPRESSORS.names():
        assert re.search(rf"\b{name}\b", text), name


@each_page
def test_commands_name_files_and_flags_that_exist(page):
    lines = [line for text in fences(page, "bash") for line in text.splitlines() if line.strip()]
    assert len(lines) >= 5
    for line in lines:
        words = line.split()
        tool = ROOT / words[1]
        assert words[0] == "python" and tool.is_file()
        own = tool.read_text("utf-8")
        for flag in (word for word in words if word.startswith("--")):
            assert f'"{flag}"' in own, f"{flag} of {words[1]}"
        for config in (word for word in words if word.startswith("configs/")):
            assert (ROOT / config).is_file(), config


def test_both_languages_have_the_same_snippets_and_the_readme_names_them():
    english, chinese = PAGES
    assert fences(english, "yaml") == fences(chinese, "yaml") and fences(english, "bash") == fences(chinese, "bash")
    for readme, page in (("README.md", english), ("README.zh.md", chinese)):
        assert f"docs/{page.name}" in (ROOT / readme).read_text("utf-8")
