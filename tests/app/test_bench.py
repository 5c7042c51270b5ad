"""The benchmarks run and report what they promise; how fast this machine is proves nothing here."""

import json

import pytest

from ppmm.app.bench_bare import BareLoops, Timing, timed
from ppmm.app.bench_data import _compared, bench_data
from ppmm.app.bench_manifest import bench_manifest


def test_manifest(tmp_path, capsys):
    document = bench_manifest(20_000, tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == document
    assert set(document["formats"]) == {"jsonl", "csv", "parquet"}
    for suffix, found in document["formats"].items():
        for opening in (found["first"], found["later"]):
            assert opening["rows"] == 20_000 and opening["seconds"] > 0 and 10 < opening["resident_mb"] < 1000
            assert opening["last"] == f"rows.{suffix}:{20_001 if suffix == 'csv' else 20_000}"
    assert capsys.readouterr().out.count("within") == 3


def test_data(tmp_path, capsys):
    document = bench_data(40, 40, 1, tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == document
    for name in ("image", "wav", "flac"):
        found = document[name]
        assert found["ratio"] > 0 and found["loader"]["clock"] > 0 and found["bare"]["cpu"] > 0
        assert len(found["resident_mb"]) == 3 and all(size > 30 for size in found["resident_mb"])
    assert set(document["image"]["others"]) == {"Pillow"} and not document["wav"]["others"]
    assert capsys.readouterr().out.count("per core: bare") == 3


def test_each_epoch_is_compared_with_the_bare_loops_before_and_after_it():
    bare = [Timing(100, 50), Timing(300, 50), Timing(100, 50), Timing(200, 150)]
    found = _compared(bare, [Timing(100, 25), Timing(300, 50), Timing(150, 80)])
    assert found["ratio"] == 1.0  # 100/200, 300/200, 150/150
    assert found["cpu_ratio"] == 0.8  # 25/50, 50/50, 80/100
    assert found["bare"] == {"clock": 200, "cpu": 50} and found["loader"] == {"clock": 150, "cpu": 50}


def test_bare_loops_decode_every_file_with_each_decoder():
    files = [bytes([number]) for number in range(5)]
    with BareLoops({"once": len, "again": bytes.hex}, files, 2) as bare:
        found = bare.run()
        assert len(bare.pids) == 2
    assert set(found) == {"once", "again"} and all(timing.clock > 0 for timing in found.values())
    assert timed(lambda: 10, 2, iter([1.0, 3.0]).__next__).cpu == 5.0


def test_train(tmp_path, capsys, monkeypatch):
    """The trainer and the bare loop end with the same weights, else it raises; FLOPs are those of the model."""
    from ppmm.app import bench_models, bench_train

    def build():
        return bench_models._classifier("image", bench_models.CNN(3, [4]), 10)

    case = bench_models.Case("tiny", build, bench_models._images(8), rows=4, quick_rows=2, steps=2, rounds=3)
    monkeypatch.setattr(bench_train, "CASES", (case,))
    document = bench_train.bench_train(tmp_path / "f.json")
    assert json.loads((tmp_path / "f.json").read_text()) == document
    found = document["models"]["tiny"]
    # 3x3 convolution of 3 to 4 channels on 8x8, 4 and has_image -> 256 -> 10; 2 per multiply-add, times 3
    assert found["flops"] == 6 * 4 * (8 * 8 * 4 * 27 + 5 * 256 + 256 * 10)
    assert found["samples_per_second"] * found["seconds_per_step"] == pytest.approx(4)
    assert found["peak_gflops"] > 0.1
    assert len(found["ratios"]) == len(found["cpu_ratios"]) == 3 and document["ratio"] == found["ratio"] > 0
    assert "tiny" in capsys.readouterr().out
    assert bench_train.bench_train(quick=True)["models"]["tiny"]["rows"] == 2


def test_the_standard_models_are_of_their_published_size():
    from ppmm.app.bench_models import CASES

    cases = {case.name: case for case in CASES}
    image, text = cases["ResNet-50"], cases["BiLSTM"]
    # 25.557 M (He et al. 2016), without its classifier of 2048 x 1000 + 1000, and with ours; two statistics a channel
    size = sum(int(one.size) for one in image.build()[0].parameters() if not one.stop_gradient)
    ours = (2048 * 2) + (2048 * 256 + 256) + (256 * 1000 + 1000)
    assert abs(size - (25_557_032 - 2_049_000 + ours)) < 10_000
    assert set(text.batch(2, 0)) == {"text", "text_mask", "has_text", "label", "index"}
