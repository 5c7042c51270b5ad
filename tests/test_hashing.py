"""Hashes of files and sealed texts."""

import hashlib

import pytest
import yaml

from ppmm.hashing import file_sha256, seal, unseal

TEXTS = ["", "\n", "a: 1\n", "a: 1", "größe: 中文\n", "sha256: abc\n", "a: 'sha256: x'\nb: 2\n", "a: 1\n\n\n"]


@pytest.mark.parametrize(
    ("content", "digest"),
    [
        (b"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (b"a" * 1_000_000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
    ],
)
def test_published_examples(tmp_path, content, digest):
    """FIPS 180-4, and NIST's million letters a."""
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == digest


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_blocks(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"\n" * (size % 256)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("text", TEXTS)
def test_there_and_back(text):
    sealed = seal(text)
    body = text if text.endswith("\n") else f"{text}\n"
    assert unseal(sealed) == body and sealed.startswith(body) and sealed.count("\n") == body.count("\n") + 1
    assert sealed.splitlines()[-1] == f"sha256: {hashlib.sha256(body.encode()).hexdigest()}"


def test_sealing_twice_unseals_one_layer():
    assert unseal(seal(seal("a: 1\n"))) == seal("a: 1\n")


def test_the_seal_is_part_of_the_yaml():
    document = yaml.safe_load(seal("a: 1\nb: [x]\n"))
    assert document["a"] == 1 and document["b"] == ["x"] and len(document["sha256"]) == 64


@pytest.mark.parametrize("text", TEXTS[2:])
def test_any_change_breaks_it(text):
    sealed = seal(text)
    for place in range(len(sealed)):
        assert unseal(sealed[:place] + sealed[place + 1 :]) is None, f"without character {place}"
        other = "X" if sealed[place] != "X" else "Y"
        assert unseal(sealed[:place] + other + sealed[place + 1 :]) is None, f"with another character {place}"
        assert unseal(sealed[:place]) is None, f"cut at {place}"


@pytest.mark.parametrize("text", ["", "a: 1\n", "sha256: \n", "sha256: 00\n", "a\nsha256: " + "0" * 64 + "\n"])
def test_unsealed_texts(text):
    assert unseal(text) is None


@pytest.mark.parametrize("addition", ["\n", " ", "b: 2\n", "sha256: 00\n"])
def test_what_comes_after_the_seal(addition):
    assert unseal(seal("a: 1\n") + addition) is None


def test_through_a_file(tmp_path):
    text = "a: größer\nb: 中文\n"
    (tmp_path / "x.yaml").write_text(seal(text), encoding="utf-8")
    assert unseal((tmp_path / "x.yaml").read_text(encoding="utf-8")) == text
