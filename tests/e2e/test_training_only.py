"""Augmentation, mixing and the files behind them: trained with, and left behind when a bundle is written."""

import numpy as np
import pytest
import soundfile
import yaml

from ppmm.app import export
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.errors import ConfigError
from ppmm.runtime import Predictor


def sections(tmp_path):
    soundfile.write(tmp_path / "noise.wav", np.random.default_rng(0).normal(0, 0.1, 4000), 8000)
    (tmp_path / "synonyms.tsv").write_text("digit\tnumber\n", encoding="utf-8")
    fields = {
        "image": {
            "name": "image", "size": [16, 16], "channels": 1, "fit": "letterbox", "interpolation": "bilinear",
            "random_crop": {"name": "image_random_resized_crop", "area": [0.5, 1.0]},
            "augment": [{"name": "image_rand_augment", "magnitude": 3}, {"name": "image_erase"}],
        },
        "audio": {
            "name": "mfcc", "sample_rate": 8000, "n_mfcc": 13, "n_mels": 16, "hop_ms": 20, "window_ms": 32,
            "seconds": 1.0, "trim_db": 40.0,
            "augment": [{"name": "audio_shift", "milliseconds": 20},
                        {"name": "audio_noise", "snr_db": [5, 20], "path": str(tmp_path / "noise.wav")}],
            "augment_features": [{"name": "spec_mask", "time": 5, "freq": 3}],
        },
        "text": {
            "name": "text", "tokenizer": {"name": "byte_pair", "vocab_size": 300},
            "augment": [{"name": "text_synonyms", "path": str(tmp_path / "synonyms.tsv")}],
            "augment_tokens": [{"name": "token_mask"}],
        },
    }  # fmt: skip
    mix = [{"name": "mixup"}, {"name": "cutmix", "fields": ["image"]}]
    return {"fields": fields, "loader": {"batch_size": 16, "modality_dropout": 0.3, "mix": mix},
            "trainer": {"epochs": 1}}  # fmt: skip


def test_nothing_of_it_travels_in_a_bundle(write_config, tmp_path):
    config = write_config(**sections(tmp_path))
    train(str(config))
    (tmp_path / "noise.wav").unlink()
    (tmp_path / "synonyms.tsv").unlink()
    bundle = tmp_path / "bundle"
    report = export_checkpoint(str(tmp_path / "output" / "small" / "checkpoints" / "last"), str(bundle), samples=4)
    assert report["max_abs"] < 1e-4
    text = (bundle / "bundle.yaml").read_text(encoding="utf-8")
    preprocessing = yaml.safe_load(text)["preprocessing"]
    assert preprocessing["image"] == {
        "name": "image", "size": [16, 16], "channels": 1, "fit": "letterbox", "interpolation": "bilinear"
    }  # fmt: skip
    assert preprocessing["text"] == {"name": "text", "tokenizer": {"name": "byte_pair", "vocab_size": 300}}
    assert set(preprocessing["audio"]) == {"name", "sample_rate", "n_mfcc", "n_mels", "hop_ms", "window_ms", "seconds",
                                           "trim_db"}  # fmt: skip
    for word in ("augment", "noise", "synonyms", "mixup", str(tmp_path)):
        assert word not in str(preprocessing)
    answer = Predictor(bundle).outputs([{"text": "which digit?"}, {"audio": (np.zeros(100, np.float32), 8000)}])
    assert np.isfinite(answer["logits"]).all() and answer["logits"].shape[0] == 2


def test_a_field_to_mix_must_exist(write_config):
    config = write_config(loader={"mix": [{"name": "cutmix", "fields": ["imag"]}]})
    with pytest.raises(ConfigError, match=r"small\.yaml:\d+ loader\.mix\[0\]\.fields: no field 'imag'; did you mean"):
        train(str(config))


def test_a_loss_that_cannot_learn_from_mixed_labels_is_refused(write_config, tmp_path, monkeypatch):
    from ppmm.objectives.cross_entropy import CrossEntropy

    monkeypatch.setattr(CrossEntropy, "takes_soft_targets", False)
    config = write_config(loader={"mix": [{"name": "mixup"}]})
    with pytest.raises(ConfigError, match=r"small\.yaml:\d+ loader\.mix: 'cross_entropy' cannot learn from mixed"):
        train(str(config))


def test_what_stays_behind_is_left_out_at_every_level():
    node = {"name": "text", "max_length": 8, "augment": [{"name": "text_swap"}], "augment_tokens": [],
            "tokenizer": {"name": "paddlenlp", "source": "models/bert", "special_tokens": False}}  # fmt: skip
    wanted = {"name": "text", "max_length": 8, "tokenizer": {"name": "paddlenlp", "special_tokens": False}}
    assert export._plain(node, export.TRAINING_ONLY) == wanted
