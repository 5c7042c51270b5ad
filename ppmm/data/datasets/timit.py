"""TIMIT (Garofolo et al. 1993): read sentences with phones and words, one row per utterance."""

from __future__ import annotations

from typing import Any, Literal

from ppmm.data.phones import PhoneSet
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice
from ppmm.data.timit_corpus import Timit, fold_spans, read_sentence, read_spans
from ppmm.registry import DATASETS

__all__ = ["TimitUtterances"]


@DATASETS.register("timit")
class TimitUtterances(Reader):
    """The utterances of a split; see `Timit` for the files and the splits. SA sentences are left out.

    Keys: ``audio`` (SPHERE or RIFF), ``text``, ``phones`` (with spaces between; a phone that the set of 48 or 39
    leaves out is not there), ``words``, ``dialect`` (dr1 to dr8), ``sex`` (f, m), ``speaker``, ``group`` (the speaker),
    ``sentence``, ``id``.

    Args:
        root: the disc, or a folder that holds it.
        split: ``test`` is the core test set; ``val`` are the usual 50 speakers of TEST; ``complete_test`` is all TEST.
        phones: 61 as transcribed, or folded to 48 or 39 after Lee and Hon (1989).
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
        limit: int | None = None,
    ) -> None:
        check_choice("phones", str(phones), ("61", "48", "39"))
        corpus = Timit(root, split)
        rows: list[dict[str, Any]] = []
        for found in corpus.utterances[:limit]:
            transcript = corpus.transcript(found, "phn")
            spans = fold_spans(read_spans(transcript), phones, transcript)
            row = {"id": f"{found.speaker}_{found.sentence}", "audio": str(found.audio.relative_to(corpus.folder))}
            row |= {"text": read_sentence(corpus.transcript(found, "txt")), "phones": " ".join(s.text for s in spans)}
            row |= {"words": " ".join(span.text for span in read_spans(corpus.transcript(found, "wrd")))}
            row |= {"dialect": found.dialect, "sex": found.speaker[0], "speaker": found.speaker}
            rows.append({**row, "group": found.speaker, "sentence": found.sentence})
        keys = ["id", "audio", "text", "phones", "words", "dialect", "sex", "speaker", "group", "sentence"]
        super().__init__(columns_of(rows, keys), corpus.found, {"audio": corpus.folder}, limit)
