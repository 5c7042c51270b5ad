"""Archives: what is unpacked, and what is refused with nothing left behind."""

import gzip
import io
import tarfile
import zipfile

import pytest

from ppmm.data import unpack as unpack_module
from ppmm.data.unpack import unpack
from ppmm.errors import DataError


def tar(path, entries, mode="w:gz"):
    with tarfile.open(path, mode) as out:
        for entry, content in entries:
            info = entry if isinstance(entry, tarfile.TarInfo) else tarfile.TarInfo(entry)
            info.size = len(content or b"")
            if content is None and info.type == tarfile.REGTYPE:
                info.type = tarfile.DIRTYPE
            out.addfile(info, io.BytesIO(content or b""))
    return path


def zipped(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for entry, content in entries:
            out.writestr(entry, content)
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


FILES = [("top/a.txt", b"A" * 300_000), ("top/deep/b.bin", b"\0\1"), ("top/empty", b"")]


@pytest.mark.parametrize("kind", ["x.tar.gz", "x.tgz", "x.tar", "X.ZIP"])
def test_unpacks_and_strips_a_single_top_folder(tmp_path, kind):
    path = tmp_path / kind
    if kind == "X.ZIP":
        zipped(path, [("top/", b""), *FILES])
    else:
        tar(path, [("top", None), *FILES], "w" if kind.endswith(".tar") else "w:gz")
    assert unpack(path, tmp_path / "out") == 3
    assert tree(tmp_path / "out") == {name.removeprefix("top/"): content for name, content in FILES}
    assert unpack(path, tmp_path / "kept", strip_top=False) == 3
    assert tree(tmp_path / "kept") == dict(FILES)


def test_a_top_folder_may_hold_one_of_its_own_name(tmp_path):
    path = tar(tmp_path / "x.tar.gz", [("top/top/a", b"1"), ("top/out/b", b"2")])
    unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {"top/a": b"1", "out/b": b"2"}
    assert {entry.name for entry in tmp_path.iterdir()} == {"x.tar.gz", "out"}


def test_two_top_entries_stay(tmp_path):
    path = tar(tmp_path / "x.tar.gz", [("train/a", b"1"), ("train.csv", b"2")])
    unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {"train/a": b"1", "train.csv": b"2"}


HOSTILE_TAR = [
    ([("../a", b"x")], "outside"),
    ([("a/../../b", b"x")], "outside"),
    ([("/etc/a", b"x")], "outside"),
    ([("C:\\a", b"x")], "outside"),
    ([(special("link", tarfile.SYMTYPE, "/etc/passwd"), None)], "link or device"),
    ([("a", b"x"), (special("link", tarfile.LNKTYPE, "a"), None)], "link or device"),
    ([(special("pipe", tarfile.FIFOTYPE), None)], "link or device"),
    ([(special("disk", tarfile.BLKTYPE), None)], "link or device"),
    ([("a", b"x"), ("a", b"y")], "twice"),
    ([("a", b"x"), ("a/b", b"y")], "cannot be unpacked"),
    ([], "no file"),
    ([("big", b"\0" * 2_000_000)], r"more than 1,000,000 bytes \(max_bytes\)"),
    ([(f"f{i}", b"") for i in range(11)], r"more than 10 entries \(max_files\)"),
]


@pytest.mark.parametrize(("entries", "message"), HOSTILE_TAR)
def test_hostile_tars_are_refused(tmp_path, entries, message):
    path = tar(tmp_path / "x.tar.gz", entries)
    with pytest.raises(DataError, match=message) as caught:
        unpack(path, tmp_path / "in" / "out", max_bytes=1_000_000, max_files=10)
    assert "x.tar.gz" in str(caught.value)
    assert not (tmp_path / "in" / "out").exists() and not any((tmp_path / "in").iterdir())


def zip_link():
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    return info


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("../a", b"x")], "outside"),
        ([("/a", b"x")], "outside"),
        ([(zip_link(), b"/etc/passwd")], "link or device"),
        ([("big", b"\0" * 2_000_000)], "max_bytes"),
        ([(f"f{i}", b"") for i in range(11)], "max_files"),
    ],
)
def test_hostile_zips_are_refused(tmp_path, entries, message):
    path = zipped(tmp_path / "x.zip", entries)
    with pytest.raises(DataError, match=message):
        unpack(path, tmp_path / "out", max_bytes=1_000_000, max_files=10)
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.zip"]


def test_a_tar_header_that_announces_a_huge_name_is_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 10**9
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(info.tobuf() + b"\0" * 10_000_000))
    with pytest.raises(DataError, match="impossible size"):
        unpack(tmp_path / "x.tar.gz", tmp_path / "out")


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip", "x.tar"])
@pytest.mark.parametrize("damage", ["cut", "junk", "empty"])
def test_damaged_archives(tmp_path, name, damage):
    path = tmp_path / name
    whole = zipped(path, FILES) if name == "x.zip" else tar(path, FILES, "w" if name == "x.tar" else "w:gz")
    data = whole.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "junk": b"junk" * 200, "empty": b""}[damage])
    with pytest.raises(DataError, match=name):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_archive(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        unpack(tmp_path / "none.zip", tmp_path / "out")
    (tmp_path / "a.rar").write_bytes(b"x")
    with pytest.raises(DataError, match=r"unknown type; give \.tar\.gz"):
        unpack(tmp_path / "a.rar", tmp_path / "out")


def test_out_in_the_way(tmp_path):
    path = tar(tmp_path / "x.tar.gz", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(DataError, match="exists already"):
        unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {"mine": b""}


@pytest.mark.parametrize("kind", ["bomb.zip", "bomb.tar.gz"])
def test_bombs_end_long_before_the_disk_is_full(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(unpack_module, "SMALL", 1 << 20)
    content = bytes(4 << 20)
    archive = tmp_path / kind
    if kind.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("a", content)
    else:
        with tarfile.open(archive, "w:gz") as packed:
            header = tarfile.TarInfo("a")
            header.size = len(content)
            packed.addfile(header, io.BytesIO(content))
    assert archive.stat().st_size < 8000
    with pytest.raises(DataError, match="unpacks to more than"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists() and len(list(tmp_path.iterdir())) == 1
