"""digits_qa: one handwritten digit to see, one spoken digit to hear, and a question about them.

Built from sources that are installed anyway (scikit-learn's scans, ``fsdd.zip``): no download. No scan and no
recording of train occurs in val or test; the speaker of test_speaker occurs nowhere else.
"""

from __future__ import annotations

import hashlib
import json
import wave
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import cv2
import numpy as np

from ppmm.data.make import fsdd, questions
from ppmm.data.make.progress import progress
from ppmm.data.make.scene import draw_digit, speak_digit
from ppmm.data.new_folder import new_folder
from ppmm.errors import ConfigError, DataError

__all__ = ["make_digits_qa"]

VERSION = 1
SPLITS = ("train", "val", "test", "test_speaker")
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}
HELD_OUT_SPEAKER = "theo"
# Of 40 questions; 28 of them need both the image and the recording.
QUOTAS = {"seen": 6, "heard": 6, "same": 8, "heard_larger": 5, "seen_larger": 5, "sum": 5, "difference": 5}
MAX_DRAWS = 1000
RECORD = "made.json"

Item = TypeVar("Item")


class Scan(NamedTuple):
    """One handwritten digit: ``name`` by its row in `load_digits`, ``ink`` float [8, 8] in 0..16."""

    name: str
    digit: int
    ink: np.ndarray


class Source(NamedTuple):
    """What one split may use, by digit."""

    scans: dict[int, list[Scan]]
    recordings: dict[int, list[fsdd.Recording]]


class Plan(NamedTuple):
    """One sample, before it is drawn and spoken."""

    scan: Scan
    recording: fsdd.Recording
    kind: str
    language: str
    question: str


def make_digits_qa(
    out: Path, seed: int = 0, train: int = 12_000, val: int = 1_000, test: int = 1_000, test_speaker: int = 1_000
) -> dict[str, Any]:
    """Write the data set, or reuse it when ``out`` holds the same one already.

    Args:
        out: folder to make; ``<split>.jsonl`` with paths relative to it, ``<split>/*.png``, ``<split>/*.wav``.
        seed: same seed, same bytes. The split of scans and recordings does not depend on it.
        train, val, test, test_speaker: rows per split; 0 leaves it out.

    Returns:
        ``folder``, ``made`` (False when reused) and ``rows`` per split.

    Raises:
        ConfigError: a negative number of rows, or none at all.
        DataError: ``out`` is in the way or cannot be written, or more rows than there are distinct questions.
    """
    rows = dict(zip(SPLITS, (train, val, test, test_speaker), strict=True))
    if min(rows.values()) < 0 or sum(rows.values()) == 0:
        raise ConfigError(f"rows per split must not be negative, and at least one must not be 0: {rows}")
    settings = {"maker": "digits_qa", "version": VERSION, "seed": seed, "rows": rows}
    out = Path(out)
    if _is_made(out, settings):
        return {"folder": str(out), "made": False, "rows": rows}
    sources = _sources()
    with new_folder(out) as folder:
        steps = (step for split in SPLITS if rows[split] for step in _write_split(folder, split, rows, seed, sources))
        for _ in progress(steps, sum(rows.values()), "digits_qa"):
            pass
        (folder / fsdd.LICENSE.name).write_bytes(fsdd.LICENSE.read_bytes())
        (folder / RECORD).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return {"folder": str(out), "made": True, "rows": rows}


