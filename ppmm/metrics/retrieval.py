"""Cross-modal retrieval: is what belongs together found among everything else?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from ppmm.errors import DataError
from ppmm.metrics.ranking import Ranks, rank_relevant
from ppmm.metrics.retrieval_items import RetrievalItems
from ppmm.registry import METRICS
from ppmm.types import Batch, Outputs

__all__ = ["Retrieval"]

RECALL_AT = (1, 5, 10)
EDGES = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000)

NO_KEY = -1
"""The key of a row that has none, see `ppmm.types.Target`."""


@METRICS.register("retrieval")
class Retrieval:
    """R@1, R@5, R@10 (0..1), median rank, mean rank and mAP for every direction between the named fields.

    Each item of a field is a query among all items of another field; relevant are those of the same ``key``. The rank
    of a query is that of its best relevant candidate, counted from 1; candidates that tie with it and are not relevant
    stand before it. Items without any relevant candidate are no queries (``details`` counts them), but candidates.
    Figures: ``image_to_text_r1``, ``_r5``, ``_r10``, ``_median_rank``, ``_mean_rank``, ``_map`` and so on, and
    ``mean_recall``, the mean of all recalls that could be measured.

    Embeddings are kept: 4 bytes for each number of them; 50,000 pictures by 250,000 captions take less than 2 GB.

    Args:
        fields: two or more; outputs ``F_embed`` [B,D] are compared by inner product, rows without ``has_F`` are none.
        key: batch key, [B] int64; rows without a key (-1) are left out.
        distinct: fields whose rows of equal key and equal input are one item; None: all but texts. So in Flickr's
            protocol, a row per caption, 1,000 pictures meet 5,000 captions.
        fold_size: figures are means over folds of so many keys each, in the order of the rows (COCO's 1k protocol:
            1000, on 5,000 pictures); keys beyond the last whole fold are left out, and fewer keys are one fold. None:
            everything at once. Names then begin with ``fold1000_``.
        folds: only the first so many folds (COCO's 1k of the first thousand: 1; the mean over five: 5). ``details``
            tells how many there were. Names then begin with ``fold1000x5_``.

    Raises:
        ValueError: fewer than two different fields, ``distinct`` names another, ``fold_size`` below 2, ``folds`` below
            1 or without ``fold_size``.
    """

    def __init__(
        self,
        fields: list[str],
        key: str,
        distinct: list[str] | None = None,
        fold_size: int | None = None,
        folds: int | None = None,
    ) -> None:
        if len(fields) < 2 or len(set(fields)) != len(fields):
            raise ValueError(f"fields: two or more different ones are needed, got {', '.join(fields)}")
        unknown = sorted(set(distinct or ()) - set(fields))
        if unknown:
            raise ValueError(f"distinct: '{unknown[0]}' is not among the fields {', '.join(fields)}")
        if fold_size is not None and fold_size < 2:
            raise ValueError(f"fold_size must be at least 2, got {fold_size}")
        if folds is not None and (folds < 1 or fold_size is None):
            raise ValueError(f"folds must be at least 1 and needs fold_size, got folds {folds}, fold_size {fold_size}")
        self.fields, self.key, self.distinct = list(fields), key, distinct
        self.fold_size, self.folds = fold_size, folds
        self.prefix = "" if fold_size is None else f"fold{fold_size}_" if folds is None else f"fold{fold_size}x{folds}_"
        self.reset()

    def reset(self) -> None:
        self._items = {
            field: RetrievalItems(None if self.distinct is None else field in self.distinct) for field in self.fields
        }
        self._known: dict[tuple[str, str], list[Ranks]] | None = None

    def update(self, outputs: Outputs, batch: Batch) -> None:
        self._known = None
        keys = np.asarray(batch[self.key]).reshape(-1)
        for field, items in self._items.items():
            if f"{field}_embed" not in outputs:
                raise DataError(f"retrieval: the model gives no {field}_embed; it gives {', '.join(sorted(outputs))}")
            embeds = np.asarray(outputs[f"{field}_embed"])
            width = np.shape(outputs[f"{self.fields[0]}_embed"])[1]
            if embeds.shape[1] != width:
                raise DataError(
                    f"retrieval: {field}_embed has {embeds.shape[1]} numbers, {self.fields[0]}_embed {width}"
                )
            has = np.asarray(batch[f"has_{field}"]) if f"has_{field}" in batch else np.ones(len(keys), dtype=bool)
            has = has & (keys != NO_KEY)
            inputs = np.asarray(batch[field]) if field in batch else embeds
            mask = np.asarray(batch[f"{field}_mask"])[has] if f"{field}_mask" in batch else None
            items.add(embeds[has], keys[has], inputs[has], mask)

    def compute(self) -> dict[str, float]:
        figures: dict[str, float] = {}
        for (query, candidate), folds in self._ranks().items():
            each = [_figures(ranks) for ranks in folds]
            name = f"{self.prefix}{query}_to_{candidate}"
            figures |= {f"{name}_{figure}": float(np.mean([fold[figure] for fold in each])) for figure in each[0]}
        recalls = [figures[name] for name in figures if name.endswith(tuple(f"_r{k}" for k in RECALL_AT))]
        known = [recall for recall in recalls if not np.isnan(recall)]
        return {**figures, f"{self.prefix}mean_recall": float(np.mean(known)) if known else float("nan")}

    def details(self) -> dict[str, Any]:
        directions = {
            f"{query}_to_{candidate}": {
                "queries": int(sum((ranks.first > 0).sum() for ranks in folds)),
                "queries_without_relevant": int(sum((ranks.first == 0).sum() for ranks in folds)),
                "candidates": len(self._items[candidate]),
                "ranks": _histogram(np.concatenate([ranks.first for ranks in folds])),
            }
            for (query, candidate), folds in self._ranks().items()
        }
        used = len(next(iter(self._ranks().values())))
        table = {"key": self.key, "fold_size": self.fold_size, "folds": used, "directions": directions}
        return {f"{self.prefix}retrieval": table}

    def _ranks(self) -> dict[tuple[str, str], list[Ranks]]:
        """Of every direction, by fold."""
        if self._known is None:
            keys = {field: items.keys for field, items in self._items.items()}
            folds = self._folds(keys)
            self._known = {
                (query, candidate): [self._rank(query, candidate, keys, fold) for fold in folds]
                for query, candidate in permutations(self.fields, 2)
            }
        return self._known

    def _folds(self, keys: dict[str, np.ndarray]) -> Sequence[np.ndarray | None]:
        """The keys of each fold; None stands for all."""
        if self.fold_size is None:
            return [None]
        every = np.array(list(dict.fromkeys(keys[self.fields[0]].tolist())), dtype=np.int64)
        whole = len(every) // self.fold_size
        folds = np.split(every[: whole * self.fold_size], whole) if whole else [None]
        return folds[: self.folds]

    def _rank(self, query: str, candidate: str, keys: dict[str, np.ndarray], fold: np.ndarray | None) -> Ranks:
        if fold is None:
            candidates = list(self._items[candidate].embeds)
            return rank_relevant(self._items[query].embeds, keys[query], candidates, keys[candidate])
        (asked, asked_keys), (given, given_keys) = (
            self._part(field, keys[field], fold) for field in (query, candidate)
        )
        return rank_relevant([asked], asked_keys, [given], given_keys)

    def _part(self, field: str, keys: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings and keys of the items of a fold."""
        rows = np.flatnonzero(np.isin(keys, fold))
        return self._items[field].embeds.take(rows), keys[rows]


def _figures(ranks: Ranks) -> dict[str, float]:
    """Of the queries that have something to find; NaN where there is none."""
    asked = ranks.first > 0
    first = ranks.first[asked]
    if not len(first):
        return dict.fromkeys([*(f"r{k}" for k in RECALL_AT), "median_rank", "mean_rank", "map"], float("nan"))
    return {
        **{f"r{k}": float((first <= k).mean()) for k in RECALL_AT},
        "median_rank": float(np.median(first)),
        "mean_rank": float(first.mean()),
        "map": float(ranks.precision[asked].mean()),
    }


def _histogram(first: np.ndarray) -> list[dict[str, int | None]]:
    """Queries by rank, in bins that widen: 1, 2, 3, 4-5, 6-10 ... up to the last that is not empty."""
    return list(_bins(first[first > 0]))


def _bins(first: np.ndarray) -> Iterator[dict[str, int | None]]:
    low = 1
    for high in (*EDGES, int(first.max(initial=0))):
        if low <= high and low <= first.max(initial=0):
            yield {"from": low, "to": high, "queries": int(((first >= low) & (first <= high)).sum())}
            low = high + 1
