"""AudioCaps (Kim et al. 2019): ten seconds of a video's sound with captions."""

from __future__ import annotations

from ppmm.data.caption_reader import CaptionReader, FoundCaptions
from ppmm.data.captions import Captioned
from ppmm.data.layout import Layout
from ppmm.data.recordings import recordings_in
from ppmm.data.table import read_table
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["AudioCaps"]

SPLITS = ("train", "val", "test")
COLUMNS = ("audiocap_id", "youtube_id", "start_time", "caption")


@DATASETS.register("audiocaps")
class AudioCaps(CaptionReader):
    """``train.csv``, ``val.csv``, ``test.csv`` (also in ``dataset/``) and recordings that were fetched elsewhere.

    Recordings are looked for in ``audio/<split>/``, ``<split>/`` or ``audio/``, as WAV, FLAC, OGG or MP3 named
    ``<youtube_id>_<start_time>``, ``<youtube_id>``, ``Y<youtube_id>`` or ``<audiocap_id>``. Captions whose recording
    is not there (videos vanish) are left out and counted. Keys: ``audio``, ``caption`` (or ``captions``), ``group``
    (video and start), ``id``.

    Arguments as `CaptionReader`. ``val`` and ``test`` have five captions per recording.
    """

    def _find(self, root: str, split: str) -> FoundCaptions:
        layout = Layout("AudioCaps", "cdjkim/audiocaps (CSVs); the recordings are on YouTube", root)
        table = layout.file(f"captions of {split}", f"{split}.csv", f"dataset/{split}.csv")
        folder = layout.folder(f"recordings of {split}", f"audio/{split}", split, "audio")
        files = recordings_in(folder)
        items: dict[str, Captioned] = {}
        absent = 0
        for line, cells in read_table(table):
            if not set(COLUMNS) <= set(cells):
                raise DataError(f"{table}:1: expected the columns {','.join(COLUMNS)}, found {','.join(cells)}")
            video, start = cells["youtube_id"].strip(), cells["start_time"].strip()
            if not video or not cells["caption"].strip():
                raise DataError(f"{table}:{line}: needs a youtube_id and a caption")
            stems = (f"{video}_{start}", video, f"Y{video}", cells["audiocap_id"].strip())
            name = next((files[stem] for stem in stems if stem in files), None)
            if name is None:
                absent += 1
                continue
            clip = f"{video}_{start}"
            items.setdefault(clip, Captioned(clip, {"audio": name}, [])).captions.append(cells["caption"].strip())
        if not items:
            raise layout.error(f"no recordings: looked for '{folder}/<youtube_id>_<start_time>.wav' and the like")
        count = sum(len(item.captions) for item in items.values())
        found = f"AudioCaps {split}: {count:,} captions of {len(items):,} recordings in '{folder}'"
        found += f"; {absent:,} more captions lack their recording" if absent else ""
        return FoundCaptions(items.values(), found, {"audio": folder})
