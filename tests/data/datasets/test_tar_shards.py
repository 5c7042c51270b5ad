"""Shards: samples by row from tars written by anybody, order and shares through the loader, hostile tars refused."""

import datetime
import io
import json
import os
import random
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ppmm.data.datasets.tar_shards import TarShards
from ppmm.data.loader import Loader
from ppmm.data.prepared import Prepared
from ppmm.data.samplers.shuffle_buffer import ShuffleBuffer
from ppmm.data.shard import write_shards
from ppmm.errors import ConfigError, DataError
from ppmm.modalities.numeric import NumericField

PNG = b"\x89PNG data"


def pack(path, files, **header):
    with tarfile.open(path, "w") as packed:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            for key, value in header.items():
                setattr(entry, key, value)
            packed.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path):
    """Three shards of 4, 1 and 3 samples, as WebDataset's writer and `tar` make them."""
    number = 0
    for shard, count in enumerate((4, 1, 3)):
        files = []
        for _ in range(count):
            key = f"./part/{number:04d}"
            document = {"sensor": [number, 2 * number], "note": None if number % 2 else "even"}
            files += [(f"{key}.JPG", b"\xff\xd8\xff%d" % number), (f"{key}.cls", b"%d\n" % (number % 3))]
            files.append((f"{key}.json", json.dumps(document).encode()))
            number += 1
        pack(tmp_path / f"t-{shard}.tar", [("__readme", b"hidden: no suffix"), *files])
    return str(tmp_path / "t-*.tar")


def test_samples(shards):
    data = TarShards(shards)
    assert len(data) == 8 and data.group_starts().tolist() == [0, 4, 5]
    assert data[0] == {
        "id": "t-0.tar:part/0000", "image": b"\xff\xd8\xff0", "label": "0", "sensor": [0, 0], "note": "even",
    }  # fmt: skip
    assert data[4]["id"] == "t-1.tar:part/0004" and data[7] == data[-1]
    assert data[7] == {"id": "t-2.tar:part/0007", "image": b"\xff\xd8\xff7", "label": "1", "sensor": [7, 14]}
    with pytest.raises(IndexError):
        data[8]
    assert len(TarShards(shards, limit=5)) == 5 and TarShards(shards, limit=4).group_starts().tolist() == [0]


def test_columns(shards):
    data = TarShards(shards, {"photo": "png;jpg", "x": "json:sensor", "y": "cls", "sound": "wav", "n": "json:note"})
    assert data[2] == {"id": "t-0.tar:part/0002", "photo": b"\xff\xd8\xff2", "x": [2, 4], "y": "2", "n": "even"}
    assert set(data[3]) == {"id", "photo", "x", "y"}
    assert data.lengths("photo").tolist() == [4] * 8 and data.lengths("sound").tolist() == [0] * 8
    for wrong in ("", "jpg:x", "json:"):
        with pytest.raises(ConfigError, match="must be a suffix"):
            TarShards(shards, {"photo": wrong})


def test_the_index_is_kept_and_follows_the_shard(shards, tmp_path, monkeypatch):
    TarShards(shards)
    assert len(list((tmp_path / ".ppmm_cache").iterdir())) == 3
    with monkeypatch.context() as patch:
        patch.setattr("ppmm.data.tar_index.shard_entries", None)
        data = TarShards(shards)
    pack(tmp_path / "t-1.tar", [("a.txt", b"new"), ("b.txt", b"newer")])
    with pytest.raises(DataError, match=r"t-1\.tar' has changed since it was opened"):
        data[4]
    assert TarShards(shards)[5] == {"id": "t-1.tar:b", "text": "newer"}


