"""Flickr8k, Flickr30k and the spoken captions of Flickr8k in their published layouts."""

import pytest

from ppmm.data.datasets.flickr8k import Flickr8k
from ppmm.data.datasets.flickr8k_audio import Flickr8kAudio
from ppmm.data.datasets.flickr30k import Flickr30k
from ppmm.errors import DataError

A, B, C = "1000268201_693b08cb0e.jpg", "1001773457_577c3a7d70.jpg", "102351840_323e3de834.jpg"


@pytest.fixture
def flickr8k(tree):
    lines = [f"{name}#{k}\tCaption {k} of {name[:4]} , no . \n" for name in (B, A, C) for k in range(5)]
    tree.text("Flickr8k_text/Flickr8k.token.txt", "".join([*lines, "2258277193_586949ec62.jpg.1#0\tno such file\n"]))
    for name, part in ((A, "train"), (B, "dev"), (C, "test")):
        tree.text(f"Flickr8k_text/Flickr_8k.{part}Images.txt", f"{name}\n")
        tree.picture(f"Flicker8k_Dataset/{name}")
    return tree


def test_flickr8k_token_file_and_split_lists(flickr8k):
    for split, name in (("train", A), ("val", B), ("test", C)):
        rows = Flickr8k(str(flickr8k), split)
        assert len(rows) == 5 and "5 captions of 1 pictures" in rows.found and "published list" in rows.found
        stem = name.removesuffix(".jpg")
        assert rows[3] == {
            "id": f"{stem}#3", "image": flickr8k.root / "Flicker8k_Dataset" / name, "image_id": stem, "group": stem,
            "caption": f"Caption 3 of {name[:4]} , no .",
        }  # fmt: skip
    assert [len(row["captions"]) for row in Flickr8k(str(flickr8k), "train", captions="list")] == [5]


def test_flickr8k_csv_layout_is_parted_by_picture(tree):
    names = [f"{number}_ab.jpg" for number in range(60)]
    table = "".join(f'{name},"Dogs, two of ""them"" ."\n{name},A dog .\n' for name in names)
    tree.text("captions.txt", f"image,caption\n{table}")
    for name in names[1:]:
        tree.picture(f"Images/{name}")
    splits = {split: Flickr8k(str(tree), split) for split in ("train", "val", "test")}
    groups = {split: {row["group"] for row in rows} for split, rows in splits.items()}
    assert sum(map(len, groups.values())) == 59 == len(set().union(*groups.values()))
    assert len(groups["train"]) > 35 and min(map(len, groups.values())) >= 3
    assert splits["train"][0]["caption"] == 'Dogs, two of "them" .'
    assert "no split list; 1 pictures with captions have no file" in splits["val"].found


def test_what_is_wrong_with_flickr8k_is_named(flickr8k):
    flickr8k.text("Flickr8k_text/Flickr_8k.trainImages.txt", f"{A}\nmissing.jpg\n")
    with pytest.raises(DataError, match=r"the list of train names 'missing\.jpg', which has no caption"):
        Flickr8k(str(flickr8k), "train")
    (flickr8k.root / "Flicker8k_Dataset" / C).unlink()
    with pytest.raises(DataError, match=rf"looked for the file '.*Flicker8k_Dataset/{C}'"):
        Flickr8k(str(flickr8k), "test")
    flickr8k.text("Flickr8k_text/Flickr8k.token.txt", f"{A}#0\tfine\n{A} no number\n")
    with pytest.raises(DataError, match=r"token\.txt:2: expected '<picture>#<number><TAB><caption>'"):
        Flickr8k(str(flickr8k), "train")
    (flickr8k.root / "Flickr8k_text/Flickr8k.token.txt").unlink()
    with pytest.raises(DataError, match=r"Flickr8k\.token\.txt' or .*captions\.txt'"):
        Flickr8k(str(flickr8k), "train")


