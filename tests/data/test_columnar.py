"""Tables as Arrow columns: every value kept, converted once, found again, whoever opens it."""

import json
import multiprocessing
import os

import pytest

from ppmm.data import columnar
from ppmm.data.columnar import open_table
from ppmm.errors import DataError

VALUES = {
    "text": ["a", "", "\u4e2d\u6587", None],
    "whole": [1, -2, 2**62, None],
    "large": [1, 2**70, 3, None],
    "number": [0.5, -1e300, 2.0, None],
    "mixed": [1, 2.0, "x", None],
    "flag": [True, False, True, None],
    "texts": [["a", "b"], [], ["c"], None],
    "nested": [[1, 2], {"a": [None]}, [], None],
    "surrogate": ["\ud800", "b", "c", None],
    "none": [None, None, None, None],
}


def write(path, rows):
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture
def table(tmp_path):
    (tmp_path / "data").mkdir()
    rows = [{name: values[row] for name, values in VALUES.items()} for row in range(4)]
    return write(tmp_path / "data" / "t.jsonl", rows)


@pytest.fixture
def large(monkeypatch):
    """Every table counts as large."""
    monkeypatch.setattr(columnar, "IN_MEMORY", 0)


@pytest.mark.parametrize("limit", [0, 1 << 20])
def test_every_value_and_its_type_is_kept(table, monkeypatch, limit):
    monkeypatch.setattr(columnar, "IN_MEMORY", limit)
    found = open_table(table)
    assert found.columns == list(VALUES) and len(found) == 4
    for name, values in VALUES.items():
        for cells in (list(found.values(name)), [found.cell(row, name) for row in range(4)]):
            assert cells == values and [type(cell) for cell in cells] == [type(value) for value in values], name
    assert [found.line(row) for row in range(4)] == [1, 2, 3, 4]
    assert (table.parent / ".ppmm_cache").exists() == (limit == 0)


def test_a_column_that_appears_late_and_a_type_that_changes_late(tmp_path, large):
    rows = [{"a": 1}] * 40_000 + [{"b": "x"}, {"a": "y"}]
    found = open_table(write(tmp_path / "t.jsonl", rows))
    assert found.columns == ["a", "b"] and found.cell(39_999, "a") == 1 and found.cell(40_001, "a") == "y"
    assert found.cell(0, "b") is None and found.cell(40_000, "b") == "x" and found.line(40_001) == 40_002


def test_the_second_opening_converts_nothing(table, large, monkeypatch):
    open_table(table)
    monkeypatch.setattr(columnar, "convert", None)
    assert open_table(table).cell(0, "text") == "a"


def test_another_content_is_another_cache(table, large):
    open_table(table)
    before = os.stat(table)
    text = table.read_text().replace('"a"', '"z"', 1)
    table.write_text(text)
    os.utime(table, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert open_table(table).cell(0, "text") == "z"
    assert len(list((table.parent / ".ppmm_cache").iterdir())) == 2


def test_a_damaged_cache_is_made_again(table, large):
    open_table(table)
    (cache,) = (table.parent / ".ppmm_cache").iterdir()
    cache.write_bytes(cache.read_bytes()[:100])
    assert open_table(table).cell(3, "text") is None and cache.stat().st_size > 100


def test_a_folder_of_ones_own(table, large, tmp_path):
    open_table(table, tmp_path / "mine")
    assert len(list((tmp_path / "mine").iterdir())) == 1 and not (table.parent / ".ppmm_cache").exists()
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"no folder can be written for its cache; looked at .*file"):
        open_table(table, tmp_path / "file")


def test_a_folder_that_cannot_be_written(table, large, tmp_path, monkeypatch):
    """A file stands where the folder should be: root may write anywhere else, so permissions prove nothing."""
    (table.parent / ".ppmm_cache").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    assert open_table(table).cell(0, "text") == "a"
    assert len(list((tmp_path / "user" / "ppmm").iterdir())) == 1


def test_no_folder_at_all(table, large, tmp_path, monkeypatch):
    (table.parent / ".ppmm_cache").touch()
    (tmp_path / "user").touch()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    assert open_table(table).cell(0, "text") == "a"
    assert not list(temporary.iterdir()), "the file is nameless"


def open_and_tell(path, queue):
    columnar.IN_MEMORY = 0
    queue.put(list(open_table(path).values("number")))


def test_openers_at_the_same_time(tmp_path):
    path = write(tmp_path / "t.jsonl", [{"number": number} for number in range(20_000)])
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    openers = [context.Process(target=open_and_tell, args=(path, queue)) for _ in range(4)]
    for opener in openers:
        opener.start()
    assert [queue.get() for _ in openers] == [list(range(20_000))] * 4
    for opener in openers:
        opener.join()
    assert [file.suffix for file in (tmp_path / ".ppmm_cache").iterdir()] == [".arrow"]


def test_a_bad_line_leaves_no_file(tmp_path, large):
    path = write(tmp_path / "t.jsonl", [{"a": 1}] * 20_000)
    path.write_text(path.read_text() + '\n{"a": \n')
    with pytest.raises(DataError, match=r"t\.jsonl:20001: not JSON"):
        open_table(path)
    assert not list((tmp_path / ".ppmm_cache").iterdir())


def test_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = {"text": ["a", None], "n": [1, 2], "tags": [["x"], None], "raw": [b"\x00", None], "f": [0.5, None]}
    table = pa.table({**columns, "coded": pa.array(["u", "v"]).dictionary_encode()})
    parquet.write_table(table, tmp_path / "t.parquet")
    found = open_table(tmp_path / "t.parquet")
    assert {name: list(found.values(name)) for name in found.columns} == {**columns, "coded": ["u", "v"]}
    assert found.line(1) == 2 and found.is_text("coded") and not found.is_text("n")
    parquet.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="has no rows"):
        open_table(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes((tmp_path / "t.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        open_table(tmp_path / "bad.parquet")


@pytest.mark.parametrize(("name", "message"), [("t.xlsx", r"give \.jsonl, .*parquet"), ("none.csv", "does not exist")])
def test_what_cannot_be_opened(tmp_path, name, message):
    with pytest.raises(DataError, match=message):
        open_table(tmp_path / name)


def test_too_many_columns(tmp_path):
    path = write(tmp_path / "t.jsonl", [{f"c{number}": 1 for number in range(10_001)}])
    with pytest.raises(DataError, match=r"t\.jsonl:1: more than 10,000 columns"):
        open_table(path)


def test_odd_paths(tmp_path):
    paths = ["a.png", "/data/b.png", " /data/c.png", "/other/d.png", "x/../e.png", "..f.png", None, "/data"]
    found = open_table(write(tmp_path / "t.jsonl", [{"p": path} for path in paths]))
    assert found.odd_paths("p", "/data") == [2, 3, 4, 7]
    assert found.odd_paths("p", "/") == [2, 4]


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match="device or pipe"):
        open_table(tmp_path / "a.csv")
