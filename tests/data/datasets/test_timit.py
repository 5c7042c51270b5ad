"""TIMIT: tiny discs in the published layout, with SPHERE headers written by hand."""

import numpy as np
import pytest

from ppmm.data.datasets.timit import TimitUtterances
from ppmm.data.datasets.timit_segments import TimitSegments
from ppmm.data.timit_corpus import CORE_TEST, DEVELOPMENT
from ppmm.errors import ConfigError, DataError
from ppmm.modalities.audio_file import read_recording

PHONES = "0 100 h#\n100 180 sh\n180 240 ix\n240 250 q\n250 300 ux\n300 340 kcl\n340 400 h#\n"
FOLDED = {
    61: "h# sh ix q ux kcl h#",
    48: "sil sh ix uw cl sil",
    39: "sil sh ih uw sil sil",
}


def sentence(tree, place, phones=PHONES, sphere=True):
    """The four files of a sentence; ``place`` without suffix, in capitals as on the disc."""
    (tree.sphere if sphere else tree.wav)(f"{place}.WAV", 400)
    tree.text(f"{place}.PHN", phones)
    tree.text(f"{place}.WRD", "100 240 she\n250 340 'em\n")
    tree.text(f"{place}.TXT", "0 400 She 'em. \n")


@pytest.fixture
def disc(tree):
    for place in ("TRAIN/DR1/FCJF0/SX37", "TRAIN/DR1/FCJF0/SA1", "TRAIN/DR8/MRDM0/SI1044", "TRAIN/DR8/MRDM0/SX155"):
        sentence(tree, f"TIMIT/{place}")
    for number, speaker in enumerate(CORE_TEST.split() + DEVELOPMENT.split()):
        for name in ("SA1", "SA2", "SX10"):
            sentence(tree, f"TIMIT/TEST/DR{number % 8 + 1}/{speaker.upper()}/{name}")
    sentence(tree, "TIMIT/TEST/DR2/MCCS0/SX100")
    return tree


def test_an_utterance_has_its_recording_and_all_transcripts(disc):
    rows = TimitUtterances(str(disc), "train")
    assert [rows[index]["id"] for index in range(len(rows))] == ["fcjf0_sx37", "mrdm0_si1044", "mrdm0_sx155"]
    row = rows[0]
    audio = row.pop("audio")
    assert row == {
        "id": "fcjf0_sx37", "text": "She 'em.", "phones": FOLDED[39], "words": "she 'em", "dialect": "dr1", "sex": "f",
        "speaker": "fcjf0", "group": "fcjf0", "sentence": "sx37",
    }  # fmt: skip
    samples, rate = read_recording(audio, 1.0)
    assert rate == 16000
    np.testing.assert_array_equal(samples * 32768, np.arange(400))


@pytest.mark.parametrize("phones", [61, 48, 39])
def test_phones_are_folded(disc, phones):
    assert TimitUtterances(str(disc), "train", phones=phones)[0]["phones"] == FOLDED[phones]
    segments = TimitSegments(str(disc), "train", phones=phones, limit=len(FOLDED[phones].split()))
    assert " ".join(segments[index]["phone"] for index in range(len(segments))) == FOLDED[phones]


def test_the_core_test_set_has_24_speakers_two_men_and_a_woman_of_each_region(disc):
    rows = TimitUtterances(str(disc), "test")
    speakers = [rows[index]["speaker"] for index in range(len(rows))]
    assert len(rows) == len(set(speakers)) == 24, "one sentence each: SA1 and SA2 are excluded"
    assert sum(speaker.startswith("f") for speaker in speakers) == 8
    val = TimitUtterances(str(disc), "val")
    assert len(val) == 50 and not {val[index]["speaker"] for index in range(50)} & set(speakers)
    assert len(TimitUtterances(str(disc), "complete_test")) == 75


def test_a_segment_is_cut_at_its_samples(disc):
    rows = TimitSegments(str(disc), "train")
    assert (len(rows), rows[1]["phone"], rows[1]["group"]) == (18, "sh", "fcjf0")
    samples, rate = rows[1]["audio"]
    assert rate == 16000 and samples.dtype == np.float32
    np.testing.assert_array_equal(samples * 32768, np.arange(100, 180))
    wide = TimitSegments(str(disc), "train", context_ms=1.25)  # 20 samples
    np.testing.assert_array_equal(wide[1]["audio"][0] * 32768, np.arange(80, 200))
    np.testing.assert_array_equal(wide[0]["audio"][0] * 32768, np.arange(0, 120))
    np.testing.assert_array_equal(wide[5]["audio"][0] * 32768, np.arange(320, 400))


def test_copies_in_lower_case_with_riff_files_are_read(tree):
    sentence(tree, "data/train/dr1/fcjf0/sx37")
    for path in list((tree.root / "data/train/dr1/fcjf0").iterdir()):
        path.rename(path.with_name(path.name.lower()))
    tree.wav("data/train/dr1/fcjf0/sx37.wav.wav", 400, 16000)
    row = TimitUtterances(str(tree), "train")[0]
    assert row["audio"].name == "sx37.wav.wav" and row["text"] == "She 'em."


def test_what_is_missing_is_named(tree, disc):
    (disc.root / "TIMIT/TEST/DR1/MDAB0").rename(disc.root / "elsewhere")
    with pytest.raises(DataError, match="lacks 1 speakers of test, as MDAB0"):
        TimitUtterances(str(disc), "test")
    (disc.root / "TIMIT/TRAIN/DR1/FCJF0/SX37.PHN").unlink()
    with pytest.raises(DataError, match=r"looked for '.*FCJF0/SX37\.PHN'"):
        TimitUtterances(str(disc), "train")
    with pytest.raises(DataError, match=r"TRAIN' or .*'.*train'.*LDC93S1"):
        TimitUtterances(str(disc.root / "elsewhere"), "train")
    with pytest.raises(ConfigError, match="split: 'dev' must be one of train, val"):
        TimitUtterances(str(disc), "dev")


@pytest.mark.parametrize(
    ("phones", "message"),
    [
        ("0 400 zz\n", "'zz', which is none of TIMIT's 61"),
        ("0 x aa\n", "PHN:1: expected"),
        ("5 5 aa", "PHN:1"),
        ("", "empty"),
    ],
)
def test_a_damaged_transcript_is_named_with_its_line(tree, phones, message):
    sentence(tree, "TRAIN/DR1/FCJF0/SX37", phones)
    for reader in (TimitUtterances, TimitSegments):
        with pytest.raises(DataError, match=message):
            reader(str(tree), "train")


def test_a_transcript_longer_than_the_recording_is_refused(tree):
    sentence(tree, "TRAIN/DR1/FCJF0/SX37", "0 900 aa\n")
    with pytest.raises(DataError, match="has 400 samples; its transcript goes on to 900"):
        TimitSegments(str(tree), "train")[0]


def test_files_in_the_place_of_folders_are_passed_over(tree):
    tree.text("TRAIN/DR1", "a file")
    tree.text("TRAIN/DR2/FABC0", "a file")
    with pytest.raises(DataError, match="no recordings"):
        TimitUtterances(str(tree), "train")
