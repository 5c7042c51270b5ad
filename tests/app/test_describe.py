"""tools/data.py describe on a small manifest with pictures, recordings and texts, some of them missing or damaged."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile

from ppmm.app.describe import describe
from ppmm.errors import DataError

ROOT = Path(__file__).parents[2]
YAML = """
name: described
data:
  train: {{name: manifest, path: {root}/train.jsonl}}
  val: {{name: manifest, path: {root}/val.jsonl}}
fields:
  image: {{name: image, size: [8, 8]}}
  audio: {{name: log_mel, sample_rate: 8000}}
  text: {{name: text, tokenizer: {{name: word}}}}
targets: {{label: {{name: label}}}}
model:
  name: late_fusion
  encoders:
    image: {{name: cnn, channels: [4]}}
    audio: {{name: audio_cnn, dim: 8}}
    text: {{name: embedding_bag, dim: 8}}
  fusion: {{name: concat, dim: 8}}
  head: {{name: linear}}
objective: {{name: cross_entropy, target: label}}
metrics: [{{name: accuracy, target: label}}]
optimizer: {{name: adamw, learning_rate: 1e-3}}
schedule: {{name: warmup_cosine}}
trainer: {{epochs: 1}}
"""


@pytest.fixture
def config(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((10, 20, 3), 90, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((30, 40, 3), 90, np.uint8))
    (tmp_path / "broken.png").write_bytes(b"no picture")
    soundfile.write(tmp_path / "a.wav", np.sin(np.arange(4000) * 0.1), 8000)
    rows = [
        {"image": "a.png", "audio": "a.wav", "text": "grün <b>", "label": "x", "group": "g1"},
        {"image": "b.png", "text": "four", "label": "y", "group": "g1"},
        {"image": "broken.png", "label": "x", "group": "g2"},
        {"text": "a", "label": "x"},
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    path = tmp_path / "c.yaml"
    path.write_text(YAML.format(root=tmp_path))
    return path


def test_figures_are_those_of_the_rows(config, tmp_path, capsys):
    found = describe(str(config), out=tmp_path / "d" / "figures.json")
    train = found["splits"]["train"]
    assert train["rows"] == 4 and train["groups"] == 2
    assert {name: (field["present"], field["missing"]) for name, field in train["fields"].items()} == {
        "image": (3, 1), "audio": (1, 3), "text": (3, 1),
    }  # fmt: skip
    assert train["fields"]["image"]["sizes"] == {"width": [20, 30, 40], "height": [10, 20, 30]}
    assert train["fields"]["audio"]["sizes"] == {"seconds": [0.5, 0.5, 0.5], "hertz": [8000, 8000, 8000]}
    assert train["fields"]["text"]["sizes"] == {"characters": [1, 4, 8]}
    assert train["targets"]["label"] == {"missing": 0, "classes": 2, "counts": {"x": 3, "y": 1}}
    assert len(train["problems"]) == 1 and "broken.png" in train["problems"][0]
    assert "val.jsonl" in found["splits"]["val"]["problem"]
    assert json.loads((tmp_path / "d" / "figures.json").read_text()) == {**found, "sheet": "figures.html"}
    printed = capsys.readouterr().out
    assert "train: 4 rows in 2 groups" in printed and "2 classes: x 3, y 1" in printed
    assert "val: cannot be opened" in printed


def test_the_sheet_is_one_page_with_pictures_waveforms_and_texts(config, tmp_path):
    describe(str(config), out=tmp_path / "figures.json")
    page = (tmp_path / "figures.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and page.count("<audio") == 1 and page.count("<path") == 1
    assert "data:image/png;base64," in page and "grün &lt;b&gt;" in page and "train.jsonl:3" in page
    assert "cannot be shown" in page and 'src="http' not in page and "<script" not in page


def test_no_split_at_all_is_an_error(config, tmp_path):
    (tmp_path / "train.jsonl").unlink()
    with pytest.raises(DataError, match=r"train: '.*train.jsonl' does not exist"):
        describe(str(config))


def test_the_command(config, tmp_path):
    command = [sys.executable, "tools/data.py", "describe", "-c", str(config), "--json", str(tmp_path / "f.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "f.html").is_file() and "sheet:" in done.stdout