def test_flickr30k_token_file_with_the_lists_of_entities(tree):
    tree.text("results_20130124.token", "".join(f"{name}#{k}\tText {k} .\n" for name in (A, B) for k in range(5)))
    tree.text("train.txt", f"{A[:-4]}\n")
    tree.text("val.txt", f"{B[:-4]}\n")
    for name in (A, B):
        tree.picture(f"flickr30k-images/{name}")
    assert {row["image"].name for row in Flickr30k(str(tree), "train")} == {A}
    assert [row["id"] for row in Flickr30k(str(tree), "val")] == [f"{B[:-4]}#{k}" for k in range(5)]


def test_flickr30k_csv_with_bars_and_its_known_defect(tree):
    lines = [f"{A}| {k}|  Two, young |guys {k} ." for k in range(4)]
    lines.append(f"{A}| 4   A dog runs across the grass .")
    tree.text("flickr30k_images/results.csv", "image_name| comment_number| comment\n" + "\n".join(lines) + "\n")
    tree.picture(f"flickr30k_images/flickr30k_images/{A}")
    tree.text("train.txt", f"{A[:-4]}\n")
    rows = Flickr30k(str(tree), "train")
    assert [row["caption"] for row in rows] == [
        *(f"Two, young |guys {k} ." for k in range(4)), "A dog runs across the grass .",
    ]  # fmt: skip
    tree.text("flickr30k_images/results.csv", "name| number\nx| 3\n")
    with pytest.raises(DataError, match=r"results\.csv:1: expected 'image_name\| comment_number\| comment'"):
        Flickr30k(str(tree), "train")


@pytest.fixture
def spoken(tree):
    wavs = [(f"{name[:-4]}_{k}.wav", name, k) for name in (A, B, C) for k in range(3)]
    tree.text("flickr_audio/wav2capt.txt", "".join(f"{wav} {name} #{k}\n" for wav, name, k in wavs))
    tree.text("flickr_audio/wav2spk.txt", "".join(f"{wav} {k + 1}\n" for wav, _, k in wavs))
    for wav, _, k in wavs:
        if k < 2:
            tree.wav(f"flickr_audio/wavs/{wav}", 16)
    return tree


def test_spoken_captions_alone_and_with_flickr8k(spoken, flickr8k):
    alone = [row for split in ("train", "val", "test") for row in _rows(spoken, split)]
    assert sorted(row["id"] for row in alone) == sorted(f"{name[:-4]}_{k}.wav" for name in (A, B, C) for k in range(2))
    assert set(alone[0]) == {"id", "audio", "speaker", "image_id", "group"}
    rows = Flickr8kAudio(str(spoken), "val", flickr8k=str(flickr8k))
    assert rows[1] == {
        "id": f"{B[:-4]}_1.wav", "audio": spoken.root / f"flickr_audio/wavs/{B[:-4]}_1.wav", "speaker": "2",
        "image": flickr8k.root / "Flicker8k_Dataset" / B, "caption": f"Caption 1 of {B[:4]} , no .",
        "image_id": B[:-4], "group": B[:-4],
    }  # fmt: skip
    assert len(rows) == 2 and "1 more are not there" in rows.found


def _rows(tree, split):
    try:
        return list(Flickr8kAudio(str(tree), split))
    except DataError as error:  # three pictures may leave a split empty
        assert "no rows" in str(error)
        return []


def test_what_is_wrong_with_spoken_captions_is_named(spoken):
    spoken.text("flickr_audio/wav2capt.txt", "a.wav b.jpg 3\n")
    with pytest.raises(DataError, match=r"wav2capt\.txt:1: expected '<wav> <jpg> #<number>'"):
        Flickr8kAudio(str(spoken), "train")
    (spoken.root / "flickr_audio/wav2capt.txt").unlink()
    with pytest.raises(DataError, match=r"looked for the file '.*wav2capt\.txt'.*Flickr 8k Audio Caption Corpus"):
        Flickr8kAudio(str(spoken), "train")
