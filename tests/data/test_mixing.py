"""Mixup and CutMix by hand: what is mixed with what, and how labels follow."""

import numpy as np
import pytest

from ppmm.data.collate import Collate
from ppmm.data.mixing import CutMix, Mixup, batch_generator, mix_batch, partners
from ppmm.errors import ConfigError
from ppmm.modalities.audio import LogMel
from ppmm.modalities.image import ImageField
from ppmm.modalities.label import Label
from ppmm.modalities.text import TextField
from ppmm.modalities.tokenizer import WordTokenizer

ALL = {"image": "image", "audio": "audio", "text": "text"}


def batch_of(rows=8, without_text=True):
    """Row i has the image filled with i, a recording of i + 1 frames of value i, and label i mod 3."""
    numbers = np.arange(rows)
    audio = np.zeros((rows, rows, 2), np.float32)
    mask = np.arange(rows)[None] <= numbers[:, None]
    audio[mask] = np.repeat(numbers, numbers + 1)[:, None]
    return {
        "index": numbers,
        "image": np.tile(numbers[:, None, None, None], (1, 3, 8, 6)).astype(np.float32),
        "has_image": np.ones(rows, bool),
        "audio": audio,
        "audio_mask": mask,
        "has_audio": np.ones(rows, bool),
        "text": np.ones((rows, 4), np.int64),
        "has_text": np.full(rows, not without_text),
        "label": numbers % 3,
    }


def test_mixup_by_hand():
    batch = batch_of()
    rng = np.random.default_rng(3)
    mixed, partner, own = Mixup(1.0)(batch, ALL, rng)
    share = np.random.default_rng(3).beta(1.0, 1.0)
    moved = partner != np.arange(8)
    assert moved.sum() > 4 and sorted(partner) == list(range(8))
    np.testing.assert_allclose(own, np.where(moved, share, 1.0))
    wanted = own * np.arange(8) + (1 - own) * partner
    np.testing.assert_allclose(mixed["image"][:, 2, 7, 5], wanted, rtol=1e-6)
    np.testing.assert_allclose(mixed["audio"][:, 0, 0], wanted, rtol=1e-6)
    assert np.array_equal(mixed["audio_mask"].sum(axis=1), np.maximum(np.arange(8), partner) + 1)
    assert batch["image"][5].max() == 5, "the batch that was given is changed"


def test_labels_become_distributions_and_stay_labels():
    batch = batch_of()
    found = mix_batch(batch, [Mixup(1.0)], ALL, {"label": 3}, np.random.default_rng(3))
    _, partner, own = Mixup(1.0)(batch, ALL, _after_choice(3))
    soft = found["soft_label"]
    assert soft.shape == (8, 3) and soft.dtype == np.float32
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)
    for row in range(8):
        wanted = np.zeros(3)
        wanted[row % 3] += own[row]
        wanted[partner[row] % 3] += 1 - own[row]
        np.testing.assert_allclose(soft[row], wanted, atol=1e-6)
    assert np.array_equal(found["label"], batch["label"])


def _after_choice(seed):
    rng = np.random.default_rng(seed)
    rng.integers(1)
    return rng


