"""Splits by hash, and rows kept as columns."""

from pathlib import Path

import pytest

from ppmm.data.captions import Captioned, caption_columns
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice, check_share, part_of
from ppmm.errors import ConfigError, DataError


def test_parts_have_their_shares_and_never_change() -> None:
    # sha256("0")[:8] is 0x5feceb66ffc86f38, 0.3747 of 2**64.
    assert part_of("0", {"val": 0.374}) == "train" and part_of("0", {"val": 0.375}) == "val"
    assert part_of("0", {"val": 0.2, "test": 0.18}) == "test"
    parts = [part_of(str(number), {"val": 0.1, "test": 0.2}) for number in range(20_000)]
    assert abs(parts.count("val") - 2000) < 150 and abs(parts.count("test") - 4000) < 200
    assert part_of("x", {}, rest="all") == "all"


def test_settings_out_of_range_are_refused() -> None:
    for share in (-0.1, 1.0):
        with pytest.raises(ConfigError, match="val_share"):
            check_share("val_share", share)
    with pytest.raises(ConfigError, match="split: 'x' must be one of a, b"):
        check_choice("split", "x", ["a", "b"])


def test_a_reader_leaves_out_what_a_row_lacks_and_joins_paths() -> None:
    rows = [{"id": "a", "image": "x/1.png", "n": 3}, {"id": "b", "labels": ["p", "q"]}]
    reader = Reader(columns_of(rows, ["id", "image", "n", "labels"]), "what was found", {"image": Path("root")})
    assert list(reader) == [
        {"id": "a", "image": Path("root/x/1.png"), "n": 3}, {"id": "b", "labels": ["p", "q"]},
    ]  # fmt: skip
    assert reader.column("n") == [3, None] and len(reader) == 2
    with pytest.raises(DataError, match="no rows: nothing there"):
        Reader({"id": []}, "nothing there")
    with pytest.raises(ConfigError, match="limit"):
        Reader({"id": ["a"]}, "", limit=0)


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png", "a\\b.png", "C:x.png", ".."])
def test_a_reader_refuses_names_that_lead_out_of_their_folder(name: str) -> None:
    with pytest.raises(DataError, match=r"row b: image .* leads out of 'root'"):
        Reader({"id": ["a", "b"], "image": ["a..b/..c/x.png", name]}, "", {"image": Path("root")})


def test_captions_by_row_or_as_a_list() -> None:
    items = [Captioned("p", {"image": "p.jpg"}, ["one", "two"]), Captioned("q", {"image": "q.jpg"}, [])]
    assert caption_columns(items, "rows") == {
        "id": ["p#0", "p#1"], "group": ["p", "p"], "image": ["p.jpg", "p.jpg"], "caption": ["one", "two"],
    }  # fmt: skip
    assert caption_columns(items, "list") == {
        "id": ["p"], "group": ["p"], "image": ["p.jpg"], "captions": [["one", "two"]],
    }  # fmt: skip
