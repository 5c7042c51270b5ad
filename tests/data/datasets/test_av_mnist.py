"""Audio-visual MNIST on a small made-up folder of the same layout, and on the real one where it is unpacked."""

import re
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppmm.data.datasets.av_mnist import AvMnist
from ppmm.errors import ConfigError, DataError

REAL = Path(__file__).parents[3] / "data"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("av")
    (root / "fsdd" / "recordings").mkdir(parents=True)
    for digit in range(10):
        folder = root / "mnist" / "train" / str(digit)
        folder.mkdir(parents=True)
        for number in range(60):
            cv2.imwrite(str(folder / f"{number}.png"), np.full((28, 28), 10 * digit + 100, np.uint8))
        for index in range(5, 50):
            with wave.open(str(root / "fsdd" / "recordings" / f"{digit}_ann_{index}.wav"), "wb") as out:
                out.setparams((1, 2, 8000, 0, "NONE", ""))
                out.writeframes((np.sin(np.arange(800) * 0.3) * 1000 * (digit + 1)).astype("<i2").tobytes())
    return {"mnist": str(root / "mnist"), "fsdd": str(root / "fsdd")}


def parts(sample):
    return re.fullmatch(r"(\w+):(\d/\w+)\+(\d_ann_(\d+))", sample["id"]).groups()


def test_image_and_recording_are_of_the_same_digit(folders):
    data = AvMnist(**folders, split="train", visible=0.25)
    for index in range(0, len(data), 17):
        sample = data[index]
        digit = sample["digit"]
        assert sample["image"].dtype == np.uint8 and sample["image"].shape == (28, 28)
        assert (sample["image"][:7] == 100 + 10 * digit).all() and not sample["image"][7:].any()
        samples, rate = sample["audio"]
        assert rate == 8000 and samples.shape == (800,)
        assert abs(np.abs(samples).max() * 32768 - 1000 * (digit + 1)) < 2


def test_splits_share_neither_image_nor_recording(folders):
    found = {split: AvMnist(**folders, split=split) for split in ("train", "val", "test")}
    scans = {split: {path for _, path in data.scans} for split, data in found.items()}
    assert sum(map(len, scans.values())) == 600 == len(set.union(*scans.values()))
    assert len(scans["train"]) > 450 and min(map(len, scans.values())) > 20
    spans = {"train": range(5, 35), "val": range(35, 40), "test": range(40, 50)}
    for split, data in found.items():
        assert {int(parts(data[index])[3]) for index in range(len(data))} <= set(spans[split])
        assert {len(paths) for paths in data.recordings.values()} == {len(spans[split])}


def test_is_determined_by_seed_and_index(folders):
    settings = {**folders, "split": "val", "image_noise": 0.1, "audio_snr_db": 10.0}
    first, again, other = (AvMnist(**settings, seed=seed) for seed in (1, 1, 2))
    a, b, c = first[3], again[3], other[3]
    assert (
        a["id"] == b["id"] and np.array_equal(a["image"], b["image"]) and np.array_equal(a["audio"][0], b["audio"][0])
    )
    assert not np.array_equal(a["image"], c["image"])
    assert np.array_equal(first[-1]["image"], first[len(first) - 1]["image"])
    assert [first[index]["id"] for index in range(9)] != [other[index]["id"] for index in range(9)]


def test_noise_is_as_strong_as_asked(folders):
    clean = AvMnist(**folders, split="train", visible=1.0)
    noisy = AvMnist(**folders, split="train", visible=1.0, image_noise=0.1, audio_snr_db=6.0)
    image = np.stack([noisy[i]["image"].astype(float) - clean[i]["image"] for i in range(50)])
    assert abs(image.std() - 25.5) < 1
    for index in range(20):
        voice, mixed = clean[index]["audio"][0], noisy[index]["audio"][0]
        ratio = 10 * np.log10((voice**2).mean() / ((mixed - voice) ** 2).mean())
        assert abs(ratio - 6.0) < 1


def test_limit_mixes_the_classes(folders):
    data = AvMnist(**folders, split="train", limit=50)
    assert len(data) == 50 and len({digit for digit, _ in data.scans}) >= 8
    with pytest.raises(IndexError):
        data[50]


def test_missing_folders_say_where_they_were_looked_for(folders, tmp_path):
    with pytest.raises(DataError, match=r"none/train/0/\*\.png'; unpack .*tools/data\.py unpack"):
        AvMnist(str(tmp_path / "none"), folders["fsdd"], "train")
    with pytest.raises(DataError, match=r"recordings/0_<speaker>_<40-49>\.wav'; unpack .*tools/data\.py unpack"):
        AvMnist(folders["mnist"], str(tmp_path), "test")


@pytest.mark.parametrize("settings", [{"split": "dev"}, {"visible": 1.1}, {"image_noise": -1}, {"limit": 0}])
def test_wrong_settings(folders, settings):
    with pytest.raises(ConfigError):
        AvMnist(**{**folders, "split": "train", **settings})


@pytest.mark.skipif(not (REAL / "mnist" / "train").is_dir(), reason="data/mnist and data/fsdd are not unpacked")
def test_real_files():
    sizes = {split: len(AvMnist(str(REAL / "mnist"), str(REAL / "fsdd"), split)) for split in ("train", "val", "test")}
    assert sum(sizes.values()) == 60_000 and 49_000 < sizes["train"] < 51_000
    sample = AvMnist(str(REAL / "mnist"), str(REAL / "fsdd"), "test")[0]
    assert sample["image"].shape == (28, 28) and not sample["image"][14:].any()
