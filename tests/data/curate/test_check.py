"""Every kind of finding, by planted rows whose numbers are known."""

from __future__ import annotations

import io
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import soundfile
from PIL import Image

from ppmm.data.curate import work
from ppmm.data.curate.check import Checked, check_collections
from ppmm.data.curate.collection import Collection, from_dataset, guess_kinds, open_collection
from ppmm.data.curate.journal import Journal
from ppmm.data.curate.limits import Limits
from ppmm.data.curate.local_engine import LocalEngine
from ppmm.data.curate.text_check import count_words, has_mojibake, language_of
from ppmm.data.curate.work import Cell
from ppmm.data.table import Row
from ppmm.errors import ConfigError, DataError

GOOD = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
TONE = (0.5 * np.sin(np.arange(8000) * 0.3)).astype(np.float32)


def png(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1])


def jpeg(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", pixels)[1])


def wav(wave: np.ndarray, rate: int = 8000, **options: Any) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=options.pop("format", "WAV"), **options)
    return buffer.getvalue()


def hurt_early(content: bytes) -> bytes:
    place = len(content) // 4
    return content[:place] + bytes(60) + content[place + 60 :]


def collect(folder: Path, kind: str, files: dict[str, bytes | None]) -> Collection:
    """Files written into the folder (None: not there) and a row for each."""
    for name, content in files.items():
        if content is not None:
            (folder / name).write_bytes(content)
    return Collection("x", [Row(i, {kind: name}) for i, name in enumerate(files, 2)], {kind: kind}, folder)


def check(collection: Collection, limits: Limits | None = None) -> Checked:
    return check_collections([collection], limits or Limits(), LocalEngine(0), Journal(None))


def kinds_by_row(checked: Checked) -> dict[int | None, set[str]]:
    found: dict[int | None, set[str]] = {}
    for finding in checked.findings:
        found.setdefault(finding.row, set()).add(finding.kind)
    return found


def test_images(tmp_path: Path) -> None:
    files = {
        "good.png": png(GOOD),
        "missing.png": None,
        "empty.png": b"",
        "text.png": b"no picture at all",
        "cut.jpg": jpeg(GOOD)[:-40],
        "cut.png": png(GOOD)[:-300],
        "really.jpg": png(GOOD),
        "tiny.png": png(GOOD[:4, :4]),
        "red.png": png(np.full((20, 20, 3), (0, 0, 200), np.uint8)),
        "large.png": png(np.tile(GOOD, (10, 10, 1))),
        "good.jpg": jpeg(GOOD),
    }
    checked = check(collect(tmp_path, "image", files), Limits(max_pixels=10_000))
    assert kinds_by_row(checked) == {
        3: {"missing"},
        4: {"zero_size"},
        5: {"unreadable"},
        6: {"truncated"},
        7: {"truncated"},
        8: {"wrong_extension"},
        9: {"too_small"},
        10: {"single_colour"},
        11: {"too_large"},
    }
    assert checked.facts[0]["image"][0] | {"bytes": 0} == {
        "bytes": 0, "format": "PNG", "width": 24, "height": 20, "channels": 3,
    }  # fmt: skip


def test_recordings(tmp_path: Path) -> None:
    broken = TONE.copy()
    broken[100] = np.nan
    one_silent_channel = np.stack([TONE, 0 * TONE], axis=1)
    files = {
        "good.wav": wav(TONE),
        "missing.wav": None,
        "empty.wav": b"",
        "text.wav": b"RIFF but nothing else",
        "cut.wav": wav(TONE)[:5000],
        "cut.flac": wav(TONE, format="FLAC")[:3000],
        "hurt.flac": hurt_early(wav(TONE, format="FLAC")),
        "really.mp3": wav(TONE),
        "silent.wav": wav(TONE * 0),
        "clipped.wav": wav(np.clip(TONE * 4, -1, 1)),
        "nan.wav": wav(broken, subtype="FLOAT"),
        "short.wav": wav(TONE[:100]),
        "long.wav": wav(np.tile(TONE, 4)),
        "fast.wav": wav(TONE, 16000),
        "stereo.wav": wav(one_silent_channel),
        "clipped_left.wav": wav(np.stack([np.clip(TONE * 4, -1, 1), 0.1 * TONE], axis=1)),
        "loud_once.wav": wav(np.where(np.arange(8000) == 7, 1.0, TONE)),
    }
    checked = check(collect(tmp_path, "audio", files), Limits(max_seconds=3.0))
    assert kinds_by_row(checked) == {
        3: {"missing"},
        4: {"zero_size"},
        5: {"unreadable"},
        6: {"truncated"},
        7: {"truncated"},
        8: {"unreadable"},
        9: {"wrong_extension"},
        10: {"silence"},
        11: {"clipping"},
        12: {"nan"},
        13: {"too_short"},
        14: {"too_long"},
        15: {"sample_rate"},
        17: {"clipping"},
    }
    facts = checked.facts[0]["audio"][0]
    assert (facts["rate"], facts["seconds"], facts["channels"]) == (8000, 1.0, 1)
    assert facts["peak_db"] == pytest.approx(20 * np.log10(0.5), abs=0.02)


