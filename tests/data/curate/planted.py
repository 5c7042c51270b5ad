"""Labelled collections with planted near duplicates: for each original the changes that people and tools make."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import soundfile
from scipy.signal import lfilter, resample_poly

from ppmm.data.curate.collection import Collection
from ppmm.data.curate.duplicates import Duplicates
from ppmm.data.table import Row

Pair = tuple[int, int]


def photo_tiles(size: int = 104) -> list[np.ndarray]:
    """Pieces of two photographs that do not overlap, RGB uint8 [size, size, 3], without the plain ones (sky)."""
    from sklearn.datasets import load_sample_images

    tiles = []
    for photo in load_sample_images().images:
        for top in range(0, photo.shape[0] - size + 1, size):
            for left in range(0, photo.shape[1] - size + 1, size):
                tile = photo[top : top + size, left : left + size]
                if tile.std() > 25:
                    tiles.append(tile)
    return tiles


def drawings(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Coloured shapes on a gradient, RGB uint8 [120, 160, 3]."""
    found = []
    for _ in range(count):
        start, end = rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
        ramp = np.linspace(0, 1, 160)[None, :, None]
        picture = np.ascontiguousarray(np.broadcast_to(start + (end - start) * ramp, (120, 160, 3)).astype(np.uint8))
        for _ in range(int(rng.integers(4, 10))):
            centre = (int(rng.integers(160)), int(rng.integers(120)))
            colour = tuple(int(value) for value in rng.integers(0, 256, 3))
            cv2.circle(picture, centre, int(rng.integers(6, 35)), colour, -1)
        found.append(picture)
    return found


def changed_images(image: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, list[int]]]:
    """(suffix, pixels, options of cv2.imwrite) of near duplicates of an image."""
    height, width = image.shape[:2]
    yield ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40]
    yield ".png", cv2.resize(image, (width * 2 // 3, height * 2 // 3), interpolation=cv2.INTER_AREA), []
    yield ".png", np.clip(image.astype(float) * 1.15 + 8, 0, 255).astype(np.uint8), []
    yield ".jpg", cv2.GaussianBlur(image, (3, 3), 0), [cv2.IMWRITE_JPEG_QUALITY, 80]
    yield ".png", np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8), []
    yield ".png", cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), []
    edge = max(1, round(0.01 * width))
    yield ".png", image[edge:-edge, edge:-edge], []


def plant_images(folder: Path, rng: np.random.Generator) -> tuple[Collection, set[Pair]]:
    """Originals and, for half of them, changed copies: (rows, pairs of rows that are near duplicates)."""
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    families: list[list[int]] = []
    for number, image in enumerate([*photo_tiles(), *drawings(120, rng)]):
        versions = [(".png", image, [])]
        versions += list(changed_images(image, rng)) if number % 2 else []
        families.append([])
        for suffix, pixels, options in versions:
            names.append(f"{len(names):04d}{suffix}")
            families[-1].append(len(names) - 1)
            cv2.imwrite(str(folder / names[-1]), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return _collection(names, "image", folder), _pairs(families)


def sounds(count: int, rng: np.random.Generator, rate: int = 16000) -> list[np.ndarray]:
    """Words of a made-up voice: three to six syllables of a pulse train through resonances, float32 [time]."""
    found = []
    for _ in range(count):
        parts = []
        for _ in range(int(rng.integers(3, 7))):
            length = int(rate * rng.uniform(0.08, 0.25))
            pitch = rng.uniform(90, 260)
            pulses = (np.cumsum(np.full(length, pitch / rate)) % 1.0 < pitch / rate).astype(float)
            for formant in rng.uniform([250, 800, 2000], [900, 2400, 3500]):
                radius = 0.97
                pulses = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * formant / rate), radius**2], pulses)
            parts.append(pulses * np.hanning(length) / max(np.abs(pulses).max(), 1e-9))
        wave = np.concatenate(parts)
        found.append((0.5 * wave / np.abs(wave).max()).astype(np.float32))
    return found


