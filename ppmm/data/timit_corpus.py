"""TIMIT (Garofolo et al. 1993) as it is on the disc of the LDC: its utterances by split, and their transcripts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ppmm.data.layout import Layout
from ppmm.data.phones import fold
from ppmm.data.splits import check_choice
from ppmm.data.text_file import read_text
from ppmm.errors import DataError

__all__ = ["SPLITS", "Span", "Timit", "Utterance", "fold_spans", "read_sentence", "read_spans"]

# Two men and one woman of each dialect region (README.DOC of the disc).
CORE_TEST = (
    "mdab0 mwbt0 felc0 mtas1 mwew0 fpas0 mjmp0 mlnt0 fpkt0 mlll0 mtls0 fjlm0 mbpm0 mklt0 fnlp0 mcmj0 mjdh0 fmgd0 "
    "mgrt0 mnjm0 fdhc0 mjln0 mpam0 fmld0"
)
# The usual development set: 50 speakers of TEST that are not in the core test set (Halberstadt 1998).
DEVELOPMENT = (
    "faks0 fdac1 fjem0 mgwt0 mjar0 mmdb1 mmdm2 mpdf0 fcmh0 fkms0 mbdg0 mbwm0 mcsh0 fadg0 fdms0 fedw0 mgjf0 mglb0 mrtk0 "
    "mtaa0 mtdt0 mthc0 mwjg0 fnmr0 frew0 fsem0 mbns0 mmjr0 mdls0 mdlf0 mdvc0 mers0 fmah0 fdrw0 mrcs0 mrjm4 fcal1 mmwh0 "
    "fjsj0 majc0 mjsw0 mreb0 fgjd0 fjmg0 mroa0 mteb0 mjfc0 mrjr0 fmml0 mrws1"
)
SPLITS = ("train", "val", "test", "complete_test")
PLACES = ("", "TIMIT", "timit", "data", "timit/TIMIT", "TIMIT/TIMIT")
SPEAKER = re.compile(r"[fm][a-z]{3}\d")
SPAN = re.compile(r"\s*([0-9]{1,12})\s+([0-9]{1,12})\s+(\S.*?)\s*")
SENTENCE = re.compile(r"(s[aix]\d+)\.(.+)")
RECORDINGS = ("wav.wav", "wav", "flac")
"""Suffixes in lower case, the best first: copies in circulation add ``.wav`` to RIFF versions of the SPHERE files."""


class Utterance(NamedTuple):
    """One sentence of one speaker; files by suffix in lower case (``phn``, ``wrd``, ``txt``)."""

    speaker: str
    dialect: str
    sentence: str
    audio: Path
    files: dict[str, Path]


class Span(NamedTuple):
    """A phone or word and its samples ``start`` to ``stop`` (exclusive)."""

    start: int
    stop: int
    text: str


class Timit:
    """The utterances of a split without the two SA sentences, which every speaker reads.

    Looked for in ``TRAIN/DR<1-8>/<speaker>/<sentence>.WAV`` and ``TEST/...``, in upper or lower case.

    Args:
        root: the disc, or a folder that holds it.
        split: ``train`` (462 speakers), ``val`` (50 of TEST), ``test`` (the 24 of the core test set), ``complete_test``
            (all 168 of TEST, with those of ``val``).

    Raises:
        ConfigError: an unknown split.
        DataError: the files are not there, or speakers of ``val`` or ``test`` are missing.
    """

    def __init__(self, root: str, split: str) -> None:
        check_choice("split", split, SPLITS)
        layout = Layout("TIMIT", "TIMIT Acoustic-Phonetic Continuous Speech Corpus, LDC93S1", root)
        part = "train" if split == "train" else "test"
        names = tuple(f"{place}/{name}".lstrip("/") for place in PLACES for name in (part.upper(), part))
        self.folder = layout.folder(f"speakers of {part}", *names)
        wanted = {"val": DEVELOPMENT.split(), "test": CORE_TEST.split()}.get(split)
        self.utterances = sorted(_utterances(self.folder, wanted), key=lambda found: (found.speaker, found.sentence))
        if not self.utterances:
            raise layout.error(f"no recordings: looked for '{self.folder}/DR1/<speaker>/SX<number>.WAV'")
        self.speakers = {utterance.speaker for utterance in self.utterances}
        missing = sorted(set(wanted or ()) - self.speakers)
        if missing:
            raise layout.error(f"'{self.folder}' lacks {len(missing)} speakers of {split}, as {missing[0].upper()}")
        self.found = f"TIMIT {split}: {len(self.utterances):,} utterances of {len(self.speakers)} speakers "
        self.found += f"in '{self.folder}', without SA sentences"

    def transcript(self, utterance: Utterance, suffix: str) -> Path:
        """The transcript of an utterance. Raises DataError where it is missing."""
        if suffix not in utterance.files:
            raise DataError(f"TIMIT: no transcript: looked for '{utterance.audio.with_suffix(f'.{suffix.upper()}')}'")
        return utterance.files[suffix]


def read_spans(path: Path) -> list[Span]:
    """The lines ``<first sample> <stop, exclusive> <text>`` of a .PHN or .WRD. Raises DataError naming the line."""
    spans = []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        if not line.strip():
            continue
        found = SPAN.fullmatch(line)
        if found is None or int(found[1]) >= int(found[2]):
            raise DataError(f"{path}:{number}: expected '<start> <stop> <text>', found {ascii(line)[:60]}")
        spans.append(Span(int(found[1]), int(found[2]), found[3]))
    if not spans:
        raise DataError(f"'{path}' is empty")
    return spans


def read_sentence(path: Path) -> str:
    """The text of a .TXT: ``0 46797 She had your dark suit ...``. Raises DataError."""
    return read_spans(path)[0].text


def fold_spans(spans: list[Span], phones: int, path: Path) -> list[Span]:
    """Spans with their phones folded, without those that the set leaves out. Raises DataError for unknown ones."""
    folded = []
    for span in spans:
        try:
            phone = fold(span.text, phones)
        except KeyError as error:
            raise DataError(f"'{path}' holds '{span.text}', which is none of TIMIT's 61 phones") from error
        if phone is not None:
            folded.append(Span(span.start, span.stop, phone))
    return folded


def _utterances(folder: Path, wanted: list[str] | None) -> Iterator[Utterance]:
    """Every sentence but SA1 and SA2 below DR1 to DR8, of the wanted speakers (None for all)."""
    for region in sorted(folder.iterdir()):
        if re.fullmatch(r"dr[1-8]", region.name.lower()) is None or not region.is_dir():
            continue
        for home in sorted(region.iterdir()):
            speaker = home.name.lower()
            if SPEAKER.fullmatch(speaker) is None or not home.is_dir() or not (wanted is None or speaker in wanted):
                continue
            files: dict[str, dict[str, Path]] = {}
            for path in sorted(home.iterdir()):
                name = SENTENCE.fullmatch(path.name.lower())
                if name is not None and not name[1].startswith("sa"):
                    files.setdefault(name[1], {})[name[2]] = path
            for sentence, found in sorted(files.items()):
                audio = next((found[suffix] for suffix in RECORDINGS if suffix in found), None)
                if audio is not None:
                    yield Utterance(speaker, region.name.lower(), sentence, audio, found)