def test_texts() -> None:
    texts = [
        "A dog runs over the green grass.",
        "   ",
        "?!...",
        "caf\u00c3\u00a9 au lait, d\u00c3\u00a9j\u00c3\u00a0 vu",
        "broken \ufffd character",
        "Ein kleiner Hund läuft über die grüne Wiese und bellt.",
        "一只小狗在公园里追球",
        "x" * 300,
        "hi",
        "Собака бежит по зелёной траве в парке",
    ]
    collection = Collection("x", [Row(i, {"t": t}) for i, t in enumerate(texts, 1)], {"t": "text"})
    checked = check(collection, Limits(min_chars=3, max_chars=200, languages=("en", "zh")))
    found = kinds_by_row(checked)
    assert found.pop(8) >= {"too_long"}
    assert found == {
        2: {"empty_text"},
        3: {"empty_text"},
        4: {"mojibake"},
        5: {"mojibake"},
        6: {"wrong_language"},
        9: {"too_short"},
        10: {"wrong_language"},
    }


def test_words_and_languages() -> None:
    assert count_words("two words") == 2
    assert count_words("两个 words") == 3
    assert language_of("こんにちは世界") == "ja"
    assert language_of("안녕하세요") == "ko"
    assert language_of("Hola") is None
    assert language_of("hello there", ("zh",)) == "latin"
    assert not has_mojibake("naïve café, 你好")


def test_whole_columns() -> None:
    labels = ["engine"] * 30 + ["enigne", "Engine ", "motor", "motor 1", "motor 2", "e", "-1", "1"]
    rows = [Row(i, {"id": str(i % 36), "label": label}) for i, label in enumerate(labels)]
    checked = check(Collection("x", rows, {"id": "id", "label": "label"}), Limits(imbalance=20))
    typos = {f.row: f.detail for f in checked.findings if f.kind == "label_typo"}
    assert set(typos) == {30, 31} and "'engine'" in typos[30]
    assert [f.row for f in checked.findings if f.kind == "duplicate_id"] == [36, 37]
    imbalance = [f for f in checked.findings if f.kind == "imbalance"]
    assert len(imbalance) == 1 and imbalance[0].row is None and "enigne (1)" in imbalance[0].detail


def test_required_columns_and_missing_modalities() -> None:
    rows = [Row(1, {"t": "one two", "u": None}), Row(2, {"t": "", "u": "three"}), Row(3, {"u": "four"})]
    collection = Collection("x", rows, {"t": "text", "u": "text"})
    assert kinds_by_row(check(collection)) == {}
    assert kinds_by_row(check(collection, Limits(required=("t",)))) == {2: {"absent"}, 3: {"absent"}}


@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_does_not_matter(tmp_path: Path, workers: int) -> None:
    files = {f"{i}.png": (png(np.roll(GOOD, i)) if i % 7 else b"") for i in range(100)}
    collection = collect(tmp_path, "image", files)
    checked = check_collections([collection], Limits(), LocalEngine(workers), Journal(None))
    assert [f.row for f in checked.findings] == [i + 2 for i in range(100) if i % 7 == 0]


def test_a_second_run_decodes_only_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = collect(tmp_path, "image", {f"{i}.png": png(np.roll(GOOD, i)) for i in range(5)})
    journal = tmp_path / "work" / "j.jsonl"

    def run() -> list[int | None]:
        kept = Journal(journal)
        try:
            return [f.row for f in check_collections([collection], Limits(), LocalEngine(0), kept).findings]
        finally:
            kept.close()

    looked: list[int] = []
    from ppmm.data.curate import check as module

    real = module.measure_cells
    monkeypatch.setattr(module, "measure_cells", lambda cells: (looked.append(len(cells)), real(cells))[1])
    assert run() == [] and looked == [5]
    (tmp_path / "3.png").write_bytes(b"")
    with journal.open("a") as file:
        file.write('{"torn line')
    assert run() == [5] and looked == [5, 1]
    assert run() == [5] and looked == [5, 1]


def crash_on_three(cells: list[Cell]) -> list[int]:
    if any(cell.value == 3 for cell in cells):
        os.kill(os.getpid(), signal.SIGKILL)
    return [cell.value * 2 for cell in cells]


def test_a_killed_worker_costs_one_row() -> None:
    from ppmm.data.curate.work import run_cells

    cells = [Cell("x", value) for value in range(200)]
    keys = [str(value) for value in range(200)]
    results = run_cells(crash_on_three, cells, keys, LocalEngine(2), Journal(None), "x", lambda cell: "lost")
    assert results == ["lost" if value == 3 else value * 2 for value in range(200)]


def test_kinds_are_guessed() -> None:
    cells = {"id": "1", "photo": "a/B.JPG", "sound": "x.flac", "caption": "words", "label": 3, "size": 4}
    assert guess_kinds([Row(1, cells)]) == {
        "id": "id", "photo": "image", "sound": "audio", "caption": "text", "label": "label",
    }  # fmt: skip