def _is_made(out: Path, settings: dict[str, Any]) -> bool:
    """Whether ``out`` holds this very data set. Raises DataError when it was made with other settings."""
    try:
        found = json.loads((out / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if found != settings:
        raise DataError(f"{out} was made with other settings ({found}); delete it or choose another folder")
    missing = [split for split, count in settings["rows"].items() if count and not (out / f"{split}.jsonl").is_file()]
    if missing:
        raise DataError(f"{out} lacks {missing[0]}.jsonl; delete the folder and make it again")
    return True


def _sources() -> dict[str, Source]:
    """Scans and recordings of each split, parted digit by digit (and speaker by speaker)."""
    sources = {split: Source(defaultdict(list), defaultdict(list)) for split in SPLITS}
    for digit, scans in _scans_by_digit().items():
        for split, some in _part(scans, [scan.ink.tobytes() for scan in scans]).items():
            sources[split].scans[digit] += some
    sources["test_speaker"].scans.update(sources["test"].scans)
    cells: dict[tuple[str, int], list[fsdd.Recording]] = defaultdict(list)
    for recording in fsdd.load_recordings():
        cells[recording.speaker, recording.digit].append(recording)
    for (speaker, digit), spoken in sorted(cells.items()):
        if speaker == HELD_OUT_SPEAKER:
            sources["test_speaker"].recordings[digit] += spoken
            continue
        for split, few in _part(spoken, [recording.name.encode() for recording in spoken]).items():
            sources[split].recordings[digit] += few
    return sources


def _scans_by_digit() -> dict[int, list[Scan]]:
    from sklearn.datasets import load_digits

    data = load_digits()
    found: dict[int, list[Scan]] = defaultdict(list)
    for row, (ink, digit) in enumerate(zip(data.images, data.target, strict=True)):
        found[int(digit)].append(Scan(f"scan_{row:04d}", int(digit), ink))
    return found


def _part(members: Sequence[Item], keys: Sequence[bytes]) -> dict[str, list[Item]]:
    """Part ``members`` by `SHARES` in the order of their keys' hashes: stable, whatever the seed."""
    order = sorted(range(len(members)), key=lambda index: hashlib.sha256(keys[index]).digest())
    first = round(len(members) * SHARES["train"])
    second = round(len(members) * (SHARES["train"] + SHARES["val"]))
    parts = {"train": order[:first], "val": order[first:second], "test": order[second:]}
    return {split: [members[index] for index in sorted(chosen)] for split, chosen in parts.items()}


def _write_split(
    folder: Path, split: str, rows: dict[str, int], seed: int, sources: dict[str, Source]
) -> Iterator[None]:
    """Write one split's files and then its manifest; yields once per row."""
    (folder / split).mkdir()
    number = SPLITS.index(split)
    lines = []
    for index, plan in enumerate(_plans(rows[split], np.random.default_rng([seed, number]), sources[split])):
        rng = np.random.default_rng([seed, number, index])
        name = f"{split}/{index:05d}"
        encoded = cv2.imencode(".png", draw_digit(plan.scan.ink, rng))[1]
        (folder / f"{name}.png").write_bytes(encoded.tobytes())
        _write_wav(folder / f"{name}.wav", speak_digit(plan.recording.samples, fsdd.RATE, rng))
        lines.append(json.dumps(_row(split, index, name, plan), ensure_ascii=False))
        yield
    (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(split: str, index: int, name: str, plan: Plan) -> dict[str, Any]:
    scan, recording = plan.scan, plan.recording
    return {
        "id": f"{split}-{index:05d}",
        "image": f"{name}.png",
        "audio": f"{name}.wav",
        "question": plan.question,
        "answer": questions.answer(plan.kind, scan.digit, recording.digit),
        "digit_seen": scan.digit,
        "digit_heard": recording.digit,
        "speaker": recording.speaker,
        "scan": scan.name,
        "recording": recording.name,
        "language": plan.language,
        "kind": plan.kind,
    }


def _plans(count: int, rng: np.random.Generator, source: Source) -> list[Plan]:
    """``count`` distinct samples in random order, with kinds, languages and yes/no in exact proportion.

    Raises:
        DataError: there are not so many distinct ones.
    """
    cycle = [kind for kind, quota in QUOTAS.items() for _ in range(quota)]
    plans: list[Plan] = []
    seen: set[tuple[str, str, str]] = set()
    turns: dict[str, int] = defaultdict(int)
    for index in range(count):
        kind = cycle[index * len(cycle) // count]
        turn = turns[kind]
        turns[kind] += 1
        for _ in range(MAX_DRAWS):
            plan = _draw(kind, questions.LANGUAGES[turn % 2], "yes" if turn // 2 % 2 else "no", rng, source)
            key = (plan.scan.name, plan.recording.name, plan.question)
            if key not in seen:
                break
        else:
            raise DataError(f"digits_qa: there are fewer than {count:,} distinct questions; ask for fewer rows")
        seen.add(key)
        plans.append(plan)
    return [plans[position] for position in rng.permutation(count)]


def _draw(kind: str, language: str, wanted: str, rng: np.random.Generator, source: Source) -> Plan:
    """One random sample of a kind; for a yes/no question with the wanted answer, all fitting pairs alike likely."""
    pairs = [
        (seen, heard)
        for seen in range(10)
        for heard in range(10)
        if kind not in questions.YES_NO or questions.answer(kind, seen, heard) == wanted
    ]
    seen, heard = _pick(pairs, rng)
    scan, recording = _pick(source.scans[seen], rng), _pick(source.recordings[heard], rng)
    return Plan(scan, recording, kind, language, _pick(questions.TEMPLATES[kind, language], rng))


def _pick(items: Sequence[Item], rng: np.random.Generator) -> Item:
    return items[int(rng.integers(len(items)))]


def _write_wav(path: Path, samples: np.ndarray) -> None:
    """Mono 16-bit WAV."""
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, fsdd.RATE, len(samples), "NONE", "not compressed"))
        out.writeframes(samples.astype("<i2").tobytes())
