"""digits_qa: contents against the sources, splits, balance, reproducibility, atomicity."""

import hashlib
import json
import wave
from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ppmm.data.make import digits_qa, fsdd, make_digits_qa
from ppmm.data.make.sources import split_sources
from ppmm.errors import ConfigError, DataError

SIZES = {"train": 400, "val": 80, "test": 80, "test_speaker": 40}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "digits_qa"
    assert make_digits_qa(out, **SIZES) == {"folder": str(out), "made": True, "rows": SIZES}
    return out


@pytest.fixture(scope="module")
def rows(made):
    return {split: [json.loads(line) for line in (made / f"{split}.jsonl").open(encoding="utf-8")] for split in SIZES}


def tree_hash(folder):
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def test_answers_follow_from_the_digits(rows):
    for row in (row for split in rows.values() for row in split):
        seen, heard = row["digit_seen"], row["digit_heard"]
        expected = {
            "seen": seen, "heard": heard, "same": seen == heard, "heard_larger": heard > seen,
            "seen_larger": seen > heard, "sum": seen + heard, "difference": max(seen, heard) - min(seen, heard),
        }[row["kind"]]  # fmt: skip
        expected = {True: "yes", False: "no"}[expected] if isinstance(expected, bool) else str(expected)
        assert row["answer"] == expected
        assert (row["language"] == "en") == row["question"].isascii()


def test_digits_are_those_of_the_sources(rows):
    labels = load_digits().target
    for row in (row for split in rows.values() for row in split):
        assert labels[int(row["scan"].removeprefix("scan_"))] == row["digit_seen"]
        digit, speaker, _ = row["recording"].split("_")
        assert int(digit) == row["digit_heard"] and speaker == row["speaker"]


