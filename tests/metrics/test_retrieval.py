"""Retrieval against ranks counted by hand and by a plain sort."""

import numpy as np
import paddle
import pytest

from ppmm.errors import DataError
from ppmm.metrics import ranking, row_blocks
from ppmm.metrics.ranking import rank_relevant
from ppmm.metrics.retrieval import Retrieval

RNG = np.random.default_rng(0)


def unit(values):
    values = np.asarray(values, "float32")
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def measured(embeds, keys, inputs=None, has=None, size=4, **arguments):
    """A `Retrieval` that was given rows in batches of ``size``; the fields' inputs differ unless they are given."""
    metric = Retrieval(list(embeds), "scene", **arguments)
    count = len(keys)
    batch = {"scene": np.asarray(keys)}
    for field in embeds:
        batch[field] = (inputs or {}).get(field, np.arange(count, dtype="float32")[:, None])
        batch[f"has_{field}"] = (has or {}).get(field, np.ones(count, bool))
    for start in range(0, count, size):
        cut = slice(start, start + size)
        outputs = {f"{field}_embed": paddle.to_tensor(values[cut]) for field, values in embeds.items()}
        metric.update(outputs, {name: paddle.to_tensor(values[cut]) for name, values in batch.items()})
    return metric


def plain(scores, query_keys, candidate_keys):
    """Ranks and average precision by sorting one list per query; wrong before right where scores are equal."""
    first, precision = [], []
    for row, key in zip(scores, query_keys, strict=True):
        order = sorted(range(len(row)), key=lambda c, row=row, key=key: (-row[c], candidate_keys[c] == key))
        ranks = [place for place, c in enumerate(order, start=1) if candidate_keys[c] == key]
        first.append(ranks[0] if ranks else 0)
        precision.append(np.mean([(n + 1) / rank for n, rank in enumerate(ranks)]) if ranks else 0)
    return np.array(first), np.array(precision)


def test_by_hand():
    """Pictures at 0, 90 degrees; texts at 10 and 80 for the first, 85 for the second.

    Picture 1 finds its text first (cos 10); of texts in order 10, 80, 85 its own are 1st and 2nd. Picture 2: 85 is
    nearest. Text 80 is nearer to picture 2: rank 2.
    """
    angle = np.deg2rad
    images = unit([[1, 0], [1, 0], [0, 1]])
    texts = np.stack([np.cos(angle([10, 80, 85])), np.sin(angle([10, 80, 85]))], axis=1).astype("float32")
    inputs = {"image": np.array([[1.0], [1.0], [2.0]], "float32"), "text": np.array([[4], [5], [6]])}
    metric = measured({"image": images, "text": texts}, [7, 7, 8], inputs, size=2)
    figures = metric.compute()
    assert {name: figures[name] for name in figures if name.startswith("image")} == {
        "image_to_text_r1": 1, "image_to_text_r5": 1, "image_to_text_r10": 1, "image_to_text_median_rank": 1,
        "image_to_text_mean_rank": 1, "image_to_text_map": 1,
    }  # fmt: skip
    assert figures["text_to_image_r1"] == pytest.approx(2 / 3) and figures["text_to_image_r5"] == 1
    assert figures["text_to_image_mean_rank"] == pytest.approx(4 / 3)
    assert figures["text_to_image_map"] == pytest.approx((1 + 0.5 + 1) / 3)
    assert figures["mean_recall"] == pytest.approx((5 + 2 / 3) / 6)
    direction = metric.details()["retrieval"]["directions"]["text_to_image"]
    assert (direction["queries"], direction["candidates"]) == (3, 2), "the picture of two texts counts once"
    assert [row["queries"] for row in direction["ranks"]] == [2, 1]


def test_three_fields_against_a_plain_sort():
    keys = RNG.integers(0, 25, size=60)
    centres = RNG.normal(size=(25, 8))
    embeds = {field: unit(centres[keys] + RNG.normal(size=(60, 8)) * 0.7) for field in ("image", "text", "audio")}
    has = {"audio": RNG.random(60) < 0.7}
    figures = measured(embeds, keys, has=has, size=11).compute()
    assert len(figures) == 6 * 6 + 1
    present = {field: has.get(field, np.ones(60, bool)) for field in embeds}
    for query in embeds:
        for candidate in set(embeds) - {query}:
            asked, given = present[query], present[candidate]
            scores = embeds[query][asked].astype(float) @ embeds[candidate][given].T.astype(float)
            first, precision = plain(scores, keys[asked], keys[given])
            precision, first = precision[first > 0], first[first > 0]
            wanted = {f"r{k}": (first <= k).mean() for k in (1, 5, 10)}
            wanted |= {"median_rank": np.median(first), "mean_rank": first.mean(), "map": precision.mean()}
            found = {name: figures[f"{query}_to_{candidate}_{name}"] for name in wanted}
            assert found == pytest.approx(wanted), (query, candidate)


