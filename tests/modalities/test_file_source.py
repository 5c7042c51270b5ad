"""Files that must be refused before a decoder sees them."""

import os

import pytest

from ppmm.errors import DataError
from ppmm.modalities.file_source import check_file, read_file


def test_reads_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert read_file(tmp_path / "a", "image", 3) == b"abc"
    assert check_file(str(tmp_path / "a"), "image") == tmp_path / "a"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", "does not exist"),
        (".", "is a directory"),
        ("empty", "0 bytes"),
        ("large", r"has 4 bytes; at most 3 \(max_bytes\)"),
        ("pipe", "device or pipe"),
        ("a" * 5000, "cannot be opened"),
        ("nul\0byte", "cannot be opened"),
    ],
)
def test_refuses(tmp_path, name, message):
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_bytes(b"abcd")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match=message) as caught:
        read_file(f"{tmp_path}/{name}", "image", 3)
    assert name in str(caught.value)