def prepared(shards):
    return Prepared(TarShards(shards, {"sensor": "json:sensor"}), {"sensor": NumericField(2)}, {})


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("world", [1, 2])
def test_nothing_is_lost_or_doubled_among_workers_and_processes(shards, workers, world):
    for epoch in range(2):
        rows = []
        for rank in range(world):
            options = {"sampler": ShuffleBuffer(3), "rank": rank, "world": world}
            batches = [
                batch["sensor"].numpy()
                for batch in Loader(prepared(shards), 2 * world, workers, **options).epoch(epoch)
            ]
            assert [len(batch) for batch in batches] == [2] * (4 // world)
            resumed = Loader(prepared(shards), 2 * world, workers, **options).epoch(epoch, 1)
            for one, other in zip(batches[1:], resumed, strict=True):
                assert np.array_equal(one, other["sensor"].numpy())
            rows += np.concatenate(batches)[:, 0].tolist()
        assert sorted(rows) == list(range(8))


def rows_to_write(folder):
    (folder / "a.png").write_bytes(PNG)
    (folder / "b.flac").write_bytes(b"fLaC data")
    for number in range(5):
        row = {"id": f"m:{number}", "image": folder / "a.png", "left": folder / "a.png", "audio": folder / "b.flac"}
        yield {**row, "raw": b"\xff\xd8\xff raw", "text": "\u56fe", "label": number, "sensor": [0.5, number]}


def test_written_and_read_back(tmp_path):
    rows = list(rows_to_write(tmp_path))
    assert write_shards(rows, tmp_path / "out", name="train", samples=2) == 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [f"train-00000{i}.tar" for i in range(3)]
    data = TarShards(str(tmp_path / "out" / "*.tar"))
    for number, (row, found) in enumerate(zip(rows, data, strict=True)):
        contents = {name: value.read_bytes() if isinstance(value, Path) else value for name, value in row.items()}
        key = f"train-00000{number // 2}.tar:{number:09d}"
        assert found == {**contents, "id": key, "source": row["id"]}
    with tarfile.open(tmp_path / "out" / "train-000000.tar") as packed:
        names = [name.partition(".")[2] for name in packed.getnames()[:5]]
    assert names == ["png", "left.png", "flac", "raw.jpg", "json"]
    assert write_shards(rows, tmp_path / "bytes", max_bytes=1) == 5


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(3), "m:1 image: arrays cannot go into a shard"),
        (b"what is this", "m:1 image: a file of kind 'unknown'"),
        (Path("none.png"), "m:1 image: file 'none.png' does not exist"),
    ],
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, value, message):
    rows = [{"id": "m:0", "text": "a"}, {"id": "m:1", "image": value}]
    with pytest.raises(DataError, match=message):
        write_shards(rows, tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "x/../../a.txt", "C:/a.txt", "a\\b.txt"])
def test_names_that_lead_out(tmp_path, name):
    pack(tmp_path / "t.tar", [(name, b"x")])
    with pytest.raises(DataError, match=r"t\.tar': entry .* outside of the folder"):
        TarShards(str(tmp_path / "t.tar"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices(tmp_path, kind):
    pack(tmp_path / "t.tar", [("a.txt", b"")], type=kind, linkname="/etc/passwd")
    with pytest.raises(DataError, match="is a link, a device or sparse"):
        TarShards(str(tmp_path / "t.tar"))


def test_bombs(tmp_path):
    entry = tarfile.TarInfo("a.jpg")
    entry.size = 10**12
    (tmp_path / "size.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="1,000,000,000,000 bytes; at most"):
        TarShards(str(tmp_path / "size.tar"))
    with pytest.raises(DataError, match=r"is truncated in entry 'a\.jpg'"):
        TarShards(str(tmp_path / "size.tar"), max_bytes=10**13)
    entry = tarfile.TarInfo("b.jpg")
    entry.pax_headers = {"GNU.sparse.size": "99999999999", "GNU.sparse.map": "0,1", "GNU.sparse.name": "b.jpg"}
    with tarfile.open(tmp_path / "sparse.tar", "w", format=tarfile.PAX_FORMAT) as packed:
        packed.addfile(entry)
    with pytest.raises(DataError, match=r"sparse|damaged|at most"):
        TarShards(str(tmp_path / "sparse.tar"))
    entry = tarfile.TarInfo("x")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    (tmp_path / "name.tar").write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="impossible size"):
        TarShards(str(tmp_path / "name.tar"))
    header = tarfile.TarInfo("p")
    header.type, header.size = tarfile.XHDTYPE, 0
    (tmp_path / "chain.tar").write_bytes(header.tobuf(tarfile.USTAR_FORMAT) * 5000)
    with pytest.raises(DataError):
        TarShards(str(tmp_path / "chain.tar"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("a.txt", b"1"), ("a.txt", b"2")], r"holds 'a\.txt' twice"),
        ([("a.txt", b"1"), ("b.txt", b"2"), ("a.cls", b"3")], "files of sample 'a' do not stand together"),
        ([("README", b"1")], "holds no samples"),
    ],
)
def test_other_layouts(tmp_path, files, message):
    pack(tmp_path / "t.tar", files)
    with pytest.raises(DataError, match=message):
        TarShards(str(tmp_path / "t.tar"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", b"[1]", r"t\.tar:a\.json: expected one object"),
        ("a.json", b"{", r"t\.tar:a\.json: not JSON"),
        ("a.txt", b"\xff\xfe\xfd", r"t\.tar:a\.txt: not UTF-8"),
    ],
)
def test_damaged_samples(tmp_path, name, content, message):
    pack(tmp_path / "t.tar", [(name, content)])
    data = TarShards(str(tmp_path / "t.tar"))
    with pytest.raises(DataError, match=message):
        data[0]