def test_files_hold_the_scan_and_the_recording(made, rows):
    scans = load_digits().images
    recordings = {recording.name: recording.samples for recording in fsdd.load_recordings()}
    for row in rows["train"][:30]:
        image = cv2.imread(str(made / row["image"]), cv2.IMREAD_UNCHANGED)
        assert image.shape == (32, 32) and image.dtype == np.uint8
        scan = scans[int(row["scan"].removeprefix("scan_"))]
        best = 0.0
        for height in range(18, 29):
            for width in range(max(16, height - 5), min(33, height + 6)):
                glyph = cv2.resize(scan, (width, height)).astype(np.float32)
                found = cv2.matchTemplate(image.astype(np.float32), glyph, cv2.TM_CCOEFF_NORMED)
                best = max(best, float(found.max()))
        assert best > 0.85
        with wave.open(str(made / row["audio"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
            spoken = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        voice = recordings[row["recording"]].astype(float)
        assert 0 <= len(spoken) - len(voice) <= 3200
        match = np.correlate(spoken, voice, "valid") / (np.linalg.norm(spoken) * np.linalg.norm(voice))
        assert match.max() > 0.95


def test_splits_share_no_scan_and_no_recording(rows):
    for first, second in (("train", "val"), ("train", "test"), ("val", "test"), ("train", "test_speaker")):
        for key in ("scan", "recording"):
            assert not {row[key] for row in rows[first]} & {row[key] for row in rows[second]}
    speakers = {split: {row["speaker"] for row in rows[split]} for split in rows}
    assert len(speakers["test_speaker"]) == 1
    assert not speakers["test_speaker"] & (speakers["train"] | speakers["val"] | speakers["test"])
    assert len(speakers["train"]) == 5


def test_the_sources_are_parted_as_promised():
    sources = split_sources()
    scans = {split: sum(map(len, source.scans.values())) for split, source in sources.items()}
    recordings = {split: sum(map(len, source.recordings.values())) for split, source in sources.items()}
    assert scans["train"] + scans["val"] + scans["test"] == 1797
    assert abs(scans["train"] / 1797 - 0.7) < 0.01 and abs(scans["test"] / 1797 - 0.2) < 0.01
    assert recordings == {"train": 700, "val": 100, "test": 200, "test_speaker": 200}
    assert sources["test_speaker"].scans == sources["test"].scans


def test_balance(rows):
    for split, members in rows.items():
        count = len(members)
        kinds = Counter(row["kind"] for row in members)
        assert sum(kinds[kind] for kind in digits_qa.questions.BOTH) / count == 0.7
        assert {split: kinds["same"] / count} == {split: 0.2}
        assert abs(Counter(row["language"] for row in members)["en"] / count - 0.5) <= 0.1
    for kind in digits_qa.questions.YES_NO:
        answers = Counter(row["answer"] for row in rows["train"] if row["kind"] == kind)
        assert abs(answers["yes"] - answers["no"]) <= 2


def test_every_kind_has_six_ways_to_ask_in_each_language():
    every = [text for texts in digits_qa.questions.TEMPLATES.values() for text in texts]
    assert len(every) == len(set(every))
    for kind in digits_qa.questions.KINDS:
        for language in digits_qa.questions.LANGUAGES:
            assert len(digits_qa.questions.TEMPLATES[kind, language]) >= 6


def test_samples_are_distinct_and_ids_unique(rows):
    for split, members in rows.items():
        assert len({(row["scan"], row["recording"], row["question"]) for row in members}) == SIZES[split]
        assert [row["id"] for row in members] == [f"{split}-{index:05d}" for index in range(SIZES[split])]


def test_same_seed_same_bytes_other_seed_other_samples_same_split(made, rows, tmp_path):
    make_digits_qa(tmp_path / "again", **SIZES)
    assert tree_hash(tmp_path / "again") == tree_hash(made)
    make_digits_qa(tmp_path / "other", seed=1, train=400, val=0, test=0, test_speaker=0)
    other = [json.loads(line) for line in (tmp_path / "other" / "train.jsonl").open(encoding="utf-8")]
    assert [row["scan"] for row in other] != [row["scan"] for row in rows["train"]]
    held_out = {row["scan"] for split in ("val", "test") for row in rows[split]}
    assert not {row["scan"] for row in other} & held_out
    assert not (tmp_path / "other" / "val.jsonl").exists()


def test_is_readable_by_manifest_and_fields(made):
    from ppmm.data.datasets.manifest import Manifest
    from ppmm.modalities import ImageField, LogMel

    sample = Manifest(str(made / "val.jsonl"), {"image": "image", "audio": "audio", "text": "question"})[5]
    assert ImageField((32, 32), 1)(sample["image"]).shape == (1, 32, 32)
    assert LogMel(8000, 40)(sample["audio"]).shape[1] == 40


def test_a_complete_folder_is_reused_another_refused(made, tmp_path):
    before = (made / "train.jsonl").stat().st_mtime_ns
    assert make_digits_qa(made, **SIZES)["made"] is False
    assert (made / "train.jsonl").stat().st_mtime_ns == before
    with pytest.raises(DataError, match="other settings"):
        make_digits_qa(made, seed=5, **SIZES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(DataError, match="exists already"):
        make_digits_qa(tmp_path / "mine", **SIZES)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"


def test_a_folder_that_lost_a_file_is_refused(tmp_path):
    few = {"train": 4, "val": 4, "test": 0, "test_speaker": 0}
    make_digits_qa(tmp_path / "out", **few)
    (tmp_path / "out" / "val.jsonl").unlink()
    with pytest.raises(DataError, match=r"lacks val\.jsonl"):
        make_digits_qa(tmp_path / "out", **few)


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    calls = []

    def stop(*args):
        calls.append(args)
        if len(calls) > 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(digits_qa, "write_wav", stop)
    with pytest.raises(KeyboardInterrupt):
        make_digits_qa(tmp_path / "out", **SIZES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sizes", [{"train": -1}, dict.fromkeys(SIZES, 0)])
def test_wrong_sizes(tmp_path, sizes):
    with pytest.raises(ConfigError):
        make_digits_qa(tmp_path / "out", **sizes)


def test_more_rows_than_questions():
    source = split_sources()["val"]
    small = digits_qa.Source(
        {digit: scans[:1] for digit, scans in source.scans.items()},
        {digit: recordings[:1] for digit, recordings in source.recordings.items()},
    )
    with pytest.raises(DataError, match="fewer than 5,000 distinct"):
        digits_qa._plans(5000, np.random.default_rng(0), small)


def test_progress_is_at_most_ten_plain_lines(tmp_path, capsys):
    make_digits_qa(tmp_path / "out", train=37, val=0, test=0, test_speaker=0)
    lines = capsys.readouterr().err.splitlines()
    assert 1 <= len(lines) <= 10 and lines[-1] == "digits_qa: 37 of 37"
