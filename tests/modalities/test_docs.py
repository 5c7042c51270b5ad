"""docs/modalities.md names every part, and its YAML is right."""

import re
from pathlib import Path

import pytest
import yaml

from ppmm.config import LoaderSection, build
from ppmm.registry import AUGMENTATIONS, BATCH_AUGMENTATIONS, FIELDS, TOKENIZERS
from ppmm.types import Field

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", ["modalities.md", "modalities.zh.md"])
def test_every_part_is_named(name):
    text = (DOCS / name).read_text(encoding="utf-8")
    parts = {part for kind in (AUGMENTATIONS, BATCH_AUGMENTATIONS, FIELDS, TOKENIZERS) for part in kind.names()}
    assert sorted(part for part in parts if f"`{part}`" not in text) == []
    known = parts | set(TOKENIZERS.names())
    listed = re.findall(r"`((?:image|audio|text|spec|token)_\w+)`", text)
    assert [part for part in listed if part not in known] == []


def test_the_example_builds():
    text = (DOCS / "modalities.md").read_text(encoding="utf-8")
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1])
    fields = build(example["fields"], dict[str, Field])
    assert set(fields) == {"image", "audio", "text"} and len(fields["image"].augment) == 3
    assert len(build(example["loader"], LoaderSection).mix) == 2
