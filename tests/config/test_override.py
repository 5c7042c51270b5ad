from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppmm.config import load

Problems = Callable[[Callable[[], Any]], list[str]]


def write(folder: Path, **texts: str) -> Path:
    """Write one file per keyword; returns the path of the last."""
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
    return path


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


def test_bad_overrides_are_all_reported(tmp_path: Path, problems: Problems) -> None:
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


def test_a_duplicate_key_in_an_override(tmp_path: Path, problems: Problems) -> None:
    (problem,) = problems(lambda: load(write(tmp_path, run="a: 1\n"), ["a={b: 1, b: 2}"]))
    assert problem.startswith("-o a b: this key is written twice; remove one")