def test_no_shards_and_compressed_ones(tmp_path):
    with pytest.raises(DataError, match=r"no shards: looked for '.*t-\*\.tar'"):
        TarShards(str(tmp_path / "t-*.tar"))
    with tarfile.open(tmp_path / "t.tar", "w:gz") as packed:
        packed.addfile(tarfile.TarInfo("a.txt"))
    with pytest.raises(DataError, match=r"not a plain \.tar"):
        TarShards(str(tmp_path / "t.tar"))


def test_damage_anywhere_is_an_error_or_a_good_sample(tmp_path):
    """Any byte, any cut: a DataError, or samples whose bytes are within the file."""
    path = pack(tmp_path / "t.tar", [(f"{i}.{kind}", b"%d" % i * 50) for i in range(6) for kind in ("jpg", "cls")])
    good, rng = path.read_bytes(), random.Random(0)
    for _ in range(300):
        bad = bytearray(good[: rng.randrange(len(good))] if rng.random() < 0.3 else good)
        for _ in range(rng.randrange(1, 4)):
            if bad:
                bad[rng.randrange(len(bad))] = rng.randrange(256)
        path.write_bytes(bad)
        try:
            data = TarShards(str(path), cache=str(tmp_path / "cache"))
            assert all(len(sample["image"]) == 50 for sample in data if "image" in sample)
        except DataError:
            pass
        finally:
            for file in (tmp_path / "cache").glob("*"):
                os.unlink(file)


def test_the_json_of_a_shard_may_not_name_files_of_this_machine(tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    content = json.dumps({"image": str(secret), "text": "hi"}).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as packed:
        header = tarfile.TarInfo("0.json")
        header.size = len(content)
        packed.addfile(header, io.BytesIO(content))
    for settings in ({}, {"columns": {"image": "json:image"}}, {"file_fields": ["image", "photo"]}):
        with pytest.raises(DataError, match=r"0\.json: 'image' must be a file in the shard"):
            TarShards(str(tmp_path / "a.tar"), **settings)[0]
    assert TarShards(str(tmp_path / "a.tar"), columns={"text": "json:text"})[0]["text"] == "hi"


def test_names_of_fields_that_would_come_back_as_others(tmp_path):
    picture = tmp_path / "a.png"
    picture.write_bytes(b"x")
    with pytest.raises(DataError, match="small letters"):
        write_shards([{"id": "1", "imageLeft": picture}], tmp_path / "out")


def test_values_that_json_cannot_hold(tmp_path):
    with pytest.raises(DataError, match="1: a value cannot go into a shard"):
        write_shards([{"id": "1", "when": datetime.date(2024, 1, 1)}], tmp_path / "out")
