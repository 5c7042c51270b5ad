"""Tables: rows with their lines, and messages that name the line."""

import pytest

from ppmm.data.table import read_table
from ppmm.errors import DataError


def write(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_json_lines(tmp_path):
    text = '\ufeff{"a": 1, "b": "x\u2028y"}\r\n\n{"a": [1.5, null]}'
    assert read_table(write(tmp_path, "t.jsonl", text)) == [
        (1, {"a": 1, "b": "x\u2028y"}),
        (3, {"a": [1.5, None]}),
    ]


@pytest.mark.parametrize(("name", "mark"), [("t.csv", ","), ("t.TSV", "\t")])
def test_csv_and_tsv(tmp_path, name, mark):
    text = '\ufeffa, b \r\n1,"two\nlines"\r\n\r\n"say ""hi""",\r\n'.replace(",", mark)
    assert read_table(write(tmp_path, name, text)) == [
        (2, {"a": "1", "b": "two\nlines"}),
        (5, {"a": 'say "hi"', "b": ""}),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.jsonl", "", "has no rows"),
        ("t.csv", "", "has no rows"),
        ("t.csv", "a,b\n", "has no rows"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', r"t\.jsonl:2: not JSON"),
        ("t.jsonl", '{"a": 1}\n[1]\n', r"t\.jsonl:2: expected one object {...} per line, found list"),
        ("t.jsonl", '{"a": NaN}', r"t\.jsonl:1: not JSON: NaN is no number"),
        ("t.jsonl", "[" * 100_000, r"t\.jsonl:1: not JSON"),
        ("t.jsonl", b'{"a": 1}\n{"a": "\xff"}', r"t\.jsonl:2: not UTF-8"),
        ("t.csv", "a,b\n1,2\n3\n", r"t\.csv:3: 1 cells, but the header has 2 columns"),
        ("t.csv", 'a,b\n"1\n1",2\n3,4,5\n', r"t\.csv:4: 3 cells"),
        ("t.csv", 'a,b\n"1,2\n', r"t\.csv:\d: unexpected end"),
        ("t.csv", "a,a\n1,2\n", "must be given and differ; see 'a'"),
        ("t.csv", "a,\n1,2\n", "must be given and differ; see ''"),
        ("t.csv", b"a\n" + b"x" * 200_000, r"t\.csv:2: field larger"),
        ("t.xlsx", "a", r"give \.jsonl"),
    ],
)
def test_damaged_tables(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        read_table(write(tmp_path, name, content))


def test_missing_file_and_directory(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv' does not exist \(looked from .*make or unpack"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_table(tmp_path / "d.csv")
