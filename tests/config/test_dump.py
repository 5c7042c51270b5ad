from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppmm.config import ConfigNode, dump, load, loads

Problems = Callable[[Callable[[], Any]], list[str]]
QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


NASTY = [
    "yes", "no", "on", "y", "N", "null", "~", "", "true", "1e-4", "1e5", "010", "0o7", "0x1f", "1_0", "1:30", ".5",
    ".inf", "2024-01-01", "=", "<<", "- a", "a: b", "a #b", "#", "'", '"', "\\", "\\n", "a\nb", "\n", " a ", "\t",
    "\x85", "\u2028", "\ufeff", "\x00", "\x7f", "\u4e2d\u6587", "\U0001f600", "${a}", "$${a}", "${", "%", "@x", "`",
    "!x", "&a", "*a", "?", "? a", "[", "{a", "a,b", "---", "...", "|", ">", "x" * 200, "a " * 100, "0.1.2", "+1", "-",
    "+.inf", "\U0010ffff", "\r\n",
]  # fmt: skip
TEXTS = st.text(max_size=20) | st.sampled_from(NASTY)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4), max_leaves=20
)


def _same(left: Any, right: Any) -> bool:
    """Equal in value, type and order: 1 == True == 1.0 otherwise."""
    if isinstance(left, Mapping):
        return list(left) == list(right) and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(_same, left, right))
    return type(left) is type(right) and repr(left) == repr(right)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
@settings(deadline=None, max_examples=150)
@example({text: text for text in NASTY})
@example({"a": NASTY})
def test_a_dump_reads_back_the_same(tree: dict[str, Any]) -> None:
    if "_base_" in tree:
        return
    text = dump(ConfigNode(tree))
    assert _same(loads(text), tree)
    if "${" not in str(tree):
        assert _same(yaml.safe_load(text), tree)


def test_a_dump_is_block_style_in_order_with_its_characters() -> None:
    tree = loads("b: {k: 中文, x: [1, no]}\na: 1e-5\nc: '1e-5'\nd: &d [x]\ne: *d\n")
    assert dump(tree) == (
        "b:\n  k: 中文\n  x:\n  - 1\n  - 'no'\na: 1.0e-05\nc: '1e-5'\nd:\n- x\ne:\n- x\n"
    )  # fmt: skip


def test_a_resolved_file_reads_back_from_its_dump() -> None:
    tree = load(QUICKSTART)
    assert _same(loads(dump(tree)), plain(tree))
    assert _same(yaml.safe_load(dump(tree)), plain(tree))
