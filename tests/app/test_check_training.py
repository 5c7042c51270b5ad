"""tools/check.py tells what tools/train.py would refuse: a schedule, a precision, a cache that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ppmm.app.check import check_config
from ppmm.errors import ConfigError

REFUSED = [
    ({"schedule": {"name": "linear", "warmup_steps": 12}}, r"warmup_steps is 12, but the training has only 12 steps"),
    ({"trainer": {"epochs": 2, "precision": "fp16"}}, r"precision: fp16 needs a GPU: on a CPU Paddle would stay in"),
    ({"trainer": {"epochs": 2, "gradient_cache": True}}, r"trainer\.gradient_cache: cross_entropy is a mean over rows"),
    ({"hooks": [{"name": "early_stopping", "patience": 0}]}, r"hooks\.0: early_stopping: patience must be at least 1"),
    ({"hooks": [{"name": "freeze", "match": ["*"]}]}, r"every parameter is frozen"),
]


@pytest.mark.parametrize(("sections", "message"), REFUSED)
def test_what_training_would_refuse(write_config: Callable[..., Path], sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_config(str(write_config(**sections)))


def test_steps_are_those_of_the_training(write_config: Callable[..., Path], capsys: Any) -> None:
    """96 rows in batches of 16, two of them a step, three epochs: 9 steps, unless max_steps ends it earlier."""
    for most, steps in ((None, "9"), (7, "7")):
        trainer = {"epochs": 3, "accumulate": 2, "max_steps": most}
        check_config(str(write_config(trainer=trainer, schedule={"name": "linear", "warmup_steps": 3})))
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("optimizer steps")]
        assert [line.split()[-1] for line in lines] == [steps]
