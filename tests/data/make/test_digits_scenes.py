"""digits_scenes: pictures, captions and speech against the sources; splits, distinctness, reproducibility."""

import json
import wave
from collections import Counter

import cv2
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ppmm.data.make import digits_scenes, fsdd, make_digits_scenes
from ppmm.data.make.scene import SCENE, draw_scene, speak_digits
from ppmm.data.make.scene_captions import COLOURS, DIGITS, LANGUAGES, TEMPLATES, Shown, caption
from ppmm.errors import ConfigError, DataError

SIZES = {"train": 200, "val": 60, "test": 120, "test_speaker": 40}
FULL = ("train", "val", "test", "test_speaker")
ALIKE = ("val_alike", "test_alike")
SINGLE = ("val_single", "test_single")
WORDS_EN = {word: digit for digit, word in enumerate(DIGITS)}
WORDS_ZH = dict(zip("零一二三四五六七八九", range(10), strict=True))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "digits_scenes"
    assert make_digits_scenes(out, **SIZES) == {
        "folder": str(out),
        "made": True,
        "rows": {**SIZES, "val_alike": 60, "test_alike": 120, "val_single": 60, "test_single": 120},
    }
    return out


@pytest.fixture(scope="module")
def rows(made):
    return {
        split: [json.loads(line) for line in (made / f"{split}.jsonl").open(encoding="utf-8")]
        for split in FULL + ALIKE + SINGLE
    }


def test_no_two_scenes_of_a_test_set_have_the_same_digits(rows):
    for split in ("val", "test", "test_speaker"):
        digits = [row["digits"] for row in rows[split]]
        assert len(digits) == len(set(digits)) == SIZES[split]
        assert set(map(len, digits)) == {1, 2, 3, 4}
    assert Counter(len(row["digits"]) for row in rows["test"]) == {1: 10, 2: 37, 3: 37, 4: 36}
    assert Counter(len(row["digits"]) for row in rows["train"]) == dict.fromkeys((1, 2, 3, 4), 50)


def test_alike_scenes_are_told_apart_by_colour_and_place_only(rows):
    for split in ALIKE:
        scenes = [row["scene"] for row in rows[split]]
        assert len(set(scenes)) == len(scenes)
        groups = Counter(tuple(sorted(row["digits"])) for row in rows[split])
        assert all(count % 5 == 0 for count in groups.values())
        assert not any("audio" in row or "speaker" in row for row in rows[split])


def test_single_scenes_hold_every_digit_equally_often(rows):
    for split, each in (("val_single", 6), ("test_single", 12)):
        assert Counter(row["digits"] for row in rows[split]) == dict.fromkeys("0123456789", each)
        assert not any("audio" in row for row in rows[split])


def test_captions_say_what_is_shown(rows):
    for row in (row for split in rows.values() for row in split):
        names = WORDS_EN if row["language"] == "en" else WORDS_ZH
        text = row["caption"].replace(",", " ").split() if row["language"] == "en" else row["caption"]
        said = [str(names[word]) for word in text if word in names]
        backwards = any(turned in row["caption"] for turned in (" right of ", "左边是"))
        assert "".join(reversed(said) if backwards else said) == row["digits"]
        assert "".join(part[-1] for part in row["scene"].split(", ")) == row["digits"]
        if row["language"] == "en":
            colours = [word for word in text if word in COLOURS]
            heights = [word for word in text if word in ("high", "low")]
            shown = [part.split()[:2] for part in row["scene"].split(", ")]
            assert [list(pair) for pair in zip(heights, colours, strict=True)] == (shown[::-1] if backwards else shown)


def test_languages_do_not_depend_on_the_number_of_digits(rows):
    for length in (1, 2, 3, 4):
        languages = Counter(row["language"] for row in rows["train"] if len(row["digits"]) == length)
        assert min(languages["en"], languages["zh"]) >= 10
    assert Counter(row["language"] for row in rows["test"]) == {"en": 60, "zh": 60}


def test_templates():
    row = [Shown(7, "red", True), Shown(2, "blue", False)]
    said = [caption(row, language, template) for language in LANGUAGES for template in TEMPLATES[language, True]]
    assert "a high red seven left of a low blue two" in said
    assert "a low blue two right of a high red seven" in said
    assert "高处红色的七，右边是低处蓝色的二" in said
    assert "低处蓝色的二，左边是高处红色的七" in said
    assert len(set(said)) == 12
    assert caption(row[:1], "en", TEMPLATES["en", False][1]) == "there is a high red seven"