def changed_sounds(wave: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray, int]]:
    """(suffix, samples, rate) of near duplicates of a recording at 16 kHz."""
    yield ".flac", wave * 0.3, 16000
    yield ".ogg", wave, 16000
    yield ".wav", resample_poly(wave, 1, 2), 8000
    quiet = rng.normal(0, 1e-4, 4000)
    yield ".wav", np.concatenate([quiet[:3000], wave, quiet[3000:]]), 16000
    yield ".wav", wave + rng.normal(0, 0.03 * np.sqrt(np.mean(wave**2)), len(wave)), 16000


def plant_sounds(folder: Path, rng: np.random.Generator) -> tuple[Collection, set[Pair]]:
    """Originals and, for half of them, changed copies."""
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    families: list[list[int]] = []
    for number, wave in enumerate(sounds(120, rng)):
        versions = [(".wav", wave, 16000)] + (list(changed_sounds(wave, rng)) if number % 2 else [])
        families.append([])
        for suffix, samples, rate in versions:
            names.append(f"{len(names):04d}{suffix}")
            families[-1].append(len(names) - 1)
            soundfile.write(folder / names[-1], samples, rate)
    return _collection(names, "audio", folder), _pairs(families)


WORDS = """
dog cat horse child man woman bird train boat plane baker nurse farmer teacher pilot singer
watches follows paints carries finds helps greets chases draws photographs
ball kite basket bicycle bridge window river garden ladder piano wagon lantern fence tower market
small old red quiet wet golden broken tall striped busy narrow wooden
一 只 小 狗 在 公园 里 追 球 老师 站 讲台 上 写字 孩子 们 河边 放 风筝 农民 田里 收割 麦子 火车 穿过 雪山 厨师 准备 晚餐
"""
NOUNS, VERBS, THINGS, ADJECTIVES, CHINESE = (line.split() for line in WORDS.strip().splitlines())


def plant_texts(rng: np.random.Generator) -> tuple[Collection, set[Pair]]:
    """Captions in English and Chinese and, for half of them, small changes of each."""
    texts: list[str] = []
    families: list[list[int]] = []
    for number in range(300):
        a, b, c = (ADJECTIVES[i] for i in rng.choice(len(ADJECTIVES), 3, replace=False))
        n, m = (NOUNS[i] for i in rng.choice(len(NOUNS), 2, replace=False))
        x, y = (THINGS[i] for i in rng.choice(len(THINGS), 2, replace=False))
        text = f"A {a} {n} {VERBS[rng.integers(10)]} the {b} {m} near the {c} {x} while the {y} stands empty."
        if number % 3 == 0:
            text = "".join(CHINESE[i] for i in rng.permutation(len(CHINESE))[:16]) + "。"
        versions = [text]
        if number % 2:
            half = len(text) // 2
            versions += [
                text.upper().rstrip(".。") + " !",
                text[:half] + text[half + 1 :],
                text + (" 了" if number % 3 == 0 else " Yes"),
            ]
        families.append(list(range(len(texts), len(texts) + len(versions))))
        texts += versions
    return _collection(texts, "text", Path()), _pairs(families)


def score(found: Duplicates, planted: set[Pair]) -> tuple[float, float]:
    """(recall, precision) over pairs of rows that share a group."""
    pairs = {
        pair
        for group in found.groups
        for pair in combinations(sorted(place.index for place in group.places), 2)
    }  # fmt: skip
    return len(pairs & planted) / len(planted), len(pairs & planted) / max(1, len(pairs))


def _collection(cells: list[str], kind: str, root: Path) -> Collection:
    return Collection("planted", [Row(i + 1, {kind: cell}) for i, cell in enumerate(cells)], {kind: kind}, root)


def _pairs(families: list[list[int]]) -> set[Pair]:
    return {pair for family in families for pair in combinations(family, 2)}
