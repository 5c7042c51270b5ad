"""ImageNet, ILSVRC 2012 classification (Russakovsky et al. 2015): a folder of pictures per synset."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ppmm.data.layout import Layout
from ppmm.data.reader import Reader
from ppmm.data.splits import check_choice
from ppmm.data.table import read_table
from ppmm.data.text_file import read_text
from ppmm.errors import DataError
from ppmm.registry import DATASETS

__all__ = ["Imagenet"]

SYNSET = re.compile(r"n\d{8}")
SUFFIXES = (".jpeg", ".jpg", ".png")
KAGGLE = "ILSVRC/Data/CLS-LOC"
DEVKIT = "ILSVRC2012_devkit_t12/data"


@DATASETS.register("imagenet")
class Imagenet(Reader):
    """``train/<synset>/*.JPEG``; ``val/`` likewise, or flat as downloaded; ``test/`` flat and without labels.

    Also in the folders of the Kaggle challenge (``ILSVRC/Data/CLS-LOC/...``). Names of the classes and the classes of
    a flat ``val/`` come from the devkit (``ILSVRC2012_devkit_t12/data/meta.mat``,
    ``ILSVRC2012_validation_ground_truth.txt``) or from ``LOC_synset_mapping.txt`` and ``LOC_val_solution.csv``;
    without them a class is named by its synset. Keys: ``image``, ``label`` (the words of the synset; where two have
    the same, such as crane, the synset is added), ``synset``, ``id``.

    Args:
        root: folder that holds the split's folder.
        split: which part.
        synsets: only these classes; None for all.
        limit: take only the first so many pictures.

    Raises:
        ConfigError: an unknown split, ``limit`` below 1.
        DataError: files that are missing or damaged.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test"],
        synsets: list[str] | None = None,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, ("train", "val", "test"))
        layout = Layout("ImageNet", "ImageNet Large Scale Visual Recognition Challenge 2012 (ILSVRC2012)", root)
        folder = layout.folder(f"pictures of {split}", split, f"{KAGGLE}/{split}", f"ILSVRC2012_img_{split}")
        names, source = _names(layout)
        files, found_synsets = _files(layout, folder, split)
        if synsets is not None:
            keep = [row for row, synset in enumerate(found_synsets) if synset in synsets]
            files, found_synsets = [files[row] for row in keep], [found_synsets[row] for row in keep]
        labels = [None if synset is None else names.get(synset, synset) for synset in found_synsets]
        classes = len(set(found_synsets) - {None})
        found = f"ImageNet {split}: {len(files):,} pictures of {classes:,} synsets in '{folder}'; names from "
        found += f"'{source}'" if source is not None else "the folders: neither devkit nor LOC_synset_mapping.txt"
        ids = [Path(file).stem for file in files]
        columns: dict[str, list[Any]] = {"id": ids, "image": files, "label": labels, "synset": found_synsets}
        super().__init__(columns, found, {"image": folder}, limit)


def _names(layout: Layout) -> tuple[dict[str, str], Path | None]:
    """Synset -> its words, unique; and the file that says so. Raises DataError."""
    mapping = layout.find("LOC_synset_mapping.txt")
    if mapping is not None:
        words = {}
        for number, line in enumerate(read_text(mapping).splitlines(), 1):
            synset, _, name = line.strip().partition(" ")
            if SYNSET.fullmatch(synset) is None or not name.strip():
                raise DataError(f"{mapping}:{number}: expected '<synset> <words>', found {ascii(line)[:60]}")
            words[synset] = name.strip()
    else:
        mapping = layout.find(f"{DEVKIT}/meta.mat", "data/meta.mat", "meta.mat")
        words = {} if mapping is None else {synset: name for _, synset, name in _meta(mapping)}
    counts = Counter(words.values())
    return {key: f"{name} ({key})" if counts[name] > 1 else name for key, name in words.items()}, mapping


def _meta(path: Path) -> list[tuple[int, str, str]]:
    """(ILSVRC2012_ID, WNID, words) of the classes in the devkit's meta.mat. Raises DataError."""
    from scipy.io import loadmat

    try:
        synsets = np.atleast_1d(loadmat(path, squeeze_me=True, variable_names=["synsets"])["synsets"])
        rows = [
            (int(entry["ILSVRC2012_ID"]), str(entry["WNID"]), str(entry["words"]))
            for entry in synsets
            if int(entry["num_children"]) == 0
        ]
    except Exception as error:  # loadmat raises nearly any type on damaged bytes
        raise DataError(f"'{path}' is not the devkit's meta.mat: {type(error).__name__}: {error}") from error
    if not all(SYNSET.fullmatch(synset) for _, synset, _ in rows):
        raise DataError(f"'{path}' names classes that are no synsets")
    return rows


def _files(layout: Layout, folder: Path, split: str) -> tuple[list[str], list[str | None]]:
    """Pictures relative to ``folder``, by name, and the synset of each (None in the test split). Raises DataError."""
    with os.scandir(folder) as entries:
        children = sorted((entry.name, entry.is_dir()) for entry in entries)
    synsets = [name for name, is_folder in children if is_folder and SYNSET.fullmatch(name)]
    if synsets:
        files = [(f"{synset}/{name}", synset) for synset in synsets for name in _pictures(folder / synset)]
        return [file for file, _ in files], [synset for _, synset in files]
    flat = [name for name, is_folder in children if not is_folder and name.lower().endswith(SUFFIXES)]
    if split == "train" or not flat:
        tars = " (it holds .tar files: unpack each into a folder of its name)" if _holds_tar(children) else ""
        raise layout.error(f"no pictures: looked for '{folder}/n????????/*.JPEG'{tars}")
    if split == "test":
        return flat, [None] * len(flat)
    return flat, _val_synsets(layout, flat)


def _pictures(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.name.lower().endswith(SUFFIXES))


def _holds_tar(children: list[tuple[str, bool]]) -> bool:
    return any(name.endswith(".tar") for name, _ in children)


def _val_synsets(layout: Layout, files: list[str]) -> list[str | None]:
    """The class of each picture of a flat val/. Raises DataError."""
    solution = layout.find("LOC_val_solution.csv")
    if solution is not None:
        rows = read_table(solution)
        known = {row.cells.get("ImageId"): str(row.cells.get("PredictionString")).split(" ")[0] for row in rows}
        missing = [name for name in files if SYNSET.fullmatch(known.get(Path(name).stem, "")) is None]
        if missing:
            raise DataError(f"'{solution}' gives no synset for {missing[0]} (columns ImageId, PredictionString)")
        return [known[Path(name).stem] for name in files]
    truth = layout.file(
        "classes of a flat val/", f"{DEVKIT}/ILSVRC2012_validation_ground_truth.txt",
        "data/ILSVRC2012_validation_ground_truth.txt", "LOC_val_solution.csv",
    )  # fmt: skip
    meta = {str(number): synset for number, synset, _ in _meta(truth.with_name("meta.mat"))}
    lines = read_text(truth).split()
    found: list[str | None] = []
    for name in files:
        number = re.fullmatch(r"ILSVRC2012_val_(\d{8})\.\w+", name)
        place = int(number[1]) if number else 0
        if not 1 <= place <= len(lines):
            raise DataError(f"'{truth}' has {len(lines):,} lines and none for '{name}'")
        synset = meta.get(lines[place - 1])
        if synset is None:
            raise DataError(f"{truth}:{place}: class '{lines[place - 1]}' is not in meta.mat")
        found.append(synset)
    return found
