"""NLVR and NLVR2 in their published layouts; the real NLVR dev and test-P parts where they are at hand."""

import tarfile
from pathlib import Path

import pytest

from ppmm.data.datasets.nlvr import Nlvr
from ppmm.data.datasets.nlvr2 import Nlvr2
from ppmm.errors import ConfigError, DataError

PLACES = [folder / "shared" / "data" / "nlvr_dev_test.tar.gz" for folder in Path(__file__).parents[4:]]
REAL = next((place for place in PLACES if place.is_file()), PLACES[0])


def example(identifier, directory, label="true"):
    sentence = f"There is a box with {identifier} items. "
    return {
        "sentence": sentence,
        "label": label,
        "identifier": identifier,
        "directory": directory,
        "evals": {"r0": "true"},
    }


@pytest.fixture
def nlvr(tree):
    examples = [example("72-0", "5"), example("72-1", "5", "false"), example("8-3", "0")]
    tree.json_lines("dev/dev.json", examples)
    for entry in examples:
        for number in range(6):
            tree.picture(f"dev/images/{entry['directory']}/dev-{entry['identifier']}-{number}.png")
    return tree


def test_a_row_per_picture_and_groups_of_what_was_shown_together(nlvr):
    rows = Nlvr(str(nlvr), "dev")
    assert len(rows) == 18
    assert rows[7] == {
        "id": "dev-72-1-1", "image": nlvr.root / "dev/images/5/dev-72-1-1.png",
        "text": "There is a box with 72-1 items.", "label": "false", "group": "dev-72", "statement": "dev-72-1",
        "directory": "5",
    }  # fmt: skip
    assert {row["group"] for row in Nlvr(str(nlvr), "dev", directories=[5])} == {"dev-72"}
    assert [row["id"] for row in Nlvr(str(nlvr), "dev", permutations=1)] == ["dev-72-0-0", "dev-72-1-0", "dev-8-3-0"]


def test_what_is_wrong_with_nlvr_is_named(nlvr):
    with pytest.raises(DataError, match=r"looked for the file '.*train/train\.json' or .*holds dev/.*lil-lab/nlvr"):
        Nlvr(str(nlvr), "train")
    with pytest.raises(ConfigError, match="train, dev, test"):
        Nlvr(str(nlvr), "val")
    for entry, message in (
        (example("1-0", "0", "yes"), "dev.json:2: label 'yes'"),
        ({**example("1-0", "0"), "sentence": 3}, "dev.json:2: 'sentence' must be text"),
    ):
        nlvr.json_lines("dev/dev.json", [example("8-3", "0"), entry])
        with pytest.raises(DataError, match=message):
            Nlvr(str(nlvr), "dev")
    nlvr.text("dev/dev.json", '{"sentence": \n')
    with pytest.raises(DataError, match=r"dev.json:1: not JSON"):
        Nlvr(str(nlvr), "dev")


@pytest.mark.skipif(not REAL.is_file(), reason="the archive of NLVR is not at hand")
def test_the_real_dev_and_test_parts(tmp_path):
    with tarfile.open(REAL) as packed:  # the lists and one picture of each: enough for the reader, and quick
        wanted = {"nlvr/dev/dev.json", "nlvr/test/test.json"}
        packed.extractall(tmp_path, [entry for entry in packed if entry.name in wanted], filter="data")
    for split, count in (("dev", 989), ("test", 990)):
        table = tmp_path / "nlvr" / split / f"{split}.json"
        with pytest.raises(DataError, match="no pictures: looked for the file") as error:
            Nlvr(str(tmp_path), split)
        first = Path(str(error.value).split("'")[1])
        first.parent.mkdir(parents=True)
        first.touch()
        rows = Nlvr(str(tmp_path), split)
        assert len(rows) == 6 * count and table.name in rows.found
        assert {row["label"] for row in rows} == {"true", "false"}


def pair(identifier, label="True", **more):
    urls = {"left_url": "https://x/l.png", "right_url": "https://x/r.jpg"}
    return {"identifier": identifier, "sentence": "Two dogs.", "label": label, "synset": "dog", **urls, **more}


def test_nlvr2_has_two_pictures_in_the_folders_of_each_split(tree):
    tree.json_lines(
        "data/train.json", [pair("train-10171-0-0", directory=37), pair("train-10171-0-1", "False", directory=37)]
    )
    tree.json_lines("data/dev.json", [pair("dev-850-0-0"), pair("dev-850-1-0")])
    for place in ("images/train/37/train-10171-0", "dev/dev-850-0"):
        for side in (0, 1):
            tree.picture(f"{place}-img{side}.png")
    train = Nlvr2(str(tree), "train")
    assert [row["label"] for row in train] == ["true", "false"]
    assert train[1] == {
        "id": "train-10171-0-1", "image_left": tree.root / "images/train/37/train-10171-0-img0.png",
        "image_right": tree.root / "images/train/37/train-10171-0-img1.png", "text": "Two dogs.", "label": "false",
        "group": "train-10171", "pair": "train-10171-0",
    }  # fmt: skip
    dev = Nlvr2(str(tree), "dev")
    assert [row["id"] for row in dev] == ["dev-850-0-0"] and "1 more lack a picture" in dev.found
    assert len(Nlvr2(str(tree), "dev", present=False)) == 2


def test_what_is_wrong_with_nlvr2_is_named(tree):
    with pytest.raises(DataError, match=r"data/test1\.json"):
        Nlvr2(str(tree), "test1")
    tree.json_lines("data/dev.json", [pair("dev-850-0-0")])
    with pytest.raises(DataError, match=r"looked for the folder '.*images/dev' or '.*dev'"):
        Nlvr2(str(tree), "dev")
    tree.path("dev/x").parent.mkdir(exist_ok=True)
    with pytest.raises(DataError, match="none of 1 pairs"):
        Nlvr2(str(tree), "dev")
    for entry, message in (
        (pair("dev-850"), "identifier 'dev-850' is not"),
        (pair("dev-8-0-0", "maybe"), "True or False"),
    ):
        tree.json_lines("data/dev.json", [entry])
        with pytest.raises(DataError, match=f"dev.json:1: .*{message}"):
            Nlvr2(str(tree), "dev")
