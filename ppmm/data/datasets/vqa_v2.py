"""VQA v2 (Goyal et al. 2017): questions on photographs of COCO, as choice among the frequent answers."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

from ppmm.data.coco import picture_name
from ppmm.data.json_file import need, read_items
from ppmm.data.layout import Layout, is_file
from ppmm.data.reader import Reader, columns_of
from ppmm.data.splits import check_choice
from ppmm.errors import ConfigError, DataError
from ppmm.registry import DATASETS

__all__ = ["VqaV2"]

PARTS = {
    "train": ("train2014", "train2014"),
    "val": ("val2014", "val2014"),
    "test": ("test2015", "test2015"),
    "test-dev": ("test-dev2015", "test2015"),
}
"""Split -> (name in the questions' file, folder of the pictures)."""


@DATASETS.register("vqa_v2")
class VqaV2(Reader):
    """``v2_OpenEnded_mscoco_<part>_questions.json``, ``v2_mscoco_<part>_annotations.json``, COCO's pictures.

    Keys: ``image``, ``question``, ``answer`` (the one that most people gave), ``answers`` (of all ten),
    ``answer_type``, ``image_id``, ``group``, ``id`` (the question's). The test parts have no answers.

    Args:
        root: folder of the JSON files and the pictures' folders (``train2014``, ``val2014``, ``test2015``; the
            pictures may be in a folder ``images`` too).
        split: which part.
        answers: keep only questions whose answer is among so many of the most frequent ones of the training part; the
            share of the others is in ``found``, and they count as errors in published scores. None keeps all.
        limit: take only the first so many rows.

    Raises:
        ConfigError: a setting out of its range.
        DataError: files that are missing or damaged, answers without question.
    """

    def __init__(
        self,
        root: str,
        split: Literal["train", "val", "test", "test-dev"],
        answers: int | None = 1000,
        limit: int | None = None,
    ) -> None:
        check_choice("split", split, PARTS)
        if answers is not None and answers < 2:
            raise ConfigError(f"answers: {answers} must be at least 2")
        layout = Layout("VQA v2", "Visual Question Answering v2.0, Download: questions, annotations, COCO images", root)
        part, folder = PARTS[split]
        asked = f"v2_OpenEnded_mscoco_{part}_questions.json"
        questions = layout.file(f"questions of {split}", asked, f"questions/{asked}")
        pictures = layout.folder(f"pictures of {split}", folder, f"images/{folder}")
        labelled = split in ("train", "val")
        given = _answers(_annotations(layout, part)) if labelled else {}
        known = None
        if labelled and answers is not None:
            train = given if split == "train" else _answers(_annotations(layout, PARTS["train"][0]))
            counts = Counter(str(cells["answer"]) for cells in train.values())
            known = {answer for answer, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:answers]}
        rows, asked_count = [], 0
        for item in read_items(questions, "questions"):
            asked_count += 1
            number, image, text = (
                need(item, key, kind, questions)
                for key, kind in (("question_id", int), ("image_id", int), ("question", str))
            )
            cells = given.pop(number, None)
            if labelled and cells is None:
                raise DataError(f"{questions} {item.place}: question {number} has no annotation")
            if known is not None and cells is not None and cells["answer"] not in known:
                continue
            row = {"id": str(number), "image": picture_name(folder, image), "question": text.strip()}
            rows.append({**row, "image_id": image, "group": str(image), **(cells or {})})
        if given:
            raise DataError(f"'{questions}' lacks question {next(iter(given))}, which has an annotation")
        if rows and not is_file(pictures / str(rows[0]["image"])):
            raise layout.error(f"no pictures: looked for the file '{pictures / str(rows[0]['image'])}'")
        found = f"VQA v2 {split}: {len(rows):,} of {asked_count:,} questions of '{questions}'"
        if known is not None:
            found += f", those with one of the {len(known):,} most frequent answers: multiply an accuracy by "
            found += f"{len(rows) / max(asked_count, 1):.4f} to count the others as errors"
        keys = ["id", "image", "question", "answer", "answers", "answer_type", "image_id", "group"]
        super().__init__(columns_of(rows, keys), found, {"image": pictures}, limit)


def _annotations(layout: Layout, part: str) -> Path:
    name = f"v2_mscoco_{part}_annotations.json"
    return layout.file(f"answers of {part}", name, f"annotations/{name}")


def _answers(path: Path) -> dict[int, dict[str, Any]]:
    """Question -> answer, answers, answer_type. Raises DataError."""
    found: dict[int, dict[str, Any]] = {}
    texts: dict[str, str] = {}  # one object per distinct answer: ten times 443,757 would not be compact
    for item in read_items(path, "annotations"):
        number = need(item, "question_id", int, path)
        each = need(item, "answers", list, path)
        if not all(isinstance(entry, dict) and isinstance(entry.get("answer"), str) for entry in each):
            raise DataError(f"{path} {item.place}: answers must be a list of objects with the key answer")
        answer = need(item, "multiple_choice_answer", str, path)
        found[number] = {
            "answer": texts.setdefault(answer, answer),
            "answers": [texts.setdefault(entry["answer"], entry["answer"]) for entry in each],
            "answer_type": item.value.get("answer_type"),
        }
    return found
