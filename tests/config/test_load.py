from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppmm.config import ConfigList, ConfigNode, dump, load, loads
from ppmm.errors import ConfigError

QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def problems(call: Callable[[], Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        call()
    return caught.value.problems


def write(folder: Path, **texts: str) -> Path:
    """Write one file per keyword; returns the path of the last."""
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
    return path


def plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


# Scalars


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("no", "no"), ("on", "on"), ("off", "off"), ("y", "y"), ("N", "N"),
        ("true", True), ("True", True), ("FALSE", False), ("tRUE", "tRUE"),
        ("null", None), ("~", None), ("", None), ("None", "None"),
        ("10", 10), ("010", 10), ("08", 8), ("-3", -3), ("+3", 3), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"),
        ("1:30", "1:30"), ("0b11", "0b11"),
        ("1e-4", 1e-4), ("1E5", 1e5), ("1.", 1.0), (".5", 0.5), ("-2.5e3", -2500.0), (".inf", float("inf")),
        ("-.INF", float("-inf")), ("inf", "inf"), ("1,5", "1,5"), (".", "."), ("1e", "1e"),
        ("2024-01-01", "2024-01-01"), ("12:30:45", "12:30:45"), ("=", "="),
        ("'1'", "1"), ('"true"', "true"), ("'no'", "no"), ("一", "一"),
        ("!!str 3", "3"), ("!!float 3", 3.0), ("!!int '3'", 3),
    ],
)  # fmt: skip
def test_plain_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    found = loads(f"a: {text}\n")["a"]
    assert found == value
    assert type(found) is type(value)


def test_not_a_number_is_a_float() -> None:
    found = loads("a: .nan")["a"]
    assert isinstance(found, float)
    assert found != found


def test_int_keys_become_text_and_other_keys_are_errors() -> None:
    assert loads("a: {1: x, 010: y, yes: z}")["a"] == {"1": "x", "10": "y", "yes": "z"}
    assert problems(lambda: loads("a:\n  true: x\n  1.5: y\n  ~: z\n  ? [k]\n  : w\n", "f.yaml")) == [
        "f.yaml:2 a: a key must be text, got 'true'; put it in quotes",
        "f.yaml:3 a: a key must be text, got '1.5'; put it in quotes",
        "f.yaml:4 a: a key must be text, got '~'; put it in quotes",
        "f.yaml:5 a: a key must be text, got a list or mapping; put text with [ or { in quotes",
    ]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
def test_a_number_of_thousands_of_digits_is_an_error(number: str) -> None:
    assert problems(lambda: loads(f"a: {number}")) == [f"<text>:1 a: a number of {len(number)} digits is too long"]


# Places


def test_every_entry_knows_where_it_was_written() -> None:
    tree = loads("name: x\nmodel:\n  dims:\n    - 1\n    - {deep: 2}\n", "f.yaml")
    assert tree.place("name") == "f.yaml:1"
    assert tree["model"].place("dims") == "f.yaml:3"
    assert isinstance(tree["model"]["dims"], ConfigList)
    assert [tree["model"]["dims"].place(index) for index in (0, 1)] == ["f.yaml:4", "f.yaml:5"]
    assert tree["model"]["dims"][1].path == "model.dims.1"
    assert tree.path == ""


def test_an_absent_key_is_placed_where_its_mapping_is() -> None:
    tree = loads("a: 1\nmodel:\n  fusion:\n    dim: 3\n", "f.yaml")
    assert tree["model"]["fusion"].place("absent") == "f.yaml:3"
    assert tree.place("absent") == "f.yaml:1"


def test_a_tree_can_be_deep_copied() -> None:
    tree = loads("a: {b: [1, {c: 2}]}", "f.yaml")
    twin = copy.deepcopy(tree)
    assert twin == tree
    assert twin["a"].place("b") == "f.yaml:1"
    twin["a"]["b"][1]["c"] = 3
    assert tree["a"]["b"][1]["c"] == 2


