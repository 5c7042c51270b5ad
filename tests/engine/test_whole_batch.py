"""Gradient caching: the gradient of the whole batch, chunk by chunk."""

import numpy as np
import paddle
import pytest
from towers import FIELDS, OBJECTIVES, cut, gradients, rows, step_of, towers

from ppmm.engine.distributed import SINGLE
from ppmm.engine.joined import join, rows_of
from ppmm.engine.weights import running_statistics
from ppmm.objectives.info_nce import InfoNCE


@pytest.mark.parametrize("sizes", [[12], [6, 6], [4, 4, 3, 1]], ids=str)
@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_gradient_of_chunks_is_that_of_the_whole_batch(name, sizes):
    """The temperature's, the bias's and the variances' too."""
    whole = rows()
    wanted, expected = gradients(step_of(towers(), OBJECTIVES[name](), cache=False), [whole])
    found, actual = gradients(step_of(towers(), OBJECTIVES[name]()), cut(whole, sizes))
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)
    assert any(grad is not None and np.abs(grad).max() > 1e-3 for grad in expected)
    for one, other in zip(actual, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_accumulation_alone_compares_less():
    whole = rows()
    _, expected = gradients(step_of(towers(), InfoNCE(FIELDS)), [whole])
    _, actual = gradients(step_of(towers(), InfoNCE(FIELDS), cache=False), cut(whole, [6, 6]))
    assert np.abs(actual[0] - expected[0]).max() > 1e-3


def test_dropout_draws_the_same_in_both_forwards():
    """A numerical derivative of the loss, at the draws that the step takes."""
    chunks = cut(rows(), [6, 6])
    step = step_of(towers(dropout=0.5), InfoNCE(FIELDS))
    _, found = gradients(step, chunks)
    weight = step.parameters()[0]
    start = weight.numpy().copy()

    def loss(change):
        weight.set_value(start + change)
        return step.gradients(chunks, 0)["loss"]

    for place in ((0, 0), (2, 3), (4, 7)):
        change = np.zeros_like(start)
        change[place] = 1e-2
        slope = (loss(change) - loss(-change)) / 2e-2
        assert found[0][place] == pytest.approx(slope, abs=2e-3)
    assert np.abs(found[0]).max() > 1e-2


def test_running_statistics_see_each_chunk_once():
    chunks = cut(rows(), [6, 6])
    cached, plain = towers(norm=True), towers(norm=True)
    step_of(cached, InfoNCE(FIELDS)).gradients(chunks, 0)
    step_of(plain, InfoNCE(FIELDS), cache=False).gradients(chunks, 0)
    assert len(running_statistics(cached)) == 2 and np.abs(cached.norm._mean.numpy()).max() > 0
    for one, other in zip(running_statistics(cached), running_statistics(plain), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())


def test_without_a_cache_nothing_changes_bit_for_bit():
    """The step of the objective itself, written by hand."""
    whole = rows()
    step = step_of(towers(dropout=0.3), InfoNCE(FIELDS), cache=False)
    _, found = gradients(step, cut(whole, [6, 6]))
    model, objective = towers(dropout=0.3), InfoNCE(FIELDS)
    paddle.seed(int(np.random.SeedSequence([3, 0]).generate_state(1)[0]))
    for chunk in cut(whole, [6, 6]):
        (objective(model(chunk), chunk)["loss"] * 0.5).backward()
    for one, parameter in zip(found, [*model.parameters(), *objective.parameters()], strict=True):
        assert (one is None) == (parameter.grad is None)
        assert one is None or np.array_equal(one, parameter.grad.numpy())


def test_joined_chunks_are_filled_up_with_zeros():
    chunks = cut(rows(4), [1, 2, 1])
    _, joined = join([], chunks, SINGLE)
    longest = max(chunk["text"].shape[1] for chunk in chunks)
    assert joined["text"].shape == [4, longest, 3]
    assert joined["text_mask"].numpy().sum() == sum(chunk["text_mask"].numpy().sum() for chunk in chunks)
    assert joined["index"].numpy().tolist() == [0, 1, 2, 3]
    assert rows_of(joined) == 4
    assert "nothing" not in joined and joined.get("nothing") is None
    with pytest.raises(KeyError):
        joined["nothing"]
