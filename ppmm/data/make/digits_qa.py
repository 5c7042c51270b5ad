"""digits_qa: one handwritten digit to see, one spoken digit to hear, and a question about them.

Built from sources that are installed anyway (scikit-learn's scans, ``fsdd.zip``): no download. No scan and no
recording of train occurs in val or test; the speaker of test_speaker occurs nowhere else.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ppmm.data.make import fsdd, questions
from ppmm.data.make.progress import progress
from ppmm.data.make.record import RECORD, is_made
from ppmm.data.make.scene import draw_digit, speak_digit, write_wav
from ppmm.data.make.sources import SPLITS, Scan, Source, pick, split_sources
from ppmm.data.new_folder import new_folder
from ppmm.errors import ConfigError, DataError

__all__ = ["make_digits_qa"]

VERSION = 1
# Of 40 questions; 28 of them need both the image and the recording.
QUOTAS = {"seen": 6, "heard": 6, "same": 8, "heard_larger": 5, "seen_larger": 5, "sum": 5, "difference": 5}
MAX_DRAWS = 1000


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
    if is_made(out, settings):
        return {"folder": str(out), "made": False, "rows": rows}
    sources = split_sources()
    with new_folder(out) as folder:
        steps = (step for split in SPLITS if rows[split] for step in _write_split(folder, split, rows, seed, sources))
        for _ in progress(steps, sum(rows.values()), "digits_qa"):
            pass
        (folder / fsdd.LICENSE.name).write_bytes(fsdd.LICENSE.read_bytes())
        (folder / RECORD).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    return {"folder": str(out), "made": True, "rows": rows}


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
        write_wav(folder / f"{name}.wav", speak_digit(plan.recording.samples, fsdd.RATE, rng), fsdd.RATE)
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
    seen, heard = pick(pairs, rng)
    scan, recording = pick(source.scans[seen], rng), pick(source.recordings[heard], rng)
    return Plan(scan, recording, kind, language, pick(questions.TEMPLATES[kind, language], rng))
