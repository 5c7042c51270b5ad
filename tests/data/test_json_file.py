"""JSON files read item by item, against `json.loads` and on damaged text."""

import json

import pytest

from ppmm.data.json_file import need, read_items
from ppmm.errors import DataError

CONTENT = {
    "info": {"a": [{"not": "this one"}], "text": 'quotes " and ] } brackets'},
    "a": [{"x": [1, {"y": "]"}]}, {}, {"z": None}],
    "empty": [],
    "b": [{"n": index} for index in range(50)],
    "number": -1.5e3,
}


@pytest.mark.parametrize("indent", [None, 0, 3])
def test_every_item_of_the_wanted_lists_in_order(tmp_path, indent):
    path = tmp_path / "x.json"
    path.write_text("\ufeff" + json.dumps(CONTENT, indent=indent), encoding="utf-8")
    found = list(read_items(path, "b", "a", "empty"))
    assert [item.value for item in found] == CONTENT["a"] + CONTENT["b"]
    assert found[1].place == "a[1]" and found[10].list == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: not JSON: Expecting '{'"),
        ("[]", ":1: not JSON: Expecting '{'"),
        ("{} ", "has no list 'a'"),
        ("{} {", "not JSON: Extra data"),
        ('{"b": []}', "has no list 'a'"),
        ('{"a": {}}', "a: expected a list of objects, found dict"),
        ('{"a": [1]}', "a: expected a list of objects, found int"),
        ('{"a":\n[{},]}', ":2: not JSON"),
        ('{"a":\n[{}\n', ":3: not JSON: Expecting ','"),
        ('{"a": [{}] "b": 1}', ":1: not JSON: Expecting ','"),
        ('{"a": [{}]', ":1: not JSON: Expecting ','"),
        ("{1: []}", "not JSON"),
        ('{"a": [{}]} more', "not JSON: Extra data"),
        ('{"a": [{"x": tru}]}', "not JSON"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
    ],
)
def test_damaged_text_is_refused_with_its_line(tmp_path, text, message):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DataError) as error:
        list(read_items(path, "a"))
    assert message in str(error.value) and str(path) in str(error.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "x.json").write_bytes(b'{"a":\n"\xff"}')
    with pytest.raises(DataError, match=r"x\.json:2: not UTF-8"):
        list(read_items(tmp_path / "x.json", "a"))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(read_items(tmp_path / "y.json", "a"))


def test_need_names_file_place_and_key(tmp_path):
    (tmp_path / "x.json").write_text('{"a": [{"n": 3, "t": true}]}')
    item = next(read_items(tmp_path / "x.json", "a"))
    assert need(item, "n", int, tmp_path) == 3
    for key, message in (("t", r"a\[0\]: 't' is True"), ("u", r"a\[0\]: 'u' is absent")):
        with pytest.raises(DataError, match=message):
            need(item, key, int, tmp_path)
