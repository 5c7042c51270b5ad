"""docs/training.md and docs/training.zh.md: every YAML snippet, override, key, flag and path is one that exists."""

from __future__ import annotations

import dataclasses
import io
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import yaml

from ppmm.app.experiment import open_experiment
from ppmm.app.tune_space import KINDS, open_space
from ppmm.config import build
from ppmm.config.schema import Experiment, LoaderSection, TrainerSection
from ppmm.errors import ConfigError
from ppmm.registry import OPTIMIZERS, SCHEDULES
from ppmm.types import Hook

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "docs" / "training.md", ROOT / "docs" / "training.zh.md"]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPET = re.compile(r"[a-z_]+(\.[a-z_]+)*: .+")
"""A code span that is YAML, from the top of the file, such as ``trainer.sam: 0.05``."""
SECTIONS = {"trainer": TrainerSection, "loader": LoaderSection}
OF_THE_TRAINER = {"terms", "figures", "state", "stop"}
"""Of the object that a hook gets, which has the name of a section."""

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def fences(page: Path, kind: str) -> list[str]:
    return [text for found, text in FENCE.findall(page.read_text("utf-8")) if found == kind]


def spans(page: Path) -> list[str]:
    """Code within lines, outside of fences."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", page.read_text("utf-8")))


def without_comments(text: str) -> str:
    lines = (re.sub(r"(^|\s+)# .*$", "", line) for line in text.splitlines())
    return "\n".join(line for line in lines if line.strip())


def commands(page: Path) -> list[list[str]]:
    lines = "\n".join(fences(page, "bash")).splitlines()
    return [shlex.split(line, comments=True) for line in lines if "tools/" in line and not line.startswith("#")]


def overrides_of(words: list[str]) -> list[str]:
    """What comes after ``-o``, up to the next option."""
    if "-o" not in words:
        return []
    rest = words[words.index("-o") + 1 :]
    end = next((number for number, word in enumerate(rest) if word.startswith("-")), len(rest))
    return rest[:end]


def snippets(page: Path) -> Iterator[dict[str, Any]]:
    """Every piece of an experiment's YAML: fences, and code spans, whose dots are levels."""
    for text in fences(page, "yaml"):
        if not is_space(yaml.safe_load(text)):
            yield yaml.safe_load(text)
    for span in spans(page):
        if SNIPPET.fullmatch(span) and (top_of(span) in names_of(Experiment)):
            key, value = span.split(": ", 1)
            tree = yaml.safe_load(value)
            for part in reversed(key.split(".")):
                tree = {part: tree}
            yield tree


def is_space(tree: dict[str, Any]) -> bool:
    return all(isinstance(entry, dict) and set(entry) & set(KINDS) for entry in tree.values())


def top_of(dotted: str) -> str:
    return re.split(r"[.:]", dotted)[0]


def names_of(section: type) -> set[str]:
    return {field.name for field in dataclasses.fields(section)}


def merged(base: Any, more: Any) -> Any:
    """``more`` over ``base``; what names another part replaces the old one."""
    if (
        not isinstance(base, dict)
        or not isinstance(more, dict)
        or more.get("name", base.get("name")) != base.get("name")
    ):
        return more
    return {key: merged(base.get(key), more[key]) if key in more else base[key] for key in {**base, **more}}


def checked(snippet: dict[str, Any], base: Path) -> Any:
    """The small config with a snippet over it, through the config checker. Raises ConfigError."""
    path = base.with_name("snippet.yaml")
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(base.read_text("utf-8")), snippet), allow_unicode=True))
    return open_experiment(path)


@each_page
def test_every_snippet_is_a_right_config(page: Path, write_config: Callable[..., Path]) -> None:
    base = write_config()
    found = list(snippets(page))
    assert len(found) > 20
    for snippet in found:
        config = checked(snippet, base)
        build(config.get("hooks", []), list[Hook])


def test_a_wrong_key_of_a_snippet_is_noticed(tmp_path: Path, write_config: Callable[..., Path]) -> None:
    page = tmp_path / "page.md"
    page.write_text("`trainer.sam_rho: 0.05`\n\n```yaml\nadapt: [{name: lora, match: [x], ranks: 8}]\n```\n")
    for snippet in snippets(page):
        with pytest.raises(ConfigError, match="no such"):
            checked(snippet, write_config())
    assert len(list(snippets(page))) == 2


