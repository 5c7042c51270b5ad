"""With every augmentation at once, a batch depends on seed, epoch and rows alone: not on workers, not on resuming."""

import hashlib

import numpy as np
import pytest
import soundfile

from ppmm.data.loader import Loader
from ppmm.data.mixing import CutMix, Mixup
from ppmm.data.prepared import Prepared
from ppmm.modalities.audio import LogMel
from ppmm.modalities.audio_augment import AudioGain, AudioNoise, AudioShift, AudioSpeed
from ppmm.modalities.feature_augment import SpecMask, SpecWarp
from ppmm.modalities.image import ImageField
from ppmm.modalities.image_augment import ImageErase, ImageFlip, ImageNoise, ImageShift
from ppmm.modalities.image_colour import ImageColourJitter
from ppmm.modalities.image_crop import ImageCrop, ImageRandomResizedCrop
from ppmm.modalities.image_elastic import ImageElastic
from ppmm.modalities.label import Label
from ppmm.modalities.rand_augment import ImageRandAugment
from ppmm.modalities.text import TextField
from ppmm.modalities.text_augment import TextDrop, TextInsert, TextSwap, TextSynonyms, TokenMask
from ppmm.modalities.tokenizer import WordTokenizer
from ppmm.registry import AUGMENTATIONS, BATCH_AUGMENTATIONS


class Rows:
    """24 rows: image and sound, image alone, image and text in turn; those without text can be mixed."""

    def __len__(self):
        return 24

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        row = {
            "id": f"row-{index}",
            "image": rng.integers(0, 256, (40, 50, 3), dtype=np.uint8),
            "y": index % 4,
        }
        if index % 3 == 0:
            return {**row, "audio": (rng.normal(0, 0.1, 3000 + 100 * index).astype(np.float32), 8000)}
        return row if index % 3 == 1 else {**row, "text": f"the quick brown fox {index} 喜欢 jumped over it"}


@pytest.fixture
def steps(tmp_path):
    """Every registered augmentation, by the argument that takes it."""
    noise = np.random.default_rng(9).normal(0, 0.1, 2000)
    soundfile.write(tmp_path / "noise.wav", noise, 16000)
    table = tmp_path / "synonyms.tsv"
    table.write_text("quick\tfast\trapid\njumped\tleapt\n", encoding="utf-8")
    return {
        "random_crop": [ImageRandomResizedCrop()],
        "image": [ImageFlip(), ImageShift(2), ImageCrop(2), ImageColourJitter(0.4, 0.4, 0.4, 0.1), ImageRandAugment(),
                  ImageNoise(0.05), ImageErase(), ImageElastic(2)],
        "audio": [AudioSpeed(), AudioShift(50), AudioGain(6), AudioNoise((5, 20)),
                  AudioNoise((5, 20), str(tmp_path / "noise.wav"))],
        "features": [SpecWarp(4), SpecMask(10, 5, 2, 2)],
        "text": [TextSynonyms(str(table), 0.3), TextInsert(str(table)), TextSwap(0.2), TextDrop(0.2)],
        "tokens": [TokenMask(0.2)],
    }  # fmt: skip


def loader(steps, workers=0, seed=3):
    text = TextField(WordTokenizer(), augment=steps["text"], augment_tokens=steps["tokens"])
    text.fit(["the quick brown fox 喜欢 jumped over it fast rapid leapt"])
    fields = {
        "image": ImageField((32, 32), random_crop=steps["random_crop"][0], augment=steps["image"]),
        "audio": LogMel(8000, 24, seconds=0.4, augment=steps["audio"], augment_features=steps["features"]),
        "text": text,
    }
    rows = Prepared(Rows(), fields, {"y": Label([0, 1, 2, 3])}, seed=seed, training=True, dropout={"text": 0.3})
    return Loader(rows, 8, workers, shuffle=True, mix=[Mixup(0.4), CutMix(fields=["image"])])


def digests(batches):
    """One hash per batch, over names, types, shapes and bytes."""
    found = []
    for batch in batches:
        digest = hashlib.sha256()
        for name in sorted(batch):
            array = batch[name].numpy()
            digest.update(f"{name} {array.dtype} {array.shape}".encode() + array.tobytes())
        found.append(digest.hexdigest())
    return found


def test_every_augmentation_takes_part(steps):
    taking_part = {type(step) for group in steps.values() for step in group}
    assert taking_part == {AUGMENTATIONS.get(name) for name in AUGMENTATIONS.names()}
    assert {Mixup, CutMix} == {BATCH_AUGMENTATIONS.get(name) for name in BATCH_AUGMENTATIONS.names()}


def test_batches_are_the_same_for_0_1_and_4_workers_and_after_resume(steps):
    epochs = {epoch: digests(loader(steps).epoch(epoch)) for epoch in (0, 1)}
    assert len({*epochs[0], *epochs[1]}) == 6, "two batches are alike"
    for workers in (1, 4):
        for epoch, wanted in epochs.items():
            assert digests(loader(steps, workers).epoch(epoch)) == wanted
    for workers in (0, 1, 4):  # a run that was killed after 2 batches of epoch 1 goes on there
        assert digests(loader(steps, workers).epoch(1, 2)) == epochs[1][2:]
    assert digests(loader(steps, seed=4).epoch(0)) != epochs[0]


def test_a_row_is_augmented_alike_whatever_batch_it_is_in(steps):
    data = loader(steps).dataset
    for index in (0, 7, 23):
        one, other = data[1, index], loader(steps).dataset[1, index]
        assert set(one) == set(other) and all(np.array_equal(one[name], other[name]) for name in one)
        assert not np.array_equal(one["image"], data[2, index]["image"])


def test_mixing_happens(steps):
    batches = list(loader(steps).epoch(0))
    soft = np.concatenate([batch["soft_y"].numpy() for batch in batches])
    labels = np.concatenate([batch["y"].numpy() for batch in batches])
    assert soft.shape == (24, 4) and labels.shape == (24,)
    assert ((soft > 0).sum(axis=1) > 1).any()
