from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ppmm.config import load, loads

Problems = Callable[[Callable[[], Any]], list[str]]
QUICKSTART = Path(__file__).parents[2] / "configs" / "quickstart.yaml"


def write(folder: Path, **texts: str) -> Path:
    """Write one file per keyword; returns the path of the last."""
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
    return path


def test_files_that_are_no_config(tmp_path: Path, problems: Problems) -> None:
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


def test_a_file_must_be_small_utf_8_text(tmp_path: Path, problems: Problems) -> None:
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


def test_bad_bases_are_all_reported(tmp_path: Path, problems: Problems) -> None:
    write(tmp_path, base="a: 1\n", nested="x: 1\n_base_: base.yaml\n")
    path = write(tmp_path, run="a: 1\n_base_: [bsae.yaml, nested.yaml, 3]\n")
    assert problems(lambda: load(path)) == [
        "run.yaml:2 _base_: bsae.yaml: no such file; did you mean 'base.yaml'?",
        "nested.yaml:2 _base_: a base cannot have a base; list both in run.yaml",
        "run.yaml:2 _base_: expected the path of a YAML, or a list of paths, got 3 (int)",
    ]


def test_a_file_that_is_its_own_base_is_an_error(tmp_path: Path, problems: Problems) -> None:
    path = write(tmp_path, run="_base_: run.yaml\n")
    assert problems(lambda: load(path)) == ["run.yaml:1 _base_: a base cannot have a base; list both in run.yaml"]


def test_a_text_has_no_base(problems: Problems) -> None:
    (problem,) = problems(lambda: loads("_base_: x.yaml\n"))
    assert problem == "<text>:1 _base_: only a file can have a base; write out the resolved config"
