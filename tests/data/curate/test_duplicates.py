"""Planted near duplicates are found, others are not; the index misses nothing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from ppmm.data.curate.clean import duplicate_reasons, sort_rows
from ppmm.data.curate.collection import Collection
from ppmm.data.curate.duplicates import Duplicates, Nearness, find_duplicates
from ppmm.data.curate.groups import join
from ppmm.data.curate.hash_index import hamming, near_pairs
from ppmm.data.curate.journal import Journal
from ppmm.data.curate.local_engine import LocalEngine
from ppmm.data.curate.picture_hash import agreement, hash_picture
from ppmm.data.curate.text_duplicates import fold_text, jaccard, shingles
from ppmm.data.table import Row
from ppmm.errors import ConfigError

_spec = importlib.util.spec_from_file_location("planted", Path(__file__).with_name("planted.py"))
assert _spec is not None and _spec.loader is not None
planted = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(planted)


def find(*collections: Collection, nearness: Nearness | None = None) -> Duplicates:
    return find_duplicates(collections, None, nearness or Nearness(), LocalEngine(0), Journal(None))


@pytest.mark.parametrize("kind", ["image", "audio", "text"])
def test_planted_near_duplicates(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(7)
    plant = {"image": planted.plant_images, "audio": planted.plant_sounds}.get(kind)
    collection, pairs = plant(tmp_path, rng) if plant is not None else planted.plant_texts(rng)
    recall, precision = planted.score(find(collection), pairs)
    assert recall >= 0.95, recall
    assert precision >= 0.98, precision


def test_the_index_finds_what_all_pairs_find() -> None:
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 600, dtype=np.uint64)
    changed = hashes[:200].copy()
    for flips in range(12):
        part = changed[flips * 16 : flips * 16 + 16]
        for bit in rng.choice(64, flips, replace=False):
            part ^= np.uint64(1) << np.uint64(bit)
    hashes = np.unique(np.concatenate([hashes, changed]))
    for distance in (0, 3, 4, 10, 11):
        all_pairs = [
            (i, j)
            for i in range(len(hashes))
            for j in range(i + 1, len(hashes))
            if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= distance
        ]
        assert [tuple(pair) for pair in near_pairs(hashes, distance).tolist()] == all_pairs
    assert len(near_pairs(hashes[:1], 5)) == 0


def test_hamming_and_hash() -> None:
    assert hamming(np.array([0b1011], np.uint64), np.array([0b0110], np.uint64)).tolist() == [3]
    picture = np.random.default_rng(0).integers(0, 256, (50, 70)).astype(np.uint8)
    number, descriptor = hash_picture(picture)
    assert bin(number).count("1") == 32 and len(descriptor) == 256  # half of the bits are above the median
    assert hash_picture(np.clip(picture * 0.5 + 20, 0, 255))[0] == number
    flat = np.zeros((1, 256), np.uint8)
    own = np.frombuffer(descriptor, np.uint8)[None]
    assert agreement(own, own)[0] == pytest.approx(1) and agreement(own, 255 - own)[0] == pytest.approx(-1)
    assert agreement(flat, flat)[0] == 1 and agreement(flat, own)[0] == 0


def test_texts() -> None:
    assert fold_text("  The DOG, runs!") == fold_text("the dog runs") == "the dog runs"
    assert fold_text("？！") == "？！"
    assert jaccard(shingles("abcd"), shingles("abce")) == pytest.approx(1 / 3)


def test_groups_have_heads_and_no_chains() -> None:
    assert join([(0, 1), (1, 2), (5, 4), (4, 6)]) == [[0, 1], [4, 5, 6]]


def test_leaks_between_splits_leave_the_training_split() -> None:
    train = Collection(
        "train", [Row(i, {"t": t}) for i, t in enumerate(["a b c", "other words", "a b c"], 1)], {"t": "text"}
    )
    test = Collection("test", [Row(1, {"t": "A, b, c!"}), Row(2, {"t": "quite something else"})], {"t": "text"})
    found = find(train, test)
    assert [(g.exact, [(p.collection, p.index) for p in g.places]) for g in found.groups] == [
        (True, [(1, 0), (0, 0), (0, 2)])
    ]
    reasons = duplicate_reasons([train, test], found.groups)
    assert sort_rows(train, 0, reasons)[0] == [1] and sort_rows(test, 1, reasons)[0] == [0, 1]
    assert sort_rows(train, 0, reasons)[1][2] == ["duplicate: t: equal to test row 1"]


def test_numbers_make_texts_different() -> None:
    rows = [Row(i, {"t": f"The engine of car number {i} rattles loudly."}) for i in range(5)]
    assert find(Collection("x", rows, {"t": "text"})).groups == []


def test_exact_only_and_unreadable(tmp_path: Path) -> None:
    import cv2

    picture = planted.photo_tiles()[0]
    for name, quality in (("a.jpg", 90), ("b.jpg", 90), ("c.jpg", 60)):
        cv2.imwrite(str(tmp_path / name), picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    rows = [Row(i, {"image": name}) for i, name in enumerate(["a.jpg", "b.jpg", "c.jpg", "gone.jpg"])]
    collection = Collection("x", rows, {"image": "image"}, tmp_path)
    near, exact = find(collection), find(collection, nearness=Nearness(near=False))
    assert [[p.index for p in g.places] for g in near.groups] == [[0, 1, 2]] and not near.groups[0].exact
    assert [[p.index for p in g.places] for g in exact.groups] == [[0, 1]] and exact.groups[0].exact
    assert near.unreadable == 1


def test_nonsense_is_refused() -> None:
    with pytest.raises(ConfigError, match="bits"):
        Nearness(bits=20)
