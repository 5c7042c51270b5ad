"""TIMIT's phones cut out of their sentences: one row per phone, for phone classification."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.data.phones import PhoneSet
from ppmm.data.reader import Reader
from ppmm.data.splits import check_choice
from ppmm.data.timit_corpus import Timit, fold_spans, read_spans
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS
from ppmm.types import Sample

__all__ = ["TimitSegments"]


@DATASETS.register("timit_segments")
class TimitSegments(Reader):
    """The phones of a split; see `Timit` for the files and the splits. SA sentences are left out.

    Keys: ``audio`` (float32 [time], rate), ``phone``, ``speaker``, ``group`` (the speaker), ``utterance``, ``id``.

    Args:
        root: the disc, or a folder that holds it.
        split: ``test`` is the core test set; ``val`` are the usual 50 speakers of TEST; ``complete_test`` is all TEST.
        phones: 61 as transcribed, or folded to 48 or 39 after Lee and Hon (1989); those leave the glottal stop q out.
        context_ms: cut so much more on either side, where the sentence has it.
        limit: take only the first so many rows.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test", "complete_test"],
        phones: PhoneSet = 39,
        context_ms: float = 0.0,
        limit: int | None = None,
    ) -> None:
        check_choice("phones", str(phones), ("61", "48", "39"))
        if context_ms < 0.0:
            raise ConfigError(f"context_ms: {context_ms} must not be negative")
        self.context = context_ms / 1000.0
        corpus = Timit(root, split)
        keys = ("id", "file", "start", "stop", "phone", "speaker", "group", "utterance")
        columns: dict[str, list[Any]] = {key: [] for key in keys}
        for found in corpus.utterances:
            transcript = corpus.transcript(found, "phn")
            file, name = str(found.audio.relative_to(corpus.folder)), f"{found.speaker}_{found.sentence}"
            for span in fold_spans(read_spans(transcript), phones, transcript):
                cells = (f"{name}:{span.start}", file, span.start, span.stop, span.text)
                for key, cell in zip(keys, (*cells, found.speaker, found.speaker, name), strict=True):
                    columns[key].append(cell)
        found_here = f"{corpus.found}; {len(columns['id']):,} phones of the set of {phones}"
        super().__init__(columns, found_here, {"file": corpus.folder}, limit)

    def __getitem__(self, index: int) -> Sample:
        """One phone with its samples. Raises DataError, IndexError."""
        sample = super().__getitem__(index)
        start, stop = sample.pop("start"), sample.pop("stop")
        sample["audio"] = _read_piece(sample.pop("file"), start, stop, self.context)
        return sample


def _read_piece(path: Path, start: int, stop: int, context: float) -> tuple[np.ndarray, int]:
    """(float32 [time], rate) of the samples ``start`` to ``stop``, and ``context`` seconds around. Raises DataError."""
    import soundfile

    try:
        with soundfile.SoundFile(str(path)) as recording:
            if stop > recording.frames:
                raise DataError(f"audio '{path}' has {recording.frames:,} samples; its transcript goes on to {stop:,}")
            more = round(context * recording.samplerate)
            first, last = max(0, start - more), min(recording.frames, stop + more)
            recording.seek(first)
            samples = recording.read(last - first, dtype="float32", always_2d=True).mean(axis=1)
            rate = int(recording.samplerate)
    except (RuntimeError, OSError) as error:
        raise DataError(f"audio '{path}' cannot be read: {error}") from error
    if len(samples) < last - first:
        raise DataError(f"audio '{path}' is truncated: its header announces {recording.frames:,} samples")
    return samples, rate
