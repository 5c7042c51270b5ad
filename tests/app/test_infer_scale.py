"""Inference in pieces gives the lines of inference in one go, in the order of the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ppmm.app.infer import infer_manifest
from ppmm.app.infer_scale import infer_pieces


class BackToFront:
    """An engine that finishes the last piece first."""

    def map(
        self, function: Callable[[Any], Any], pieces: Sequence[Any], lost: Callable[[Any], Any] | None = None
    ) -> Iterator[tuple[int, Any]]:
        for number in reversed(range(len(pieces))):
            yield number, function(pieces[number])


def test_pieces_make_the_same_file(trained: Any, tmp_path: Path) -> None:
    weights, manifest = str(trained.best), str(trained.data / "train.jsonl")
    infer_manifest(weights, manifest, None, str(tmp_path / "one.jsonl"))
    assert infer_pieces(BackToFront(), weights, manifest, None, str(tmp_path / "two.jsonl")) == 96
    assert (tmp_path / "two.jsonl").read_bytes() == (tmp_path / "one.jsonl").read_bytes()
