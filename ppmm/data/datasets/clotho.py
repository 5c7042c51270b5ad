"""Clotho (Drossos et al. 2020): recordings of 15 to 30 s with five captions each."""

from __future__ import annotations

from ppmm.data.caption_reader import CaptionReader, FoundCaptions
from ppmm.data.captions import Captioned
from ppmm.data.layout import Layout, is_file
from ppmm.data.table import read_table
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["Clotho"]

PARTS = {"train": "development", "val": "validation", "test": "evaluation"}
COLUMNS = ["file_name", *(f"caption_{number}" for number in range(1, 6))]


@DATASETS.register("clotho")
class Clotho(CaptionReader):
    """``clotho_captions_<part>.csv`` and the recordings ``<part>/*.wav``; parts: development, validation, evaluation.

    The CSVs may be in ``clotho_csv_files``, the recordings in ``clotho_audio_files/<part>`` or
    ``clotho_audio_<part>/<part>``. Keys: ``audio``, ``caption`` (or ``captions``), ``group`` (the file), ``id``.

    Arguments as `CaptionReader`. ``train`` is development, ``val`` validation (from version 2), ``test`` evaluation.
    """

    def _find(self, root: str, split: str) -> FoundCaptions:
        part = PARTS[split]
        layout = Layout("Clotho", "Clotho dataset, version 2.1 (Zenodo)", root)
        name = f"clotho_captions_{part}.csv"
        table = layout.file(f"captions of {part}", name, f"clotho_csv_files/{name}")
        folder = layout.folder(
            f"recordings of {part}", part, f"clotho_audio_files/{part}", f"clotho_audio_{part}/{part}",
            f"clotho_audio_{part}",
        )  # fmt: skip
        items = []
        for line, cells in read_table(table):
            if not set(COLUMNS) <= set(cells):
                raise DataError(f"{table}:1: expected the columns {','.join(COLUMNS)}, found {','.join(cells)}")
            file = cells["file_name"].strip()
            texts = [cells[column].strip() for column in COLUMNS[1:] if cells[column].strip()]
            if not file or "/" in file or not texts:
                raise DataError(f"{table}:{line}: needs the name of a file and a caption")
            if not is_file(folder / file):
                raise layout.error(f"{table}:{line}: looked for the file '{folder / file}'")
            items.append(Captioned(file, {"audio": file}, texts))
        count = sum(len(item.captions) for item in items)
        found = f"Clotho {part}: {count:,} captions of {len(items):,} recordings in '{folder}'"
        return FoundCaptions(items, found, {"audio": folder})
