"""What can be wrong with rows: the kinds of findings, and which of them make a row unfit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["KIND_TEXTS", "UNFIT", "Finding", "count_kinds"]

KIND_TEXTS = {
    "absent": "a column that every row must have is empty",
    "missing": "the file does not exist",
    "outside": "the path leads out of the folder of the files",
    "unreadable": "the file cannot be decoded",
    "truncated": "the file ends before its content does",
    "zero_size": "the file has 0 bytes, or the recording no samples",
    "wrong_extension": "the content is of another format than the file's name says",
    "too_small": "an image with a side below --min-side",
    "too_large": "an image of more pixels than --max-pixels",
    "single_colour": "an image of one colour",
    "silence": "a recording without sound",
    "clipping": "a recording with clipped peaks",
    "nan": "a recording with NaN or infinite samples",
    "too_short": "a recording or text shorter than allowed",
    "too_long": "a recording or text longer than allowed",
    "sample_rate": "a recording at another rate than most",
    "empty_text": "a text without a letter or digit",
    "mojibake": "a text decoded with the wrong character set",
    "wrong_language": "a text in another language than --language",
    "duplicate_id": "an id that an earlier row has",
    "label_typo": "a label that looks like a misspelling of a more frequent one",
    "imbalance": "classes of very different size",
}
UNFIT = frozenset(KIND_TEXTS) - {"wrong_extension", "clipping", "sample_rate", "label_typo", "imbalance"}
"""Kinds that put a row into quarantine unless the user says otherwise; the rest are for people to judge."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Args:
        kind: a key of `KIND_TEXTS`.
        split: name of the collection.
        index: of the row, from 0; None for a finding about a whole column.
        row: its line in the manifest (or number in the data set, from 1).
        id: its id.
        column: where.
        detail: what was found and what was expected.
    """

    kind: str
    split: str
    index: int | None
    row: int | None
    id: str | None
    column: str
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """JSON values, without the index."""
        return {name: value for name, value in asdict(self).items() if name != "index"}


def count_kinds(findings: list[Finding]) -> dict[str, int]:
    """Findings by kind, in the order of `KIND_TEXTS`; kinds without any are left out."""
    counts = dict.fromkeys(KIND_TEXTS, 0)
    for finding in findings:
        counts[finding.kind] += 1
    return {kind: count for kind, count in counts.items() if count}
