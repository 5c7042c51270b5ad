"""The benchmarks run and report what they promise; how fast this machine is proves nothing here."""

import json

from ppmm.app.bench_data import bench_data
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
        assert found["ratio"] == found["loader"]["clock"] / found["bare"]["clock"] > 0
        assert len(found["resident_mb"]) == 3 and all(size > 30 for size in found["resident_mb"])
    assert capsys.readouterr().out.count("per core: bare") == 3
