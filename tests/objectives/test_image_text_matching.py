"""Image-text matching against plain loops, and how negatives are drawn."""

import math

import numpy as np
import paddle
import pytest

from ppmm.models.layers.pair_matching import PairMatching
from ppmm.objectives.image_text_matching import ImageTextMatching
from tests.objectives.embeds import ROWS, belongs, example, together, units


def with_match(absent=0.0, seed=7):
    outputs, batch = example(absent=absent)
    match = np.random.default_rng(seed).normal(size=(ROWS, ROWS)).astype("float32")
    inside = np.zeros((ROWS, ROWS), bool)
    rows = together(batch, "image", "text")
    inside[np.ix_(rows, rows)] = True
    match[~inside] = absent
    outputs["image_text_match"] = paddle.to_tensor(match, stop_gradient=False)
    return outputs, batch


def by_hand(outputs, batch, keys):
    """Loss and accuracy with the hardest negatives."""
    match, rows = outputs["image_text_match"].numpy().astype(float), together(batch, "image", "text")
    close = units(outputs, "image") @ units(outputs, "text").T
    losses, right = [math.log(1 + math.exp(-match[i, i])) for i in rows], [match[i, i] >= 0 for i in rows]
    for logits, near in ((match, close), (match.T, close.T)):
        for i in rows:
            able = [j for j in rows if not belongs(batch, i, j, keys)]
            if able:
                hardest = max(able, key=lambda j: near[i, j])
                losses.append(math.log(1 + math.exp(logits[i, hardest])))
                right.append(logits[i, hardest] < 0)
    return sum(losses) / len(losses), sum(right) / len(right)


@pytest.mark.parametrize("keys", [[], ["scene", "caption"]])
def test_evaluation_takes_the_hardest(keys):
    outputs, batch = with_match()
    objective = ImageTextMatching(["image", "text"], positives=keys)
    objective.eval()
    terms = objective(outputs, batch)
    loss, accuracy = by_hand(outputs, batch, keys)
    assert float(terms["loss"]) == pytest.approx(loss, rel=1e-5)
    assert float(terms["match_accuracy"]) == pytest.approx(accuracy)


def test_of_three_fields_each_pair_has_its_own_negatives():
    """The mean of what each pair of fields gives by itself; its accuracy is told for each."""
    outputs, batch = with_match()
    rng, names = np.random.default_rng(3), [("image", "text"), ("image", "audio"), ("text", "audio")]
    outputs["audio_embed"] = paddle.to_tensor(rng.normal(size=outputs["text_embed"].shape).astype("float32"))
    batch["has_audio"] = paddle.to_tensor(rng.random(ROWS) < 0.8)
    for first, second in names[1:]:
        match = rng.normal(size=(ROWS, ROWS)).astype("float32")
        outputs[f"{first}_{second}_match"] = paddle.to_tensor(match)
    whole = ImageTextMatching(["image", "text", "audio"], positives=["scene"])
    assert whole.reads == ["image_text_match", "image_audio_match", "text_audio_match"]
    whole.eval()
    found = whole(outputs, batch)
    parts = []
    for first, second in names:
        alone = ImageTextMatching([first, second], positives=["scene"])
        alone.eval()
        parts.append(alone(outputs, batch))
        assert set(parts[-1]) == {"loss", "match_accuracy"}
        told = float(found[f"{first}_{second}_match_accuracy"])
        assert told == pytest.approx(float(parts[-1]["match_accuracy"]))
    for name in ("loss", "match_accuracy"):
        assert float(found[name]) == pytest.approx(np.mean([float(part[name]) for part in parts]))
    assert len({float(part["loss"]) for part in parts}) == 3


def test_training_draws_in_proportion_to_the_softmax():
    paddle.seed(0)
    objective = ImageTextMatching(["image", "text"], temperature=0.5)
    close = paddle.to_tensor([[0.9, 0.1, 0.5, -0.3]] * 4000)
    able = paddle.to_tensor([[True, True, True, False]] * 4000)
    drawn = objective._draw(close, able).numpy()
    assert (drawn.sum(1) == 1).all()
    wanted = np.exp(np.array([0.9, 0.1, 0.5]) / 0.5)
    np.testing.assert_allclose(drawn.mean(0), [*(wanted / wanted.sum()), 0], atol=0.03)


def test_a_row_without_negatives_has_none():
    outputs, batch = with_match()
    batch["scene"] = paddle.full_like(batch["scene"], 3)
    match = outputs["image_text_match"].numpy()
    loss = ImageTextMatching(["image", "text"], positives=["scene"])(outputs, batch)["loss"]
    wanted = np.mean([math.log(1 + math.exp(-match[i, i])) for i in together(batch, "image", "text")])
    assert float(loss) == pytest.approx(wanted, rel=1e-5)


def test_absent_rows_do_not_matter():
    objective = ImageTextMatching(["image", "text"], positives=["scene"])
    losses = []
    for absent in (0.0, 7.0, float("nan"), float("inf")):
        paddle.seed(3)
        outputs, batch = with_match(absent)
        loss = objective(outputs, batch)["loss"]
        loss.backward()
        losses.append(float(loss))
        assert np.isfinite(outputs["image_text_match"].grad.numpy()).all()
    assert losses == [losses[0]] * 4 and np.isfinite(losses[0])


def test_pair_matching_answers_each_combination_by_itself():
    paddle.seed(0)
    layer = PairMatching(5, hidden=4)
    rng = np.random.default_rng(0)
    first, second = (rng.normal(size=(rows, 5)).astype("float32") for rows in (3, 4))
    found = layer(paddle.to_tensor(first), paddle.to_tensor(second)).numpy()
    state = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
    for i in range(3):
        for j in range(4):
            hidden = (first[i] * second[j]) @ state["product.weight"] + state["product.bias"]
            hidden += np.abs(first[i] - second[j]) @ state["distance.weight"]
            wanted = np.maximum(hidden, 0) @ state["out.weight"][:, 0] + state["out.bias"][0]
            assert found[i, j] == pytest.approx(wanted, abs=1e-5)


def test_pair_matching_exports_with_any_batch(tmp_path):
    from paddle.static import InputSpec

    paddle.seed(0)
    layer = PairMatching(5, hidden=4)
    layer.eval()
    specs = [InputSpec([None, 5], "float32"), InputSpec([None, 5], "float32")]
    paddle.jit.save(paddle.jit.to_static(layer, input_spec=specs, full_graph=True), str(tmp_path / "match"))
    loaded = paddle.jit.load(str(tmp_path / "match"))
    for rows, columns in ((3, 3), (1, 1), (2, 7)):
        first, second = paddle.randn([rows, 5]), paddle.randn([columns, 5])
        np.testing.assert_allclose(loaded(first, second).numpy(), layer(first, second).numpy(), atol=1e-5)
