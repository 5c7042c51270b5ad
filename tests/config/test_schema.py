from __future__ import annotations

import pytest

from ppmm.config import ExportSection, LoaderSection, TrainerSection


def test_sections_check_themselves_in_code() -> None:
    with pytest.raises(ValueError, match="epochs must be at least 1, got 0; log_every must be at least 1, got -1"):
        TrainerSection(epochs=0, log_every=-1)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        LoaderSection(batch_size=0)
    with pytest.raises(ValueError, match="samples must be at least 1, got 0"):
        ExportSection(samples=0)


def test_section_defaults() -> None:
    assert LoaderSection() == LoaderSection(batch_size=64, workers=0, modality_dropout=0.0, drop_last=False)
    trainer = TrainerSection(epochs=3)
    assert (trainer.max_steps, trainer.clip_norm, trainer.accumulate) == (None, None, 1)
    assert (trainer.monitor, trainer.mode, trainer.log_every) == ("accuracy", "max", 10)
    assert ExportSection() == ExportSection(split="val", samples=32, tolerance=1e-4)