# Syntax


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n\tb: 1\n", "f.yaml:2: a tab; indent with spaces"),
        ("x: 1\ndim:64\ny: 2\n", "f.yaml:2: a key needs a ':' and a space after it"),
        ("a:\n  b: {c: 1\nd: 2\n", "f.yaml:3: '{' opened on line 2: a ',' or the closing '}' is missing"),
        ("a: [1, 2\n", "f.yaml:2: '[' opened on line 1: a ',' or the closing ']' is missing"),
        ("b: 1\na: 'x\n", "f.yaml:2: the quote that opens here is never closed"),
        ('a: "C:\\data"\n', "f.yaml:1: in double quotes a backslash begins an escape such as \\n; use single quotes"),
        ("a: *.jpg\n", "f.yaml:1: text cannot begin with '*' (a YAML alias); put it in quotes"),
        ("a: @x\n", "f.yaml:1: text cannot begin with '@'; put it in quotes"),
        ("a: %x\n", "f.yaml:1: text cannot begin with '%'; put it in quotes"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2: a second document begins here; remove the '---' line"),
        ("a: [1]]\n", "f.yaml:1: a ']' too many"),
        ("a: {b: ${c}}\n", "f.yaml:1: a '{' inside a value; write ${...} in quotes where it stands in { } or [ ]"),
        ("a: 1\nb: \x00\n", "f.yaml:2: the character U+0000 cannot stand in a YAML file"),
        ("- a\n", "f.yaml:1: the top level must be a mapping (key: value), got a list of 1"),
        (
            "dim:64\n",
            "f.yaml:1: the top level must be a mapping (key: value), got 'dim:64' (str); is a space missing after ':'?",
        ),
        ("", "f.yaml: the file is empty"),
        ("# only a remark\n", "f.yaml: the file is empty"),
    ],
)  # fmt: skip
def test_a_syntax_error_is_a_place_and_a_sentence(text: str, problem: str) -> None:
    assert problems(lambda: loads(text, "f.yaml")) == [problem]


@pytest.mark.parametrize("text", ["a: 1\n  b: 2\n", "a: b: c\n", "a:\n  b: 1\n c: 2\n", "  a: 1\nb: 2\n", "a: 'x' y\n"])
def test_wrong_indentation_or_colon_names_the_line(text: str) -> None:
    (problem,) = problems(lambda: loads(text, "f.yaml"))
    assert problem.startswith(f"f.yaml:{text.count(chr(10))}: ")
    assert "YAML:" not in problem  # a sentence of ours, not PyYAML's


@given(st.text(alphabet="ab:-{}[]'\"&*!|>#%@,?\n\t $0.~\\<", max_size=40))
@settings(deadline=None, max_examples=500)
@example("a: &a [*a]")
@example("<<: 1")
@example("a: <<")
@example("a: !!set {x}")
@example("!!str {a: 1}")
@example("${")
def test_no_text_raises_anything_but_a_config_error(text: str) -> None:
    try:
        tree = loads(text, "f.yaml")
    except ConfigError as error:
        assert error.problems
        assert all(problem.startswith("f.yaml") for problem in error.problems)
    else:
        assert loads(dump(tree)) == tree


def test_duplicate_keys_are_all_reported_with_both_lines() -> None:
    text = "a: 1\nmodel:\n  dim: 1\n  x: 2\n  dim: 3\n'a': 2\nb: {'1': x, 1: y}\n"
    assert problems(lambda: loads(text, "f.yaml")) == [
        "f.yaml:5 model.dim: this key is written twice, first on line 3; remove one",
        "f.yaml:6 a: this key is written twice, first on line 1; remove one",
        "f.yaml:7 b.1: this key is written twice, first on line 7; remove one",
    ]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!binary", "!!timestamp", "!env", "!!set"])
def test_an_unknown_tag_is_an_error(tag: str) -> None:
    (problem,) = problems(lambda: loads(f"a: {tag} x\n", "f.yaml"))
    assert problem == f"f.yaml:1 a: '{tag}' is a YAML tag, which configs do not use; put text with '!' in quotes"


def test_a_wrong_standard_tag_is_an_error() -> None:
    assert problems(lambda: loads("a: !!int x")) == ["<text>:1 a: 'x' is not of the type that its tag !!int says"]


# Aliases


