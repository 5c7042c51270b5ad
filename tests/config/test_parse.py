from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ppmm.config import dump, loads
from ppmm.errors import ConfigError

Problems = Callable[[Callable[[], Any]], list[str]]


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


def test_int_keys_become_text_and_other_keys_are_errors(problems: Problems) -> None:
    assert loads("a: {1: x, 010: y, yes: z}")["a"] == {"1": "x", "10": "y", "yes": "z"}
    assert problems(lambda: loads("a:\n  true: x\n  1.5: y\n  ~: z\n  ? [k]\n  : w\n", "f.yaml")) == [
        "f.yaml:2 a: a key must be text, got 'true'; put it in quotes",
        "f.yaml:3 a: a key must be text, got '1.5'; put it in quotes",
        "f.yaml:4 a: a key must be text, got '~'; put it in quotes",
        "f.yaml:5 a: a key must be text, got a list or mapping; put text with [ or { in quotes",
    ]


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000])
def test_a_number_of_thousands_of_digits_is_an_error(number: str, problems: Problems) -> None:
    assert problems(lambda: loads(f"a: {number}")) == [f"<text>:1 a: a number of {len(number)} digits is too long"]


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
def test_a_syntax_error_is_a_place_and_a_sentence(text: str, problem: str, problems: Problems) -> None:
    assert problems(lambda: loads(text, "f.yaml")) == [problem]


@pytest.mark.parametrize("text", ["a: 1\n  b: 2\n", "a: b: c\n", "a:\n  b: 1\n c: 2\n", "  a: 1\nb: 2\n", "a: 'x' y\n"])
def test_wrong_indentation_or_colon_names_the_line(text: str, problems: Problems) -> None:
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


def test_duplicate_keys_are_all_reported_with_both_lines(problems: Problems) -> None:
    text = "a: 1\nmodel:\n  dim: 1\n  x: 2\n  dim: 3\n'a': 2\nb: {'1': x, 1: y}\n"
    assert problems(lambda: loads(text, "f.yaml")) == [
        "f.yaml:5 model.dim: this key is written twice, first on line 3; remove one",
        "f.yaml:6 a: this key is written twice, first on line 1; remove one",
        "f.yaml:7 b.1: this key is written twice, first on line 7; remove one",
    ]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!binary", "!!timestamp", "!env", "!!set"])
def test_an_unknown_tag_is_an_error(tag: str, problems: Problems) -> None:
    (problem,) = problems(lambda: loads(f"a: {tag} x\n", "f.yaml"))
    assert problem == f"f.yaml:1 a: '{tag}' is a YAML tag, which configs do not use; put text with '!' in quotes"


def test_a_wrong_standard_tag_is_an_error(problems: Problems) -> None:
    assert problems(lambda: loads("a: !!int x")) == ["<text>:1 a: 'x' is not of the type that its tag !!int says"]


def test_aliases_and_merges() -> None:
    tree = loads("a: &a {x: 1, y: 2}\nb: &b\n  <<: *a\n  y: 3\nc:\n  <<: [*b, {x: 9, z: 4}]\n  w: *a\n", "f.yaml")
    assert tree["b"] == {"y": 3, "x": 1}
    assert tree["c"] == {"w": {"x": 1, "y": 2}, "y": 3, "x": 1, "z": 4}
    assert tree["b"].place("x") == "f.yaml:1"
    assert tree["c"]["w"].path == "c.w"
    assert tree["c"]["w"] is not tree["a"]


def test_a_merge_of_something_else_is_an_error(problems: Problems) -> None:
    message = "'<<' takes a mapping, such as *name of an earlier &name"
    assert problems(lambda: loads("a:\n  <<: 3\n", "f.yaml")) == [f"f.yaml:2 a.<<: {message}"]


def test_a_quoted_merge_key_is_a_key() -> None:
    assert loads("a: {'<<': 3}")["a"] == {"<<": 3}


def test_aliases_cannot_explode(problems: Problems) -> None:
    lines = ["a0: &n0 [x]", *(f"a{n}: &n{n} [{', '.join([f'*n{n - 1}'] * 10)}]" for n in range(1, 10))]
    (problem,) = problems(lambda: loads("\n".join(lines)))
    assert problem == "<text>: more than 100000 entries once its aliases (*name) are expanded"


def test_merges_cannot_explode(problems: Problems) -> None:
    lines = ["a0: &n0 {x: 1}", *(f"a{n}: &n{n} {{<<: [{', '.join([f'*n{n - 1}'] * 10)}]}}" for n in range(1, 10))]
    assert "more than 100000 entries" in problems(lambda: loads("\n".join(lines)))[0]


def test_long_text_cannot_be_multiplied(problems: Problems) -> None:
    long = "x" * 500_000
    assert "more than" in problems(lambda: loads(f"a: &a {long}\nb: [{', '.join(['*a'] * 20)}]"))[0]
    assert (
        "more than"
        in problems(lambda: loads(f"a: {long}\nb: [{', '.join(['${a}'] * 20)}]".replace("${a}", "'${a}'")))[0]
    )


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: *a}", "a: &a {<<: *a}"])
def test_an_alias_inside_itself_is_an_error(text: str, problems: Problems) -> None:
    (problem,) = problems(lambda: loads(text))
    assert "an alias (*name) inside the value that it stands for" in problem


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 5000, "a: " + "{b: " * 5000, "\n".join("  " * n + "a:" for n in range(200))]
)
def test_deep_nesting_is_an_error(text: str, problems: Problems) -> None:
    assert "more than 64 levels of nesting" in problems(lambda: loads(text))[0]


def test_aliases_cannot_nest_deep(problems: Problems) -> None:
    lines = ["a0: &n0 [x]", *(f"a{n}: &n{n} [*n{n - 1}]" for n in range(1, 200))]
    assert "more than 64 levels of nesting" in problems(lambda: loads("\n".join(lines)))[0]