def test_cutmix_by_hand():
    batch = batch_of()
    only = {"image": "image"}
    for seed in range(40):
        mixed, partner, own = CutMix()(batch, only, np.random.default_rng(seed))
        draws = np.random.default_rng(seed)
        side = np.sqrt(1 - draws.beta(1.0, 1.0))
        draws.random()
        down, right = draws.random(2)
        top, bottom = max(0, int(8 * down) - int(8 * side) // 2), min(8, int(8 * down) + int(8 * side) // 2)
        start, stop = max(0, int(6 * right) - int(6 * side) // 2), min(6, int(6 * right) + int(6 * side) // 2)
        for row in range(8):
            wanted = np.full((8, 6), row)
            wanted[top:bottom, start:stop] = partner[row]
            assert np.array_equal(mixed["image"][row, 0], wanted)
            if partner[row] != row:
                assert own[row] == pytest.approx(1 - (bottom - top) * (stop - start) / 48)
                assert (mixed["image"][row, 0] == row).mean() == pytest.approx(own[row])
            else:
                assert own[row] == 1.0


def test_share_follows_the_beta_distribution():
    batch, rng = batch_of(16), np.random.default_rng(0)
    shares = np.array([Mixup(0.4)(batch, ALL, rng)[2].min() for _ in range(2000)])
    # Beta(a, a) has mean 1/2 and variance 1 / (4 (2 a + 1))
    assert abs(shares.mean() - 0.5) < 0.03 and abs(shares.var() - 1 / (4 * 1.8)) < 0.01


def test_probability():
    batch, rng = batch_of(), np.random.default_rng(0)
    mixed = sum(bool((Mixup(0.4, probability=0.25)(batch, ALL, rng)[2] < 1).any()) for _ in range(400))
    assert 70 < mixed < 130


def test_rows_with_other_fields_and_unlike_rows_are_not_mixed():
    batch = batch_of(9)
    batch["has_text"][:3] = True
    batch["has_audio"][3:6] = False
    for seed in range(20):
        partner = partners(batch, ALL, ["image", "audio"], np.random.default_rng(seed))
        assert partner[:3].tolist() == [0, 1, 2]
        assert sorted(partner[3:6]) == [3, 4, 5] and sorted(partner[6:]) == [6, 7, 8]
    _, _, own = CutMix(fields=["image"])(batch, ALL, np.random.default_rng(0))
    assert own[:3].tolist() == [1, 1, 1] and own[6:].tolist() == [1, 1, 1], "audio would stay unmixed"


def test_many_classes_need_no_square_table():
    batch = batch_of(4)
    batch["label"] = np.array([0, 99_999, 5, 5])
    soft = mix_batch(batch, [Mixup(1.0)], ALL, {"label": 100_000}, np.random.default_rng(0))["soft_label"]
    assert soft.shape == (4, 100_000) and np.allclose(soft.sum(axis=1), 1)


def test_the_generator_depends_on_seed_epoch_and_rows_only():
    keys = [(0, 5), (0, 2)]
    draw = batch_generator(1, keys).random()
    assert draw == batch_generator(1, list(keys)).random()
    others = [batch_generator(2, keys), batch_generator(1, [(1, 5), (1, 2)]), batch_generator(1, keys[::-1])]
    row = np.random.default_rng([1, 0, 5])
    assert len({draw, *(other.random() for other in others), row.random(), batch_generator(1, keys[:1]).random()}) == 6


def test_collate_mixes_only_with_a_generator():
    fields = {"image": ImageField((4, 4)), "audio": LogMel(8000, 16)}
    label = Label(["a", "b"])
    collate = Collate(fields, {"label": label}, [CutMix(fields=["image"]), Mixup(1.0)])
    samples = [
        {"index": np.int64(i), "image": np.full((3, 4, 4), i, np.float32), "label": label("ab"[i % 2])}
        for i in range(6)
    ]
    plain = collate(samples)
    assert "soft_label" not in plain and "soft_label" not in Collate(fields, {"label": label})(
        samples, _after_choice(0)
    )
    found = collate(samples, np.random.default_rng(0))
    assert found["soft_label"].shape == (6, 2) and not np.array_equal(found["image"], plain["image"])
    assert found["image"].dtype == np.float32 and found["label"].tolist() == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    "make",
    [lambda: Mixup(0.0), lambda: CutMix(-1.0), lambda: Mixup(probability=2.0),
     lambda: Mixup(fields=["text"])(batch_of(), ALL, np.random.default_rng(0)),
     lambda: CutMix(fields=["audio"])(batch_of(), ALL, np.random.default_rng(0)),
     lambda: CutMix()(batch_of(), {"audio": "audio"}, np.random.default_rng(0)),
     lambda: Mixup(fields=["none"])(batch_of(), ALL, np.random.default_rng(0))],
)  # fmt: skip
def test_wrong_settings(make):
    with pytest.raises(ConfigError):
        make()


def test_text_is_a_kind_that_is_never_mixed():
    assert TextField(WordTokenizer()).kind == "text"