def test_aliases_and_merges() -> None:
    tree = loads("a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  y: 3\nc:\n  <<: [*b, {x: 9, z: 4}]\n  w: *a\n", "f.yaml")
    assert tree["b"] == {"y": 3, "x": 1}
    assert tree["c"] == {"w": {"x": 1, "y": 2}, "y": 3, "x": 1, "z": 4}
    assert tree["b"].place("x") == "f.yaml:1"
    assert tree["c"]["w"].path == "c.w"
    assert tree["c"]["w"] is not tree["a"]


def test_a_merge_of_something_else_is_an_error() -> None:
    message = "'<<' takes a mapping, such as *name of an earlier &name"
    assert problems(lambda: loads("a:\n  <<: 3\n", "f.yaml")) == [f"f.yaml:2 a.<<: {message}"]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert loads("a: {'<<': 3}")["a"] == {"<<": 3}


def _laughs(entry: str, reference: str) -> str:
    lines = [f"a0: {entry.format(['x'] * 10)}"]
    for level in range(1, 10):
        lines.append(
            f"a{level}: {entry.format([])}".replace("[]", f"[{', '.join([reference.format(level - 1)] * 10)}]")
        )
    return "\n".join(line.replace("&n", f"&n{number}") for number, line in enumerate(lines))


def test_aliases_cannot_explode() -> None:
    (problem,) = problems(lambda: loads(_laughs("&n {}", "*n{}")))
    assert problem == "<text>: more than 100000 entries once its aliases (*name) are expanded"


def test_merges_cannot_explode() -> None:
    lines = ["a0: &n0 {x: 1}", *(f"a{n}: &n{n} {{<<: [{', '.join([f'*n{n - 1}'] * 10)}]}}" for n in range(1, 10))]
    assert "more than 100000 entries" in problems(lambda: loads("\n".join(lines)))[0]


def test_references_cannot_explode() -> None:
    (problem,) = problems(lambda: loads(_laughs("{}", "'${{a{}}}'")))
    assert problem.endswith("references expand to more than 100000 entries")


def test_references_inside_text_cannot_explode() -> None:
    lines = ["a0: xxxxxxxxxx", *(f"a{n}: '{f'${{a{n - 1}}}' * 10}'" for n in range(1, 12))]
    assert "references expand to more than" in problems(lambda: loads("\n".join(lines)))[0]


def test_long_text_cannot_be_multiplied() -> None:
    long = "x" * 500_000
    assert "more than" in problems(lambda: loads(f"a: &a {long}\nb: [{', '.join(['*a'] * 20)}]"))[0]
    assert (
        "more than"
        in problems(lambda: loads(f"a: {long}\nb: [{', '.join(['${a}'] * 20)}]".replace("${a}", "'${a}'")))[0]
    )


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}"])
def test_an_alias_inside_itself_is_an_error(text: str) -> None:
    (problem,) = problems(lambda: loads(text))
    assert "an alias (*name) inside the value that it stands for" in problem


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 5000, "a: " + "{b: " * 5000, "\n".join("  " * n + "a:" for n in range(200))]
)
def test_deep_nesting_is_an_error(text: str) -> None:
    assert "more than 64 levels of nesting" in problems(lambda: loads(text))[0]


def test_aliases_cannot_nest_deep() -> None:
    lines = ["a0: &n0 [x]", *(f"a{n}: &n{n} [*n{n - 1}]" for n in range(1, 200))]
    assert "more than 64 levels of nesting" in problems(lambda: loads("\n".join(lines)))[0]


def test_references_cannot_nest_deep() -> None:
    up = ["a0: [x]", *(f"a{n}: ['${{a{n - 1}}}']" for n in range(1, 200))]
    assert "more than 64 levels of nesting" in problems(lambda: loads("\n".join(up)))[0]
    down = [*(f"a{n}: '${{a{n + 1}}}'" for n in range(2000)), "a2000: x"]
    assert "references that refer to each other" in problems(lambda: loads("\n".join(down)))[0]


# Files


def test_files_that_are_no_config(tmp_path: Path) -> None:
    write(tmp_path, train="name: x\n")
    assert problems(lambda: load(tmp_path / "trian.yaml")) == [
        f"{tmp_path}/trian.yaml: no such file; did you mean 'train.yaml'?"
    ]
    assert problems(lambda: load(tmp_path)) == [f"{tmp_path}: a folder; name one of its YAMLs: train.yaml"]
    assert problems(lambda: load(tmp_path / "no" / "x.yaml")) == [
        f"{tmp_path}/no/x.yaml: no such file; there is no folder {tmp_path}/no either"
    ]
    assert problems(lambda: load(tmp_path / "train.yaml" / "x")) == [
        f"{tmp_path}/train.yaml/x: cannot be read: Not a directory"
    ]
    assert problems(lambda: load("a\0b")) == ["'a\\x00b': not the name of a file"]


