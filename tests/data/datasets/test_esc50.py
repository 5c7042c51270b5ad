"""ESC-50 in its published layout."""

import pytest

from ppmm.data.datasets.esc50 import Esc50
from ppmm.errors import ConfigError, DataError

HEADER = "filename,fold,target,category,esc10,src_file,take\n"
ROWS = [
    "1-100032-A-0.wav,1,0,dog,True,100032,A",
    "2-100210-A-36.wav,2,36,vacuum_cleaner,False,100210,A",
    "2-100210-B-36.wav,2,36,vacuum_cleaner,False,100210,B",
    "5-9032-A-0.wav,5,0,dog,True,9032,A",
]


@pytest.fixture
def esc(tree):
    tree.text("ESC-50-master/meta/esc50.csv", HEADER + "\n".join(ROWS) + "\n")
    for row in ROWS:
        tree.wav(f"ESC-50-master/audio/{row.split(',')[0]}", rate=44100)
    return tree


@pytest.mark.parametrize("inside", [False, True])
def test_folds(esc, inside):
    rows = Esc50(str(esc.root / "ESC-50-master" if inside else esc), folds=[1, 2])
    assert len(rows) == 3
    assert rows[1] == {
        "id": "2-100210-A-36.wav", "audio": esc.root / "ESC-50-master/audio/2-100210-A-36.wav",
        "label": "vacuum_cleaner", "group": "100210", "fold": "2",
    }  # fmt: skip
    assert [row["label"] for row in Esc50(str(esc), folds=[1, 2, 5], esc10=True)] == ["dog", "dog"]


def test_what_is_wrong_is_named(esc):
    with pytest.raises(ConfigError, match="some of 1, 2, 3, 4, 5"):
        Esc50(str(esc), folds=[6])
    with pytest.raises(DataError, match=r"no rows: ESC-50 folds \[3\]"):
        Esc50(str(esc), folds=[3])
    esc.text("ESC-50-master/meta/esc50.csv", HEADER + ROWS[0].replace(",1,", ",one,"))
    with pytest.raises(DataError, match=r"esc50\.csv:2: fold 'one'"):
        Esc50(str(esc), folds=[1])
    esc.text("ESC-50-master/meta/esc50.csv", "filename,fold\na.wav,1\n")
    with pytest.raises(DataError, match="no column 'target'"):
        Esc50(str(esc), folds=[1])
    (esc.root / "ESC-50-master/meta/esc50.csv").unlink()
    with pytest.raises(DataError, match=r"looked for the file .*meta/esc50\.csv.*karolpiczak/ESC-50"):
        Esc50(str(esc), folds=[1])