def test_parquet_and_unknown_columns(tmp_path: Path) -> None:
    from ppmm.data.curate.table_writer import write_table

    write_table(tmp_path / "m.parquet", [{"text": "a"}, {"text": None}])
    assert open_collection(tmp_path / "m.parquet").rows[0] == Row(1, {"text": "a"})
    (tmp_path / "m.jsonl").write_text(json.dumps({"text": "a"}))
    with pytest.raises(DataError, match=r"no column 'txt'.*text"):
        open_collection(tmp_path / "m.jsonl", {"txt": "text"})


def test_a_cut_jpeg_with_an_end_marker(tmp_path: Path) -> None:
    progressive = io.BytesIO()
    Image.fromarray(np.tile(GOOD, (5, 5, 1))).save(progressive, "JPEG", progressive=True)
    whole = progressive.getvalue()
    files = {"good.jpg": whole, "cut.jpg": whole[: len(whole) * 9 // 10] + b"\xff\xd9"}
    files["seq.jpg"] = jpeg(np.tile(GOOD, (5, 5, 1)))[:-200] + b"\xff\xd9"
    files["x.gif"] = b"GIF89a" + bytes(60)
    checked = check(collect(tmp_path, "image", files))
    assert kinds_by_row(checked) == {3: {"truncated"}, 4: {"truncated"}, 5: {"unreadable"}}
    assert "GIF" in next(f.detail for f in checked.findings if f.row == 5)


def test_paths_that_lead_out_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "x.png").write_bytes(png(GOOD))
    (tmp_path / "a" / "x.png").write_bytes(png(GOOD))
    cells = ["x.png", "../x.png", str(tmp_path / "a" / "x.png"), "/dev/zero", "b/../x.png"]
    (tmp_path / "a" / "m.jsonl").write_text("".join(json.dumps({"image": cell}) + "\n" for cell in cells))
    checked = check(open_collection(tmp_path / "a" / "m.jsonl", {"image": "image"}))
    assert kinds_by_row(checked) == {2: {"outside"}, 4: {"outside"}}


def test_every_caption_of_a_list_is_read(tmp_path: Path) -> None:
    rows = [{"text": ["a dog runs", "a cat sits here"]}, {"text": ["fine", "..."]}, {"text": []}, {"text": None}]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    checked = check(open_collection(tmp_path / "m.jsonl"))
    assert [(f.row, f.kind, f.detail) for f in checked.findings] == [
        (2, "empty_text", "text 2: no letter or digit in '...'")
    ]
    assert checked.facts[0]["text"][0] == {"characters": 12.5, "words": 3.5}


def test_a_required_column_must_exist(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"text": "a", "label": "x"}\n')
    with pytest.raises(DataError, match="no column 'lable'; did you mean 'label'"):
        check(open_collection(tmp_path / "m.jsonl"), Limits(required=("lable",)))


class Samples:
    """A data set whose third sample is damaged."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index == 2:
            raise DataError("s2: not JSON")
        return {"id": f"s{index}", "image": png(GOOD) if index else b"", "label": "x"}


def test_a_sample_that_cannot_be_read_is_a_finding() -> None:
    checked = check(from_dataset("val", Samples(), {"image": "image", "label": "label"}))
    assert [(f.kind, f.row, f.detail) for f in checked.findings] == [
        ("zero_size", 1, "0 bytes"),
        ("unreadable", 3, "s2: not JSON"),
    ]


def test_few_values_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "BLOCK_BYTES", 10)
    held = [len(block) for block in work.blocks([b"x" * 6] * 5, lambda value: value)]
    assert held == [2, 2, 1]


def test_impossible_limits_are_refused() -> None:
    for wrong in (
        {"min_seconds": 9.0, "max_seconds": 1.0},
        {"languages": ("english",)},
        {"imbalance": 0.5},
        {"silence_db": math.nan},
        {"imbalance": math.nan},
    ):
        with pytest.raises(ConfigError):
            Limits(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_broken_bytes_never_raise(kind: str) -> None:
    from ppmm.data.curate.check import measure_cells
    from ppmm.data.curate.fingerprints import fingerprint_cells

    rng = np.random.default_rng(0)
    originals = [png(GOOD), jpeg(GOOD)] if kind == "image" else [wav(TONE), wav(TONE, format="FLAC")]
    cells = []
    for i in range(200):
        content = bytearray(originals[i % 2])
        for place in rng.integers(0, len(content), int(rng.integers(1, 20))):
            content[place] = rng.integers(0, 256)
        cells.append(Cell(kind, bytes(content[: int(rng.integers(1, len(content) + 1))])))
    results = measure_cells([Cell(kind, (cell.value, Limits())) for cell in cells])
    assert len(results) == len(fingerprint_cells(cells)) == 200
    assert sum(bool(result["problems"]) for result in results) > 100