def test_a_file_must_be_small_utf_8_text(tmp_path: Path) -> None:
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"name: x\ntitle: caf\xe9\n")
    assert problems(lambda: load(latin)) == [f"{latin}:2: not UTF-8; save the file as UTF-8"]
    large = tmp_path / "large.yaml"
    large.write_bytes(b"a: " + b"x" * (1 << 20))
    assert problems(lambda: load(large)) == [f"{large}: larger than 1 MiB, so it is not a config"]
    empty = write(tmp_path, empty="")
    assert problems(lambda: load(empty)) == ["empty.yaml: the file is empty"]


def test_byte_order_mark_and_windows_line_ends_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\r\nb:\r\n  c: 1\r\n")
    tree = load(path)
    assert tree == {"name": "x", "b": {"c": 1}}
    assert tree["b"].place("c") == "windows.yaml:3"


def test_the_quickstart_loads() -> None:
    tree = load(QUICKSTART, ["trainer.epochs=1"])
    assert tree["data"]["test"]["columns"] == {
        "image": "image",
        "audio": "audio",
        "text": "question",
        "answer": "answer",
    }
    assert tree["targets"]["answer"]["classes"] == ["yes", "no", *range(19)]
    assert tree["optimizer"]["learning_rate"] == 2e-3
    assert tree["optimizer"].place("name").startswith("_base_/small_cpu.yaml:")


# Bases


def test_a_base_is_merged_and_places_keep_their_file(tmp_path: Path) -> None:
    base = "seed: 1\nname: base\nloader: {batch_size: 2,\n  workers: 3}\nlist: [1, 2]\n"
    path = write(tmp_path, base=base, run="_base_: base.yaml\nname: run\nloader:\n  workers: 4\nlist: [3]\n")
    tree = load(path)
    assert tree == {"seed": 1, "name": "run", "loader": {"batch_size": 2, "workers": 4}, "list": [3]}
    assert tree.place("seed") == "base.yaml:1"
    assert tree["loader"].place("batch_size") == "base.yaml:3"
    assert tree["loader"].place("workers") == "run.yaml:4"
    assert tree.place("loader") == "run.yaml:3"


def test_another_part_replaces_the_whole_mapping(tmp_path: Path) -> None:
    base = "model: {name: late, fusion: {name: gated, gates: 3}, head: {name: mlp, hidden: 4}}\n"
    run = "_base_: base.yaml\nmodel: {fusion: {name: concat}, head: {name: mlp, classes: 2}}\n"
    assert load(write(tmp_path, base=base, run=run)) == {
        "model": {"name": "late", "fusion": {"name": "concat"}, "head": {"name": "mlp", "hidden": 4, "classes": 2}}
    }


def test_null_is_a_value(tmp_path: Path) -> None:
    assert load(write(tmp_path, base="a: {b: 1}\n", run="_base_: base.yaml\na: null\n")) == {"a": None}


def test_several_bases_later_ones_count_more(tmp_path: Path) -> None:
    (tmp_path / "_base_").mkdir()
    write(tmp_path / "_base_", one="a: 1\nb: 1\nc: 1\n", two="b: 2\nc: 2\n")
    tree = load(write(tmp_path, run="_base_: [_base_/one.yaml, _base_/two.yaml]\nc: 3\n"))
    assert tree == {"a": 1, "b": 2, "c": 3}
    assert tree.place("b") == "_base_/two.yaml:1"


def test_bad_bases_are_all_reported(tmp_path: Path) -> None:
    write(tmp_path, base="a: 1\n", nested="x: 1\n_base_: base.yaml\n")
    path = write(tmp_path, run="a: 1\n_base_: [bsae.yaml, nested.yaml, 3]\n")
    assert problems(lambda: load(path)) == [
        "run.yaml:2 _base_: bsae.yaml: no such file; did you mean 'base.yaml'?",
        "nested.yaml:2 _base_: a base cannot have a base; list both in run.yaml",
        "run.yaml:2 _base_: expected the path of a YAML, or a list of paths, got 3 (int)",
    ]