def test_splits_share_no_scan_and_no_recording(rows):
    used = {
        split: {key: {name for row in members for name in row.get(key, [])} for key in ("scans", "recordings")}
        for split, members in rows.items()
    }
    for first, second in (
        ("train", "val"),
        ("train", "test"),
        ("val", "test"),
        ("train", "test_alike"),
        ("val_single", "test_single"),
    ):
        for key in ("scans", "recordings"):
            assert not used[first][key] & used[second][key]
    assert not used["train"]["recordings"] & used["test_speaker"]["recordings"]
    speakers = {split: {row["speaker"] for row in rows[split]} for split in FULL}
    assert speakers["test_speaker"] == {"theo"} and len(speakers["train"]) == 5
    assert not speakers["test_speaker"] & (speakers["train"] | speakers["val"] | speakers["test"])


def test_scans_and_recordings_are_those_of_the_digits_and_of_one_speaker(rows):
    labels = load_digits().target
    for row in (row for split in FULL for row in rows[split]):
        assert "".join(str(labels[int(name.removeprefix("scan_"))]) for name in row["scans"]) == row["digits"]
        assert "".join(name[0] for name in row["recordings"]) == row["digits"]
        assert {name.split("_")[1] for name in row["recordings"]} == {row["speaker"]}


def test_the_recordings_follow_one_another_in_the_file(made, rows):
    recordings = {recording.name: recording.samples.astype(float) for recording in fsdd.load_recordings()}
    for row in rows["train"][:8]:
        with wave.open(str(made / row["audio"])) as file:
            assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
            spoken = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
        end = 0
        for name in row["recordings"]:
            voice = recordings[name]
            match = np.correlate(spoken[end:], voice, "valid")
            start = end + int(match.argmax())
            part = spoken[start : start + len(voice)]
            assert part @ voice / (np.linalg.norm(part) * np.linalg.norm(voice)) > 0.95
            assert 0 <= start - end <= (1600 if end == 0 else 1200)
            end = start + len(voice)
        assert 0 <= len(spoken) - end <= 1600


def test_a_picture_has_its_digits_in_their_colours_and_places():
    ink = np.full((8, 8), 16.0)
    colours = [COLOURS["red"], COLOURS["green"], COLOURS["blue"], COLOURS["white"]]
    for seed in range(20):
        picture = draw_scene([ink] * 4, colours, [True, False, False, True], np.random.default_rng(seed))
        assert picture.shape == (*SCENE, 3) and picture.dtype == np.uint8
        found, _, stats, _ = cv2.connectedComponentsWithStats((picture.max(axis=2) > 110).astype(np.uint8))
        blocks = sorted((box for box in stats[1:found] if box[4] > 100), key=lambda box: box[0])
        assert len(blocks) == 4
        for (left, top, width, height, _), colour, high in zip(blocks, colours, (1, 0, 0, 1), strict=True):
            assert 13 <= width <= 22 and 17 <= height <= 22
            assert top <= 3 if high else top + height >= SCENE[0] - 3
            mean = picture[top + 4 : top + height - 4, left + 4 : left + width - 4].reshape(-1, 3).mean(0)
            assert np.abs(mean - colour).max() < 35


def test_speech_of_one_digit_is_framed_by_silence_only():
    tone = (np.sin(np.arange(2000)) * 9000).astype(np.int16)
    for seed in range(5):
        one = speak_digits([tone], 8000, np.random.default_rng(seed))
        assert 2000 <= len(one) <= 2000 + 3200
        two = speak_digits([tone, tone // 10], 8000, np.random.default_rng(seed))
        assert 0.25 * 32767 < np.abs(two).max() < 32767
        halves = np.abs(two[: len(two) // 2]).max(), np.abs(two[len(two) // 2 :]).max()
        assert halves[0] == pytest.approx(halves[1], rel=0.1), "each recording has the same peak"


def test_same_seed_same_rows_other_seed_others(made, rows, tmp_path):
    make_digits_scenes(tmp_path / "again", train=0, val=0, test=120, test_speaker=0)
    assert (tmp_path / "again" / "test.jsonl").read_bytes() == (made / "test.jsonl").read_bytes()
    for name in ("test/00003.png", "test/00003.wav"):
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()
    make_digits_scenes(tmp_path / "other", seed=1, train=0, val=0, test=120, test_speaker=0)
    assert (tmp_path / "other" / "test.jsonl").read_bytes() != (made / "test.jsonl").read_bytes()
    assert not (tmp_path / "other" / "train.jsonl").exists()
    assert make_digits_scenes(made, **SIZES)["made"] is False
    with pytest.raises(DataError, match="other settings"):
        make_digits_scenes(made, seed=5, **SIZES)


def test_different_digits_run_out():
    rng = np.random.default_rng(0)
    assert len(set(digits_scenes._different_digits(11_110, rng))) == 11_110
    with pytest.raises(DataError, match="only 11,110"):
        digits_scenes._different_digits(11_111, rng)


@pytest.mark.parametrize("sizes", [{"train": -1}, dict.fromkeys(SIZES, 0)])
def test_wrong_sizes(tmp_path, sizes):
    with pytest.raises(ConfigError):
        make_digits_scenes(tmp_path / "out", **sizes)
