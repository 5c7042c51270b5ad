"""What commands found, as JSON that every reader takes."""

import json
import math
from pathlib import Path

import pytest

from ppmm.app.document import write_document, write_lines
from ppmm.app.robustness import robustness_table
from ppmm.errors import DataError

APP = Path(__file__).parents[2] / "ppmm" / "app"


def strict(text):
    """JSON as everyone else reads it: without NaN and Infinity."""

    def refuse(name):
        raise ValueError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_null_stands_for_what_is_not_finite_at_any_depth(tmp_path):
    path = tmp_path / "new" / "figures.json"
    write_document(path, {"metrics": {"r2": math.nan, "loss": 0.5}, "curve": [1.0, (math.inf, -math.inf)], "名": "é"})
    assert strict(path.read_text(encoding="utf-8")) == {
        "metrics": {"r2": None, "loss": 0.5}, "curve": [1.0, [None, None]], "名": "é"
    }  # fmt: skip
    assert [file.name for file in path.parent.iterdir()] == ["figures.json"]
    write_document(None, {"a": 1})
    write_lines(path, [{"a": math.nan}, {"a": 2}])
    assert path.read_text() == '{"a": null}\n{"a": 2}\n'


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/figures\.json' cannot be written"):
        write_document(tmp_path / "file" / "figures.json", {})


def test_no_command_writes_json_in_another_way():
    assert [path.name for path in APP.glob("*.py") if "write_text(json.dumps" in path.read_text()] == []


def test_a_table_of_robustness_from_a_document_with_figures_that_were_not_finite():
    curve = {"values": [0.5, None], "relative": None, "effective": -0.25}
    plain = {"values": [0.5, math.nan], "relative": 0.125}
    document = {"levels": [0.0, 1.0], "metric": "r2", "subsets": {"image": None}, "curves": {"a": curve, "b": plain}}
    lines = robustness_table(document).splitlines()
    assert lines[2] == "| image | – |"
    assert lines[-2:] == ["| a | 0.500 | – | – | -0.250 |", "| b | 0.500 | – | 0.125 | – |"]
