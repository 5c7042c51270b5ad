"""What a config must have for an objective that compares rows."""

from __future__ import annotations

import pytest

from ppmm.app.processes import check_whole_batch
from ppmm.config import TrainerSection
from ppmm.config.node import ConfigNode
from ppmm.errors import ConfigError
from ppmm.objectives.cross_entropy import CrossEntropy
from ppmm.objectives.image_text_matching import ImageTextMatching
from ppmm.objectives.info_nce import InfoNCE
from ppmm.objectives.weighted_sum import WeightedSum

FIELDS = ["image", "text"]


def check(objective, batch_size=4, world=1, **trainer):
    config = ConfigNode({
        "objective": ConfigNode({"name": "the_loss"}), "loader": ConfigNode({"batch_size": batch_size}),
        "trainer": ConfigNode({}),
    })  # fmt: skip
    check_whole_batch(config, objective, TrainerSection(epochs=1, **trainer), world)


@pytest.mark.parametrize(
    "make", [lambda: InfoNCE(FIELDS), lambda: WeightedSum({"a": CrossEntropy("y"), "b": InfoNCE(FIELDS)})]
)
def test_one_row_has_nothing_to_be_compared_with(make):
    with pytest.raises(ConfigError, match=r"loader.batch_size: the_loss compares .* learns nothing from 1"):
        check(make(), 1)
    with pytest.raises(ConfigError, match="learns nothing from 1"):
        check(make(), 1, accumulate=4)
    check(make(), 1, accumulate=4, gradient_cache=True)
    check(CrossEntropy("y"), 1)
    check(CrossEntropy("y", class_weights=[1.0, 2.0]), 1)


def test_pairs_that_the_model_compares_cannot_be_split():
    check(ImageTextMatching(FIELDS))
    with pytest.raises(ConfigError, match="2 processes: the_loss compares rows inside the model"):
        check(ImageTextMatching(FIELDS), world=2)
    with pytest.raises(ConfigError, match=r"trainer.gradient_cache: the_loss compares rows inside the model"):
        check(WeightedSum({"a": ImageTextMatching(FIELDS)}), accumulate=2, gradient_cache=True)


def test_accumulated_batches_that_do_not_see_each_other_are_told(capsys):
    check(CrossEntropy("y"), accumulate=4)
    check(InfoNCE(FIELDS), accumulate=4, gradient_cache=True)
    assert capsys.readouterr().err == ""
    check(InfoNCE(FIELDS), accumulate=4)
    told = capsys.readouterr().err
    assert "within each batch of 4; with trainer.gradient_cache: true it would be over all 16 rows" in told