def test_a_file_that_is_its_own_base_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, run="_base_: run.yaml\n")
    assert problems(lambda: load(path)) == ["run.yaml:1 _base_: a base cannot have a base; list both in run.yaml"]


def test_a_text_has_no_base() -> None:
    (problem,) = problems(lambda: loads("_base_: x.yaml\n"))
    assert problem == "<text>:1 _base_: only a file can have a base; write out the resolved config"


# References


def test_a_reference_keeps_its_type_and_copies() -> None:
    tree = loads("a: {n: 3, f: 1e-4, m: {x: [1, 2]}}\nb: ${a.n}\nc: ${a.f}\nd: ${a.m}\ne: ${a.m.x.1}\nf: ${ a.m.x }\n")
    assert (tree["b"], tree["c"], tree["d"], tree["e"], tree["f"]) == (3, 1e-4, {"x": [1, 2]}, 2, [1, 2])
    assert tree["d"] is not tree["a"]["m"]
    assert tree["d"]["x"] is not tree["a"]["m"]["x"]
    assert tree["d"]["x"].path == "d.x"


def test_a_reference_inside_text_becomes_text() -> None:
    tree = loads("a: 3\nb: true\nc: ~\nd: x-${a}-${b}-${c}\ne: ${a}${a}\nf: 0.5\ng: '${f} '\n")
    assert (tree["d"], tree["e"], tree["g"]) == ("x-3-true-null", "33", "0.5 ")


def test_references_chain_through_each_other() -> None:
    tree = loads("a: ${b.y}\nb: ${c}\nc: {x: 1, y: '${d}!'}\nd: deep\ne: ['${b.x}', '${e.2}', last]\n")
    assert tree["a"] == "deep!"
    assert tree["b"] == {"x": 1, "y": "deep!"}
    assert tree["e"] == [1, "last", "last"]


def test_a_doubled_dollar_is_plain_text() -> None:
    tree = loads(
        "a: '$${b} costs $5, {x}'\nb: '$$${c}'\nc: ${a}\nd: ${e.0}\ne: ['$${a}']\nf: {g: '${e}'}\nh: ${f.g.0}\n"
    )
    assert tree["a"] == "${b} costs $5, {x}"
    assert tree["b"] == "$${c}"
    assert tree["c"] == tree["a"]
    assert tree["d"] == tree["h"] == "${a}"


def test_references_see_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, run="a: {x: 1}\nb: ${a}\n")
    assert load(path, ["a.x=5"])["b"] == {"x": 5}
    assert load(path, ["a.x=5", "b=${a.x}"])["b"] == 5


def test_bad_references_are_all_reported() -> None:
    text = "data:\n  train: {path: x}\na: ${data.trian.path}\nb: x ${data} y\nc: ${\nd: ${data.train.path.z}\ne: ${}\n"
    assert problems(lambda: loads(text, "f.yaml")) == [
        "f.yaml:3 a: '${data.trian.path}' refers to nothing (in data): no key 'trian'; did you mean 'train'?",
        "f.yaml:4 b: ${data} is a mapping, which cannot be part of a text",
        "f.yaml:5 c: '${' without '}'; for the plain text '${' write '$${'",
        "f.yaml:6 d: '${data.train.path.z}' refers to nothing (in data.train.path): no key 'z' in 'x' (str), "
        "which is not a mapping",
        "f.yaml:7 e: '${}' refers to nothing: no key ''; there is a, b, c, d, data, e",
    ]


def test_an_index_past_the_end_of_a_list() -> None:
    (problem,) = problems(lambda: loads("a: [1, 2]\nb: ${a.2}\n", "f.yaml"))
    assert problem == "f.yaml:2 b: '${a.2}' refers to nothing (in a): no item '2' in a list that has items 0 to 1"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: ${a}\n", "f.yaml:1 a: references in a circle: a -> a"),
        ("a: ${b}\nb: x${c}\nc: ${a}\nd: ${a.x}\n", "f.yaml:3 c: references in a circle: a -> b -> c -> a"),
        ("a:\n  b: ${a}\n", "f.yaml:2 a.b: references in a circle: a.b -> a"),
        ("a: {b: '${c}'}\nc: {d: '${a.b.e}'}\n", "f.yaml:2 c.d: references in a circle: a.b -> c.d -> a.b"),
    ],
)
def test_a_circle_is_an_error(text: str, problem: str) -> None:
    assert problems(lambda: loads(text, "f.yaml")) == [problem]