@pytest.mark.parametrize("few", [0, 1000])
@pytest.mark.parametrize("scores_mb", [0, 128])
def test_ties_blocks_and_both_ways_of_counting(few, scores_mb, monkeypatch):
    """Embeddings of few values tie often; many relevant ones per query; a row of scores at a time, or all."""
    monkeypatch.setattr(ranking, "FEW", few)
    queries, candidates = (RNG.integers(-1, 2, size=(n, 3)).astype("float32") for n in (40, 200))
    query_keys, candidate_keys = RNG.integers(0, 9, size=40), RNG.integers(0, 8, size=200)
    query_keys[3] = 8  # nothing to find
    blocks = [candidates[:70], candidates[70:71], candidates[71:]]
    ranks = rank_relevant([queries[:15], queries[15:]], query_keys, blocks, candidate_keys, scores_mb)
    first, precision = plain(queries @ candidates.T, query_keys, candidate_keys)
    np.testing.assert_array_equal(ranks.first, first)
    np.testing.assert_allclose(ranks.precision, precision)
    assert first[3] == 0


def test_a_collapsed_model_finds_nothing():
    """All scores equal: the right one stands last, not first; rounding errors change nothing."""
    same = unit(np.ones((50, 7)) + RNG.normal(size=(50, 7)) * 1e-8)
    figures = measured({"image": same, "text": same}, np.arange(50)).compute()
    assert figures["image_to_text_r10"] == 0 and figures["image_to_text_median_rank"] == 50


def test_not_a_number_is_never_right():
    embeds = unit(np.eye(4))
    broken = embeds.copy()
    broken[2] = np.nan
    figures = measured({"image": embeds, "text": broken}, np.arange(4)).compute()
    assert figures["image_to_text_mean_rank"] == (2 + 2 + 4 + 2) / 4 and figures["text_to_image_r1"] == 0.75


def test_padding_does_not_make_an_input_another_one():
    keys = np.array([3, 3, 5, 3])
    clips = np.array([[1, 2, 0], [1, 2, 9], [1, 2, 0], [1, 2, 3]], "float32")
    mask = np.array([[1, 1, 0], [1, 1, 0], [1, 1, 0], [1, 1, 1]], bool)
    metric = Retrieval(["audio", "text"], "scene")
    for rows, width in ((slice(0, 1), 2), (slice(1, 4), 3)):
        batch = {"scene": keys[rows], "audio": clips[rows, :width], "audio_mask": mask[rows, :width]}
        batch |= {"text": np.zeros((len(keys[rows]), 1), int)}
        batch |= {f"has_{field}": np.ones(len(keys[rows]), bool) for field in ("audio", "text")}
        metric.update({"audio_embed": np.eye(4)[rows], "text_embed": np.eye(4)[rows]}, batch)
    found = metric.details()["retrieval"]["directions"]
    assert found["text_to_audio"]["candidates"] == 3 and found["audio_to_text"]["candidates"] == 4


def test_distinct_can_be_told():
    embeds = {"image": unit(RNG.normal(size=(6, 4))), "text": unit(RNG.normal(size=(6, 4)))}
    inputs = {"image": np.zeros((6, 1), "float32"), "text": np.zeros((6, 1), int)}

    def sizes(**arguments):
        found = measured(embeds, [1, 1, 1, 2, 2, 2], inputs, **arguments).details()["retrieval"]["directions"]
        return found["text_to_image"]["candidates"], found["image_to_text"]["candidates"]

    assert sizes() == (2, 6) and sizes(distinct=[]) == (6, 6) and sizes(distinct=["text"]) == (6, 2)


def test_folds_are_means_over_groups_of_keys():
    keys = np.repeat(np.arange(23), 2)
    embeds = {field: unit(RNG.normal(size=(46, 3))) for field in ("image", "text")}
    inputs = {"image": keys.astype("float32")[:, None]}
    figures = measured(embeds, keys, inputs, fold_size=10).compute()
    folds = []
    for start in (0, 20):
        part = slice(start, start + 20)
        cut = {field: values[part] for field, values in embeds.items()}
        folds.append(measured(cut, keys[part], {"image": inputs["image"][part]}).compute())
    assert figures == pytest.approx({f"fold10_{name}": np.mean([f[name] for f in folds]) for name in folds[0]})
    assert figures["fold10_image_to_text_mean_rank"] != folds[0]["image_to_text_mean_rank"]


