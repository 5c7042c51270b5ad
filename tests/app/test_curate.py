"""tools/data.py check | dedup | clean | split | stats | annotate on a small manifest, by their exit codes and files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from ppmm.data.table import read_table

ROOT = Path(__file__).parent.parent.parent


def tool(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "data.py"), *map(str, arguments)],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


@pytest.fixture
def faults(tmp_path: Path) -> Path:
    """40 rows; row (line) 5 has an empty image, 6 none at all, 9 and 10 the same recording, 12 a misspelt label."""
    rng = np.random.default_rng(0)
    lines = ["photo,sound,remark,fault,machine"]
    words = ["pump", "belt", "gear", "valve", "shaft", "bolt", "fan", "pipe"]
    for i in range(40):
        cv2.imwrite(str(tmp_path / f"{i}.png"), cv2.resize(rng.integers(0, 256, (6, 6), dtype=np.uint8), (48, 48)))
        wave = np.concatenate([np.sin(np.arange(900) * f) for f in rng.uniform(0.1, 2.5, 8)]) * 0.4
        soundfile.write(tmp_path / f"{i}.wav", wave, 8000)
        remark = " ".join(words[j] for j in rng.permutation(8)[:6])
        lines.append(f"{i}.png,{i}.wav,{remark} {i},{'bearing' if i % 2 else 'gasket'},m{i // 4}")
    (tmp_path / "3.png").write_bytes(b"")
    lines[5] = lines[5].replace("4.png", "")
    (tmp_path / "8.wav").write_bytes((tmp_path / "7.wav").read_bytes())
    lines[11] = lines[11].replace("gasket", "gaskte")
    manifest = tmp_path / "faults.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


COLUMNS = ("--image", "photo", "--audio", "sound", "--text", "remark", "--label", "fault", "--group", "machine")


def test_check_says_what_and_where(faults: Path) -> None:
    folder = faults.parent
    done = tool("check", faults, *COLUMNS, "--json", "c.json", cwd=folder)
    assert done.returncode == 1, done.stderr
    document = json.loads((folder / "c.json").read_text())
    assert document["rows"] == {"faults": 40}
    found = {(f["kind"], f["row"], f["column"]) for f in document["findings"]}
    assert found == {("zero_size", 5, "photo"), ("label_typo", 12, "fault")}
    assert "zero_size: 1" in done.stdout and "check: " in done.stderr
    assert tool("check", faults, "--text", "remark", "--imbalance", "50", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check"], "give one or more manifests, or -c CONFIG"),
        (["check", "gone.csv"], "does not exist"),
        (["check", "faults.csv", "--image", "foto"], "did you mean 'photo'?"),
        (["check", "faults.csv", "--text", "photo", "--image", "photo"], "two kinds"),
        (["check", "faults.csv", "--language", "english"], "two-letter"),
        (["dedup", "faults.csv", "--columns", "fault"], "no image, recording or text"),
        (["clean", "faults.csv", "--also", "clip"], "clipping"),
        (["split", "faults.csv", "--parts", "a=x"], "must be a number"),
        (["annotate", "rank", "faults.csv", "--target", "fault", "--out", "x.jsonl"], "rank needs rows without"),
    ],
)
def test_a_mistake_ends_with_two(faults: Path, arguments: list[str], message: str) -> None:
    done = tool(*arguments, cwd=faults.parent)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_dedup_and_clean(faults: Path) -> None:
    folder = faults.parent
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    done = tool("dedup", faults, *COLUMNS, "--json", "d.json", cwd=folder)
    assert done.returncode == 1
    groups = json.loads((folder / "d.json").read_text())["groups"]
    assert [(g["kind"], g["exact"], [r["row"] for r in g["rows"]]) for g in groups] == [("audio", True, [9, 10])]
    done = tool("clean", faults, *COLUMNS, "--duplicates", "--also", "label_typo", cwd=folder)
    assert done.returncode == 0, done.stderr
    gone = [row.cells for row in read_table(folder / "faults.quarantine.jsonl")]
    assert [entry["row"] for entry in gone] == [5, 10, 12]
    assert gone[0]["reasons"] == ["zero_size: photo: 0 bytes"]
    assert gone[1]["reasons"] == ["duplicate: sound: equal to faults row 9"]
    kept = [row.cells for row in read_table(folder / "faults.clean.csv")]
    original = [row.cells for row in read_table(faults)]
    assert sorted([*kept, *(e["cells"] for e in gone)], key=str) == sorted(original, key=str)
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_split_keeps_machines_together(faults: Path) -> None:
    folder = faults.parent
    arguments = ("split", faults, *COLUMNS, "--parts", "train=0.5", "test=0.5", "--seed", "3")
    assert tool(*arguments, "--out", "one", cwd=folder).returncode == 0
    assert tool(*arguments, "--out", "two", cwd=folder).returncode == 0
    parts = {name: [r.cells for r in read_table(folder / f"one/faults.{name}.csv")] for name in ("train", "test")}
    machines = [{row["machine"] for row in rows} for rows in parts.values()]
    assert not machines[0] & machines[1] and len(parts["train"]) == len(parts["test"]) == 20
    for name in parts:
        assert (folder / f"one/faults.{name}.csv").read_bytes() == (folder / f"two/faults.{name}.csv").read_bytes()


def test_stats_is_one_page_with_pictures(faults: Path) -> None:
    folder = faults.parent
    done = tool("stats", faults, *COLUMNS, "--out", "s.html", cwd=folder)
    assert done.returncode == 0, done.stderr
    page = (folder / "s.html").read_text()
    assert "http://" not in page and "https://" not in page and "<script" not in page
    for text in ("photo: sizes", "sound: duration", "remark: words", "fault: classes", "Spectrograms", "zero_size"):
        assert text in page
    assert page.count("data:image/png;base64,") >= 12 and "data:audio/wav;base64," in page
    assert '<td>absent</td><td>present</td><td>present</td><td class="n">1</td>' in page


def test_annotate_there_and_back(faults: Path) -> None:
    folder = faults.parent
    arguments = ("--target", "fault", "--out")
    answers = [
        {"id": f"faults.csv:{line}", "fault": "gasket", "probabilities": {"gasket": 0.5 + line / 100, "bearing": 0.1}}
        for line in range(2, 42)
    ]
    (folder / "p.jsonl").write_text("\n".join(map(json.dumps, answers)))
    done = tool("annotate", "export", faults, *COLUMNS, "--predictions", "p.jsonl", *arguments, "t.json", cwd=folder)
    assert done.returncode == 0, done.stderr
    task = json.loads((folder / "t.json").read_text())[0]
    assert task["predictions"][0]["score"] == 0.52 and task["data"]["photo"].endswith("?d=0.png")
    assert '<Choice value="bearing"/>' in (folder / "t.xml").read_text()
    assert tool("annotate", "import", "t.json", *arguments, "back.csv", cwd=folder).returncode == 0
    assert (folder / "back.csv").read_bytes() == faults.read_bytes()


def test_rank_puts_the_uncertain_first(faults: Path) -> None:
    folder = faults.parent
    text = faults.read_text().replace("gasket", "")
    faults.write_text(text)
    answers = [
        {"id": f"faults.csv:{line}", "fault": "a", "probabilities": {"a": 0.5 + line / 100, "b": 0.5 - line / 100}}
        for line in range(2, 42)
    ]
    (folder / "p.jsonl").write_text("\n".join(map(json.dumps, answers)))
    options = ("--predictions", "p.jsonl", "--target", "fault", "--out", "r.jsonl", "--limit", "3")
    done = tool("annotate", "rank", faults, *COLUMNS, *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = [row.cells for row in read_table(folder / "r.jsonl")]
    assert [row["sound"] for row in rows] == ["0.wav", "2.wav", "4.wav"] and rows[0]["predicted"] == "a"


def test_a_config_names_rows_and_kinds(write_config: object, tmp_path: Path, digits: Path) -> None:
    path = write_config()  # type: ignore[operator]
    done = tool("check", "-c", path, "--split", "val", "test", "--imbalance", "1000", "--json", "c.json", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    assert json.loads((tmp_path / "c.json").read_text())["rows"] == {"val": 32, "test": 32}


def test_a_killed_check_goes_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(640):
        cv2.imwrite(str(tmp_path / f"{i}.png"), rng.integers(0, 256, (300, 300, 3), dtype=np.uint8))
    (tmp_path / "m.csv").write_text("image\n" + "".join(f"{i}.png\n" for i in range(640)))
    command = [sys.executable, str(ROOT / "tools" / "data.py"), "check", "m.csv", "--workers", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    work = tmp_path / "output" / "data"
    while process.poll() is None and not (work.exists() and sum(p.stat().st_size for p in work.iterdir()) > 1000):
        time.sleep(0.01)
    assert process.poll() is None, "the check was over before it could be killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    known = sum(len(json.loads(line)) for path in work.iterdir() for line in path.read_text().splitlines() if line)
    assert 0 < known < 640
    done = tool("check", "m.csv", "--workers", "1", cwd=tmp_path)
    assert done.returncode == 0
    assert f"of {(640 - known + 31) // 32}" in done.stderr  # only what was left
