"""AudioCaps and Clotho in their published layouts."""

import pytest

from ppmm.data.datasets.audiocaps import AudioCaps
from ppmm.data.datasets.clotho import Clotho
from ppmm.errors import DataError

CAPS = """audiocap_id,youtube_id,start_time,caption
97151,vfY_TJq7n_U,130,"Rustling occurs, ducks quack and water splashes"
97152,vfY_TJq7n_U,130,Ducks
103549,tdWhHV3X25Q,60,Wind
103541,tDVADusiIoc,30,An audience gives applause
103542,gone,0,Nothing is left
"""


@pytest.fixture
def audiocaps(tree):
    tree.text("dataset/test.csv", CAPS)
    for name in ("vfY_TJq7n_U_130.wav", "YtdWhHV3X25Q.flac", "103541.wav"):
        tree.wav(f"audio/test/{name}", 16)
    return tree


def test_audiocaps_finds_recordings_under_their_usual_names(audiocaps):
    rows = AudioCaps(str(audiocaps), "test")
    assert [(row["id"], row["audio"].name) for row in rows] == [
        ("vfY_TJq7n_U_130#0", "vfY_TJq7n_U_130.wav"), ("vfY_TJq7n_U_130#1", "vfY_TJq7n_U_130.wav"),
        ("tdWhHV3X25Q_60#0", "YtdWhHV3X25Q.flac"), ("tDVADusiIoc_30#0", "103541.wav"),
    ]  # fmt: skip
    assert rows[0]["caption"] == "Rustling occurs, ducks quack and water splashes"
    assert "1 more captions lack their recording" in rows.found
    lists = AudioCaps(str(audiocaps), "test", captions="list")
    assert lists[0]["captions"] == [rows[0]["caption"], "Ducks"] and len(lists) == 3


def test_what_is_wrong_with_audiocaps_is_named(audiocaps):
    with pytest.raises(DataError, match=r"train\.csv' or .*dataset/train\.csv'.*cdjkim/audiocaps"):
        AudioCaps(str(audiocaps), "train")
    audiocaps.text("dataset/test.csv", CAPS.replace("caption\n", "text\n"))
    with pytest.raises(DataError, match="expected the columns audiocap_id,youtube_id,start_time,caption"):
        AudioCaps(str(audiocaps), "test")
    audiocaps.text("dataset/test.csv", "audiocap_id,youtube_id,start_time,caption\n1,gone,0,Nothing\n")
    with pytest.raises(DataError, match=r"<youtube_id>_<start_time>\.wav"):
        AudioCaps(str(audiocaps), "test")
    audiocaps.text("dataset/test.csv", "audiocap_id,youtube_id,start_time,caption\n1,gone,0, \n")
    with pytest.raises(DataError, match=r"test\.csv:2: needs"):
        AudioCaps(str(audiocaps), "test")


@pytest.mark.parametrize("places", [("", "development"), ("clotho_csv_files/", "clotho_audio_files/development")])
def test_clotho(tree, places):
    header = "file_name,caption_1,caption_2,caption_3,caption_4,caption_5\n"
    rows = 'Distorted AM Radio noise.wav,"A muddled noise, of","b",c,d,e\n02 storm.wav,f,g,h,i,j\n'
    table = tree.text(f"{places[0]}clotho_captions_development.csv", header + rows)
    for name in ("Distorted AM Radio noise.wav", "02 storm.wav"):
        tree.wav(f"{places[1]}/{name}", 16, 44100)
    found = Clotho(str(tree), "train")
    assert len(found) == 10 and found[0] == {
        "id": "Distorted AM Radio noise.wav#0", "group": "Distorted AM Radio noise.wav",
        "audio": tree.root / places[1] / "Distorted AM Radio noise.wav", "caption": "A muddled noise, of",
    }  # fmt: skip
    assert Clotho(str(tree), "train", captions="list")[1]["captions"] == ["f", "g", "h", "i", "j"]
    with pytest.raises(DataError, match=r"clotho_captions_validation\.csv.*Clotho dataset, version 2\.1"):
        Clotho(str(tree), "val")
    table.write_text(header + "gone.wav,a,b,c,d,e\n")
    with pytest.raises(DataError, match=r"csv:2: looked for the file '.*gone\.wav'"):
        Clotho(str(tree), "train")
    table.write_text("file_name,caption_1\nx.wav,a\n")
    with pytest.raises(DataError, match="expected the columns file_name,caption_1"):
        Clotho(str(tree), "train")
