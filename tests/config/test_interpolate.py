from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppmm.config import load, loads

Problems = Callable[[Callable[[], Any]], list[str]]


def write(folder: Path, **texts: str) -> Path:
    """Write one file per keyword; returns the path of the last."""
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
    return path


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


def test_bad_references_are_all_reported(problems: Problems) -> None:
    text = "data:\n  train: {path: x}\na: ${data.trian.path}\nb: x ${data} y\nc: ${\nd: ${data.train.path.z}\ne: ${}\n"
    assert problems(lambda: loads(text, "f.yaml")) == [
        "f.yaml:3 a: '${data.trian.path}' refers to nothing (in data): no key 'trian'; did you mean 'train'?",
        "f.yaml:4 b: ${data} is a mapping, which cannot be part of a text",
        "f.yaml:5 c: '${' without '}'; for the plain text '${' write '$${'",
        "f.yaml:6 d: '${data.train.path.z}' refers to nothing (in data.train.path): no key 'z' in 'x' (str), "
        "which is not a mapping",
        "f.yaml:7 e: '${}' refers to nothing: no key ''; there is a, b, c, d, data, e",
    ]


def test_a_reference_inside_a_reference_is_an_error(problems: Problems) -> None:
    message = "a '${...}' inside a '${...}'; write the whole path out"
    assert problems(lambda: loads("a: x${b.${c}}\nb: {d: 1}\nc: d\n", "f.yaml")) == [f"f.yaml:1 a: {message}"]


def test_an_index_past_the_end_of_a_list(problems: Problems) -> None:
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
def test_a_circle_is_an_error(text: str, problem: str, problems: Problems) -> None:
    assert problems(lambda: loads(text, "f.yaml")) == [problem]


def test_references_cannot_explode(problems: Problems) -> None:
    text = "a0: [x]\n"
    for n in range(1, 10):
        text += f"a{n}:\n" + f"- ${{a{n - 1}}}\n" * 10
    (problem,) = problems(lambda: loads(text))
    assert problem.endswith("references expand to more than 100000 entries")


def test_references_inside_text_cannot_explode(problems: Problems) -> None:
    lines = ["a0: xxxxxxxxxx", *(f"a{n}: '{f'${{a{n - 1}}}' * 10}'" for n in range(1, 12))]
    assert "references expand to more than" in problems(lambda: loads("\n".join(lines)))[0]


def test_references_cannot_nest_deep(problems: Problems) -> None:
    up = ["a0: [x]", *(f"a{n}: ['${{a{n - 1}}}']" for n in range(1, 200))]
    assert "more than 64 levels of nesting" in problems(lambda: loads("\n".join(up)))[0]
    down = [*(f"a{n}: '${{a{n + 1}}}'" for n in range(2000)), "a2000: x"]
    assert "references that refer to each other" in problems(lambda: loads("\n".join(down)))[0]