def test_only_the_first_folds():
    """COCO's 1k: the first fold, and the mean of the first two; of 23 keys there are but two whole folds."""
    keys = np.arange(23)
    embeds = {field: unit(RNG.normal(size=(23, 3))) for field in ("image", "text")}
    each = [
        measured({field: values[start : start + 10] for field, values in embeds.items()}, keys[start : start + 10])
        for start in (0, 10)
    ]
    first, second = (metric.compute() for metric in each)
    found = measured(embeds, keys, fold_size=10, folds=1)
    assert found.compute() == pytest.approx({f"fold10x1_{name}": value for name, value in first.items()})
    assert found.details()["fold10x1_retrieval"]["folds"] == 1
    for folds in (2, 5):
        found = measured(embeds, keys, fold_size=10, folds=folds)
        wanted = {f"fold10x{folds}_{name}": (first[name] + second[name]) / 2 for name in first}
        assert found.compute() == pytest.approx(wanted) and found.details()[f"fold10x{folds}_retrieval"]["folds"] == 2


def test_fewer_keys_than_a_fold_are_one():
    embeds = {field: unit(RNG.normal(size=(6, 3))) for field in ("image", "text")}
    whole = measured(embeds, np.arange(6)).compute()
    assert measured(embeds, np.arange(6), fold_size=7).compute() == {f"fold7_{k}": v for k, v in whole.items()}


def test_more_rows_than_a_block(monkeypatch):
    embeds = {field: unit(RNG.normal(size=(50, 5))) for field in ("image", "text")}
    keys = RNG.integers(0, 30, size=50)
    whole = measured(embeds, keys, size=50).compute()
    monkeypatch.setattr(row_blocks, "BLOCK_ROWS", 7)
    assert measured(embeds, keys, size=9).compute() == pytest.approx(whole)


def test_items_without_counterpart_are_candidates_only():
    embeds = {field: unit(np.eye(3)) for field in ("image", "text")}
    metric = measured(embeds, [0, 1, 2], has={"text": np.array([True, True, False])})
    found = metric.details()["retrieval"]["directions"]["image_to_text"]
    assert (found["queries"], found["queries_without_relevant"], found["candidates"]) == (2, 1, 2)
    assert metric.compute()["image_to_text_r1"] == 1


def test_no_rows_and_a_field_that_is_never_there():
    empty = Retrieval(["image", "text"], "scene")
    assert len(empty.compute()) == 13 and all(np.isnan(value) for value in empty.compute().values())
    embeds = {field: unit(np.eye(3)) for field in ("image", "text", "audio")}
    figures = measured(embeds, [0, 1, 2], has={"audio": np.zeros(3, bool)}).compute()
    assert np.isnan(figures["audio_to_text_r1"]) and figures["mean_recall"] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"fields": ["image"]}, "two or more"),
        ({"fields": ["image", "image"]}, "two or more"),
        ({"fields": ["image", "text"], "distinct": ["txt"]}, "'txt' is not among"),
        ({"fields": ["image", "text"], "fold_size": 1}, "at least 2"),
        ({"fields": ["image", "text"], "fold_size": 10, "folds": 0}, "at least 1"),
        ({"fields": ["image", "text"], "folds": 5}, "needs fold_size, got folds 5, fold_size None"),
    ],
)
def test_bad_arguments_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        Retrieval(key="scene", **arguments)


def test_a_model_without_embeddings_is_refused():
    with pytest.raises(DataError, match="no image_embed; it gives logits"):
        Retrieval(["image", "text"], "scene").update({"logits": np.zeros((2, 3))}, {"scene": np.zeros(2, int)})


def test_embeddings_of_different_sizes_are_refused():
    outputs = {"image_embed": np.zeros((2, 3)), "text_embed": np.zeros((2, 4))}
    with pytest.raises(DataError, match="text_embed has 4 numbers, image_embed 3"):
        Retrieval(["image", "text"], "scene").update(outputs, {"scene": np.zeros(2, int)})


def test_rows_without_a_key_are_left_out():
    """Were -1 a key, the last two rows would each be right for the other."""
    rng = np.random.default_rng(2)
    image, text = (unit(rng.normal(size=(6, 4))).astype("float32") for _ in range(2))
    found = []
    for rows, keys in ((6, [1, 2, 3, 4, -1, -1]), (4, [1, 2, 3, 4])):
        metric = Retrieval(["image", "text"], "key")
        metric.update({"image_embed": image[:rows], "text_embed": text[:rows]}, {"key": np.array(keys)})
        found.append(metric.compute())
    assert found[0] == found[1] and found[0]["image_to_text_r10"] == 1
