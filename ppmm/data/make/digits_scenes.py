"""digits_scenes: one to four handwritten digits in a row, their description, and their names spoken one by one.

Made for retrieval in three modalities. Built from sources that are installed anyway (scikit-learn's scans,
``fsdd.zip``): no download. No scan and no recording of train occurs in val or test; the speaker of test_speaker
occurs nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ppmm.data.make import fsdd
from ppmm.data.make.progress import progress
from ppmm.data.make.record import RECORD, is_made
from ppmm.data.make.scene import draw_scene, speak_digits, write_wav
from ppmm.data.make.scene_captions import COLOURS, LANGUAGES, TEMPLATES, Shown, caption
from ppmm.data.make.sources import Scan, Source, pick, split_sources
from ppmm.data.new_folder import new_folder
from ppmm.errors import ConfigError, DataError

__all__ = ["make_digits_scenes"]

VERSION = 2
SOURCES = {
    "train": "train", "val": "val", "test": "test", "test_speaker": "test_speaker", "val_alike": "val",
    "test_alike": "test", "val_single": "val", "test_single": "test",
}  # fmt: skip
"""Split -> whose scans and recordings it is made of (see `split_sources`)."""
MOST = 4
ALIKE = 5
"""Scenes of the same digits in a group of an ``_alike`` split."""
SILENT = ("_alike", "_single")
"""Endings of the splits without speech."""
MAX_DRAWS = 1000


class Plan(NamedTuple):
    """One scene before it is drawn and spoken; ``spoken`` is empty where nothing is said."""

    row: tuple[Shown, ...]
    scans: list[Scan]
    spoken: list[fsdd.Recording]
    language: str
    caption: str

    @property
    def digits(self) -> str:
        """From left to right: ``72``."""
        return "".join(str(shown.digit) for shown in self.row)

    @property
    def scene(self) -> str:
        """Everything that the caption tells: ``high red 7, low blue 2``."""
        return ", ".join(f"{'high' if shown.high else 'low'} {shown.colour} {shown.digit}" for shown in self.row)


def make_digits_scenes(
    out: Path, seed: int = 0, train: int = 12_000, val: int = 500, test: int = 500, test_speaker: int = 500
) -> dict[str, Any]:
    """Write the data set, or reuse it when ``out`` holds the same one already.

    Splits: train, val, test, test_speaker with image, caption and audio; val_alike, test_alike, val_single and
    test_single without audio, as large as val and test. In val, test and test_speaker no two scenes have the same
    digits from left to right, so that speech can tell them apart. The ``_alike`` ones hold five scenes of the same
    digits each, which only colours and places tell apart; no two descriptions are the same. The ``_single`` ones hold
    one digit in each scene: classes for zero-shot classification and probes.

    Args:
        out: folder to make; ``<split>.jsonl`` with paths relative to it, ``<split>/*.png``, ``<split>/*.wav``.
        seed: same seed, same bytes. The parting of scans and recordings does not depend on it.
        train, val, test, test_speaker: rows per split; 0 leaves it out.

    Returns:
        ``folder``, ``made`` (False when reused) and ``rows`` per split.

    Raises:
        ConfigError: a negative number of rows, or none at all.
        DataError: ``out`` is in the way or cannot be written, or more rows than there are different scenes.
    """
    counts = {"train": train, "val": val, "test": test, "test_speaker": test_speaker}
    if min(counts.values()) < 0 or sum(counts.values()) == 0:
        raise ConfigError(f"rows per split must not be negative, and at least one must not be 0: {counts}")
    rows = {split: counts[split.removesuffix("_alike").removesuffix("_single")] for split in SOURCES}
    settings = {"maker": "digits_scenes", "version": VERSION, "seed": seed, "rows": rows}
    out = Path(out)
    if is_made(out, settings):
        return {"folder": str(out), "made": False, "rows": rows}
    sources = split_sources()
    with new_folder(out) as folder:
        steps = (
            step
            for split, source in SOURCES.items()
            if rows[split]
            for step in _write_split(folder, split, rows[split], seed, sources[source])
        )
        for _ in progress(steps, sum(rows.values()), "digits_scenes"):
            pass
        (folder / fsdd.LICENSE.name).write_bytes(fsdd.LICENSE.read_bytes())
        (folder / RECORD).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return {"folder": str(out), "made": True, "rows": rows}


def _write_split(folder: Path, split: str, count: int, seed: int, source: Source) -> Iterator[None]:
    """Write one split's files and then its manifest; yields once per row."""
    (folder / split).mkdir()
    number = list(SOURCES).index(split)
    lines = []
    for index, plan in enumerate(_plans(split, count, np.random.default_rng([seed, number]), source)):
        rng = np.random.default_rng([seed, number, index])
        name = f"{split}/{index:05d}"
        colours = [COLOURS[shown.colour] for shown in plan.row]
        picture = draw_scene([scan.ink for scan in plan.scans], colours, [shown.high for shown in plan.row], rng)
        encoded = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1]
        (folder / f"{name}.png").write_bytes(encoded.tobytes())
        if plan.spoken:
            samples = speak_digits([recording.samples for recording in plan.spoken], fsdd.RATE, rng)
            write_wav(folder / f"{name}.wav", samples, fsdd.RATE)
        lines.append(json.dumps(_row(split, index, name, plan), ensure_ascii=False))
        yield
    (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(split: str, index: int, name: str, plan: Plan) -> dict[str, Any]:
    spoken = {
        "audio": f"{name}.wav",
        "speaker": plan.spoken[0].speaker,
        "recordings": [recording.name for recording in plan.spoken],
    } if plan.spoken else {}  # fmt: skip
    return {
        "id": f"{split}-{index:05d}",
        "image": f"{name}.png",
        "caption": plan.caption,
        "digits": plan.digits,
        "scene": plan.scene,
        "language": plan.language,
        "scans": [scan.name for scan in plan.scans],
        **spoken,
    }


def _plans(split: str, count: int, rng: np.random.Generator, source: Source) -> list[Plan]:
    """``count`` scenes in random order, half of them described in each language."""
    if split.endswith("_alike"):
        rows = _alike_rows(count, rng)
    elif split.endswith("_single"):
        rows = [_draw_row((index % 10,), rng) for index in range(count)]
    elif split == "train":
        rows = [_draw_row(_draw_digits(1 + index % MOST, rng), rng) for index in range(count)]
    else:
        rows = [_draw_row(digits, rng) for digits in _different_digits(count, rng)]
    silent = split.endswith(SILENT)
    order = rng.permutation(count)  # before the languages, so that these do not depend on the number of digits
    return [_plan(rows[place], LANGUAGES[turn % 2], source, silent, rng) for turn, place in enumerate(order)]


def _different_digits(count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Pairwise different rows of digits; as many of each length as there can be, at most equally many.

    Raises DataError where there are fewer.
    """
    found: list[tuple[int, ...]] = []
    for length in range(1, MOST + 1):
        wanted = -(-(count - len(found)) // (MOST + 1 - length))
        numbers = rng.choice(10**length, size=min(wanted, 10**length), replace=False)
        found += [tuple(int(digit) for digit in f"{number:0{length}d}") for number in numbers]
    if len(found) < count:
        raise DataError(f"digits_scenes: there are only {len(found):,} rows of up to {MOST} digits; ask for fewer")
    return found[:count]


def _alike_rows(count: int, rng: np.random.Generator) -> list[tuple[Shown, ...]]:
    """Pairwise different scenes, in groups of the same digits. Raises DataError where they are hard to find."""
    rows: list[tuple[Shown, ...]] = []
    seen: set[tuple[Shown, ...]] = set()
    while len(rows) < count:
        digits = _draw_digits(2 + len(rows) // ALIKE % (MOST - 1), rng)
        for _ in range(min(ALIKE, count - len(rows))):
            for _ in range(MAX_DRAWS):
                row = _draw_row([digits[place] for place in rng.permutation(len(digits))], rng)
                if row not in seen:
                    break
            else:
                raise DataError(f"digits_scenes: there are fewer than {count:,} different scenes; ask for fewer rows")
            seen.add(row)
            rows.append(row)
    return rows


def _draw_digits(length: int, rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(digit) for digit in rng.integers(10, size=length))


def _draw_row(digits: Sequence[int], rng: np.random.Generator) -> tuple[Shown, ...]:
    """Each digit in a colour and at an edge of its own."""
    names = list(COLOURS)
    return tuple(Shown(digit, pick(names, rng), bool(rng.integers(2))) for digit in digits)


def _plan(row: tuple[Shown, ...], language: str, source: Source, silent: bool, rng: np.random.Generator) -> Plan:
    """Choose scans, one speaker's recordings (unless ``silent``) and the words for a scene."""
    scans = [pick(source.scans[shown.digit], rng) for shown in row]
    spoken = []
    if not silent:
        speaker = pick(sorted({recording.speaker for recording in source.recordings[row[0].digit]}), rng)
        for shown in row:
            own = [recording for recording in source.recordings[shown.digit] if recording.speaker == speaker]
            spoken.append(pick(own, rng))
    words = caption(row, language, pick(TEMPLATES[language, len(row) > 1], rng))
    return Plan(row, scans, spoken, language, words)
