"""README.md's tree is true: what it lists exists, what a reader looks for is listed, every entry has its phrase.

It is a fenced block of kind ``text``; folders end in a slash, two spaces or more set off the phrase, deeper lines
belong to the first name of the line above, and a name may have a star:

    Makefile                     make demo, make test
    ppmm/                        the package
      errors.py  types.py        no: two spaces begin the phrase
      runtime/ serving/          several names share a phrase
        predictor.py             ppmm/runtime/predictor.py
                                 a line that does not begin with a name goes on with the phrase
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAME = re.compile(r"[\w.*-]+/|[\w*-]*\.[\w.*-]+|Makefile")


def tree_block(text: str) -> str:
    """The fenced block that has a line beginning with ``ppmm/``; fails where there is none."""
    blocks = re.findall(r"^```text\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    trees = [block for block in blocks if re.search(r"^ppmm/", block, re.MULTILINE)]
    assert len(trees) == 1, f"README.md must have one ```text block with the tree, not {len(trees)}"
    return trees[0]


def parse_tree(block: str) -> dict[str, str]:
    """{path: phrase} of every name in the block."""
    entries: dict[str, str] = {}
    folders: list[tuple[int, str]] = []
    for line in block.splitlines():
        names, _, phrase = line.strip().partition("  ")
        words = names.split()
        if not words or not all(NAME.fullmatch(word) for word in words):
            continue
        indent = len(line) - len(line.lstrip())
        folders = [folder for folder in folders if folder[0] < indent]
        prefix = folders[-1][1] if folders else ""
        entries.update({prefix + word: phrase.strip() for word in words})
        if words[0].endswith("/"):
            folders.append((indent, prefix + words[0]))
    return entries


def expected_entries() -> set[str]:
    """What must be listed: the parts of ppmm, the scripts, and the folders at the top."""
    places = [*(ROOT / "ppmm").iterdir(), *(ROOT / "tools").glob("*.py"), *(ROOT / "deploy").iterdir()]
    places += [
        ROOT / name
        for name in (
            "Makefile",
            "configs",
            "constraints",
            "requirements.txt",
            "requirements-serve.txt",
            "setup.py",
            "tests",
        )
    ]
    shown = [place for place in places if not place.name.startswith(("_", "."))]
    return {f"{place.relative_to(ROOT).as_posix()}{'/' if place.is_dir() else ''}" for place in shown}


def readme_tree() -> dict[str, str]:
    return parse_tree(tree_block((ROOT / "README.md").read_text(encoding="utf-8")))


def exists(path: str) -> bool:
    """Whether a listed path, which may have stars, is in the tree; a folder only by its slash."""
    found = list(ROOT.glob(path.rstrip("/")))
    return bool(found) and all(place.is_dir() == path.endswith("/") for place in found)


def test_every_listed_path_exists() -> None:
    assert [path for path in readme_tree() if not exists(path)] == []


def test_every_part_and_script_is_listed() -> None:
    listed = readme_tree()
    assert sorted(expected_entries() - set(listed)) == []


def test_every_entry_has_its_phrase() -> None:
    assert [path for path, phrase in readme_tree().items() if not phrase] == []


def test_the_parser_reads_levels_shared_phrases_and_continued_ones() -> None:
    block = (
        "Makefile            make demo\n"
        "ppmm/               the package\n"
        "  runtime/ index/   clients\n"
        "    predictor.py    reads a bundle\n"
        "                    and answers 2.5 times a second\n"
        "  errors.py         errors\n"
        "configs/ *.md       the rest\n"
    )
    assert parse_tree(block) == {
        "Makefile": "make demo",
        "ppmm/": "the package",
        "ppmm/runtime/": "clients",
        "ppmm/index/": "clients",
        "ppmm/runtime/predictor.py": "reads a bundle",
        "ppmm/errors.py": "errors",
        "configs/": "the rest",
        "*.md": "the rest",
    }


def test_a_path_that_is_gone_is_noticed() -> None:
    assert exists("ppmm/errors.py")
    assert exists("ppmm/")
    assert not exists("ppmm/gone.py")
    assert not exists("ppmm")