# Overrides


def test_an_override_sets_and_creates(tmp_path: Path) -> None:
    path = write(tmp_path, run="name: x\nmodel: {dim: 1, layers: [{size: 1}, {size: 2}]}\nloader: {}\n")
    tree = load(
        path, ["model.dim=1e-4", "model.layers.1.size=[3, no]", "loader.workers=2", "model.new={a: 1}", "name=a=b"]
    )
    assert tree == {
        "name": "a=b",
        "model": {"dim": 1e-4, "layers": [{"size": 1}, {"size": [3, "no"]}], "new": {"a": 1}},
        "loader": {"workers": 2},
    }
    assert tree["model"].place("dim") == "-o model.dim"
    assert tree["model"]["new"].place("a") == "-o model.new"
    assert tree["model"]["new"].path == "model.new"
    assert tree.place("model") == "run.yaml:2"


def test_the_last_of_two_overrides_counts_and_a_new_mapping_can_be_filled(tmp_path: Path) -> None:
    path = write(tmp_path, run="a: 1\n")
    assert load(path, ["a=2", "a=3", "b={}", "b.c=yes", "d="]) == {"a": 3, "b": {"c": "yes"}, "d": None}


def test_an_item_of_a_list_can_be_replaced(tmp_path: Path) -> None:
    tree = load(write(tmp_path, run="a: [1, 2, 3]\n"), ["a.1={x: 1}"])
    assert tree == {"a": [1, {"x": 1}, 3]}
    assert [tree["a"].place(index) for index in range(3)] == ["run.yaml:1", "-o a.1", "run.yaml:1"]


def test_bad_overrides_are_all_reported(tmp_path: Path) -> None:
    path = write(tmp_path, run="model: {dim: 1}\nlist: [1]\nempty: []\ntwin: ${model}\nloader:\n")
    overrides = [
        "modle.dim=2",
        "model.dmi.x=2",
        "list.1=2",
        "list.x=2",
        "empty.0=1",
        "export.samples=8",
        "model.dim",
        "=1",
    ]
    overrides += ["model..dim=1", "twin.dim=2", "twin.dim.x=2", "model.dim.x=1", "loader.workers=1", "model={name: x"]
    assert problems(lambda: load(path, overrides)) == [
        "-o modle.dim: no key 'modle'; did you mean 'model'?",
        "-o model.dmi.x: model: no key 'dmi'; did you mean 'dim'?",
        "-o list.1: list: no item '1' in a list that has items 0 to 0",
        "-o list.x: list: no item 'x' in a list that has items 0 to 0",
        "-o empty.0: empty: no item '0' in a list that has no items",
        "-o export.samples: no key 'export'; there is empty, list, loader, model, twin; to add it whole, "
        "write -o 'export={samples: ...}'",
        "-o model.dim: no '='; write -o key=value without spaces",
        "-o =1: '' has an empty key; write -o a.b=value",
        "-o model..dim=1: 'model..dim' has an empty key; write -o a.b=value",
        "-o twin.dim: twin: no key 'dim' in '${model}' (str), which is not a mapping; override model.dim instead",
        "-o twin.dim.x: twin: no key 'dim' in '${model}' (str), which is not a mapping; override model.dim.x instead",
        "-o model.dim.x: model.dim: no key 'x' in 1 (int), which is not a mapping",
        "-o loader.workers: loader: no key 'workers' in null, which is not a mapping",
        "-o model: '{' opened on line 1: a ',' or the closing '}' is missing (the value is '{name: x'; in a shell, "
        "put the whole override in single quotes)",
    ]


def test_a_duplicate_key_in_an_override(tmp_path: Path) -> None:
    (problem,) = problems(lambda: load(write(tmp_path, run="a: 1\n"), ["a={b: 1, b: 2}"]))
    assert problem.startswith("-o a b: this key is written twice; remove one")


# Dump

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