@each_page
def test_every_dotted_key_exists(page: Path) -> None:
    """``trainer.accumulate`` and its like, which stand without a value."""
    keys = {span for span in spans(page) if re.fullmatch(r"[a-z]+(\.[a-z_]+)+", span)}
    parts = {"optimizer": OPTIMIZERS.get("adamw"), "schedule": SCHEDULES.get("linear")}
    for key in keys:
        top, name = key.split(".")[:2]
        if top in SECTIONS and not (top == "trainer" and name in OF_THE_TRAINER):
            assert name in names_of(SECTIONS[top]), key
        elif top in parts and name != "name":
            assert name in parts[top].__init__.__annotations__, key
    assert {"trainer.accumulate", "loader.batch_size", "optimizer.learning_rate"} <= keys


@each_page
def test_every_key_of_the_trainer_that_issue_five_added_is_explained(page: Path) -> None:
    text = page.read_text("utf-8")
    added = {"clip_value", "clip_adaptive", "precision", "to_static", "profile", "gradient_cache", "average", "sam"}
    assert added <= names_of(TrainerSection)
    assert [name for name in sorted(added) if name not in text] == []
    schedules = set(SCHEDULES.names()) - {"exponential_ramp"}  # of the finder
    assert [name for name in sorted(schedules) if f"`{name}`" not in text] == []


@each_page
def test_every_space_is_a_right_one(page: Path, tmp_path: Path, write_config: Callable[..., Path]) -> None:
    spaces = [text for text in fences(page, "yaml") if is_space(yaml.safe_load(text))]
    assert len(spaces) == 1
    (tmp_path / "space.yaml").write_text(spaces[0])
    found = open_space(str(tmp_path / "space.yaml"), str(write_config()))
    assert {dimension.kind for dimension in found.values()} == set(KINDS), "each kind of range is shown"


@each_page
def test_every_override_is_right(page: Path) -> None:
    found = [(words, overrides_of(words)) for words in commands(page)]
    assert any(overrides for _, overrides in found)
    for words, overrides in found:
        if "-c" in words and words[words.index("-c") + 1] != "C.yaml":
            open_experiment(ROOT / words[words.index("-c") + 1], overrides)


def help_of(tool: str, *command: str) -> str:
    """What ``python tools/x.py [command] --help`` prints."""
    kept, sys.argv = sys.argv, [tool, *command, "--help"]
    text = io.StringIO()
    try:
        with redirect_stdout(text), pytest.raises(SystemExit):
            runpy.run_path(str(ROOT / tool), run_name="__main__")
    finally:
        sys.argv = kept
    return text.getvalue()


@each_page
def test_every_flag_is_one_of_its_tool(page: Path) -> None:
    """Those in commands; and those in sentences are flags of some tool or of Paddle's launcher."""
    known: set[str] = set()
    for words in commands(page):
        at = next(number for number, word in enumerate(words) if word.startswith("tools/"))
        tool, rest = words[at], words[at + 1 :]
        assert (ROOT / tool).is_file(), tool
        commanded = rest[:1] if tool in ("tools/find.py", "tools/bench.py") else []
        options = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", help_of(tool, *commanded)))
        flags = {word for word in rest if re.fullmatch(r"--?[a-z][a-z_-]*", word)}
        assert flags <= options, (tool, flags - options)
        known |= options | {word for word in words[:at] if word.startswith("--")}
    told = {flag for span in spans(page) for flag in re.findall(r"(?<!\S)--[a-z][a-z_-]*", span)}
    launcher = {"--log_dir", "--rank", "--logdir"}  # the last one of the viewers
    assert told <= known | launcher, told - known


@each_page
def test_every_file_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    named = set(re.findall(r"\b((?:configs|tools|deploy)/[\w/]+\.(?:yaml|py))", text))
    links = {f"docs/{link}" for link in re.findall(r"\]\(([\w./]+)\)", text)}
    assert "tools/train.py" in named
    assert [path for path in sorted(named | links) if not (ROOT / path).exists()] == []


def test_both_languages_name_the_same_keys_commands_and_messages() -> None:
    english, chinese = PAGES
    for kind in ("yaml", "bash", "text"):
        told = [[without_comments(text) for text in fences(page, kind)] for page in PAGES]
        assert told[0] == told[1], kind
    assert set(spans(english)) ^ set(spans(chinese)) == set()
    counts = [len(re.findall(r"^\|", page.read_text("utf-8"), re.MULTILINE)) for page in PAGES]
    assert counts[0] == counts[1], "rows of tables"


def test_readmes_link_the_guide() -> None:
    assert "docs/training.md" in (ROOT / "README.md").read_text("utf-8")
    assert "docs/training.zh.md" in (ROOT / "README.zh.md").read_text("utf-8")
