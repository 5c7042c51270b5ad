"""What no signature can say about a config, and plugins."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from ppmm.app.check import check_config
from ppmm.app.experiment import ClassCounts, build_metrics, build_parts, build_rows, open_experiment
from ppmm.app.export import export_checkpoint
from ppmm.app.train import train
from ppmm.errors import ConfigError, ExportError
from ppmm.registry import REGISTRIES
from ppmm.runtime import Predictor

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def registries_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a plugin of a test registers is gone after it."""
    for registry in REGISTRIES.values():
        registry.names()  # imports its package, so that what ppmm itself registers stays
        monkeypatch.setattr(registry, "_classes", dict(registry._classes))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.encoders={image: {name: cnn}, sound: {name: audio_cnn}}", "model.encoders.sound: no such field"),
        ("model.encoders={image: {name: cnn}, audio: {name: audio_cnn}}", "fields.text: no encoder reads it"),
        ("loader.modality_dropout={imag: 0.1}", "loader.modality_dropout.imag: no such field; did you mean 'image'"),
        ("objective.target=anwser", "objective.target: no such target; did you mean 'answer'"),
        ("metrics.0.target=label", "metrics.target: no such target"),
        ("trainer.balance={name: ogm_ge}", "trainer.balance: ogm_ge needs unimodal_logits: true"),
    ],
)
def test_sections_must_fit_each_other(override: str, message: str, write_config: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_experiment(write_config(), [override])


NUMBER = {"targets": {"answer": {"name": "number"}}, "objective": {"name": "mse", "target": "answer"}, "metrics": []}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            ["model.fusion={name: decision}", "model.head={name: identity}"],
            "model.fusion: decision needs a target of the kind label, but 'answer' is number",
        ),
        (
            ["trainer.balance={name: ogm_ge}", "model.unimodal_logits=true"],
            "trainer.balance: ogm_ge needs a target of the kind label, but 'answer' is number",
        ),
    ],
)
def test_what_counts_classes_is_kept_from_numbers(
    override: list[str], message: str, write_config: Callable[..., Path]
) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        open_experiment(write_config(**NUMBER), override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.fusion.dim=0", "head.layers.1.weight would have the shape [0, 21]; sizes must be at least 1"),
        ("model.fusion.dim=-3", "model.fusion: gated: "),
        ("model.encoders.image.channels=[4, 0]", "sizes must be at least 1"),
        ("model.head.dropout=1.5", "a dropout of 1.5; it must be at least 0 and below 1"),
    ],
)
def test_sizes_that_cannot_be(override: str, message: str, write_config: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_config(str(write_config()), [override])


def test_metrics_and_model_must_fit_before_training(write_config: Callable[..., Path], tmp_path: Path) -> None:
    towers = {"name": "two_tower", "dim": 8, "encoders": {"image": {"name": "cnn"}, "audio": {"name": "audio_cnn"}}}
    config = yaml.safe_load(write_config().read_text())
    fields = {name: config["fields"][name] for name in ("image", "audio")}
    contrast = {"name": "info_nce", "fields": ["image", "audio"]}
    path = write_config(fields=fields, model=towers, objective=contrast)
    metrics = "metrics=[{name: accuracy, target: answer}, {name: macro_f1, target: answer}]"
    message = r"metrics\.1: macro_f1 reads 'logits', but two_tower gives image_embed, audio_embed"
    for command in (check_config, train):
        with pytest.raises(ConfigError, match=message):
            command(str(path), [metrics])
    assert not (tmp_path / "output" / "small").exists()
    keyed = {"answer": {"name": "label"}, "scene": {"name": "key", "column": "answer"}}
    retrieval = {"name": "retrieval", "fields": ["image", "audio"], "key": "scene"}
    late = write_config(targets=keyed, metrics=[{"name": "accuracy", "target": "answer"}, retrieval])
    with pytest.raises(ConfigError, match=r"metrics\.1: retrieval reads 'image_embed', but late_fusion gives logits"):
        train(str(late))


def test_an_encoder_of_another_kind_is_explained(write_config: Callable[..., Path]) -> None:
    config = write_config()
    with pytest.raises(ConfigError, match="resnet needs 'in_channels', which this field does not provide"):
        train(str(config), ["model.encoders.text={name: resnet}"])


def test_the_monitored_figure_must_exist(write_config: Callable[..., Path]) -> None:
    config = open_experiment(write_config(), ["trainer.monitor=acuracy"])
    parts = build_parts(config, build_rows(config, "train"))
    with pytest.raises(ConfigError, match="no metric gives 'acuracy'; did you mean 'accuracy'"):
        build_metrics(config, parts)


def test_classes_are_found_in_the_training_split(write_config: Callable[..., Path]) -> None:
    config = open_experiment(write_config(targets={"answer": {"name": "label"}}))
    rows = build_rows(config, "train")
    parts = build_parts(config, rows)
    answers = {str(rows[index]["answer"]) for index in range(len(rows))}
    assert set(parts.labels()["answer"]) == answers
    assert parts.provides()["classes"] == len(answers)
    counts = ClassCounts(rows, parts.targets)["answer"]
    assert sum(counts) == len(rows) == 96
    first = parts.labels()["answer"][0]
    assert counts[0] == sum(str(rows[index]["answer"]) == first for index in range(96))


def test_a_gpu_that_is_not_there(write_config: Callable[..., Path]) -> None:
    import paddle

    if paddle.device.is_compiled_with_cuda():
        pytest.skip("this wheel can use a GPU")
    with pytest.raises(ConfigError, match="gpu needs paddlepaddle-gpu"):
        train(str(write_config(device="gpu")))


def test_a_missing_plugin(write_config: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match=r"small\.yaml:\d+ plugins: no file nowhere/x\.py"):
        open_experiment(write_config(plugins=["nowhere/x.py"]))


def test_the_encoder_of_the_readme_trains_from_a_plugin(write_config: Callable[..., Path], tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    code = next(block for block in blocks if "ENCODERS.register" in block)
    plugin = tmp_path / "tiny_image.py"
    plugin.write_text(code)
    config = yaml.safe_load(write_config("plugin", trainer={"epochs": 1, "max_steps": 1}).read_text())
    config["plugins"] = [str(plugin)]
    config["model"]["encoders"]["image"] = {"name": "tiny_image", "dim": 12}
    path = tmp_path / "plugin.yaml"
    path.write_text(yaml.safe_dump(config))
    assert 0 <= train(str(path))["accuracy"] <= 1
    best, bundle = str(tmp_path / "output" / "plugin" / "checkpoints" / "best"), str(tmp_path / "bundle")
    with pytest.raises(ConfigError, match=r"is code outside of ppmm, .* allow it with --plugins .*tiny_image\.py"):
        export_checkpoint(best, bundle)
    export_checkpoint(best, bundle, plugins=[str(plugin)])
    assert (tmp_path / "bundle" / "bundle.yaml").is_file()


def test_preprocessing_from_a_plugin_is_not_exported(write_config: Callable[..., Path], tmp_path: Path) -> None:
    plugin = tmp_path / "loud_text.py"
    plugin.write_text(
        "from ppmm.modalities.text import TextField\n"
        "from ppmm.registry import FIELDS\n"
        "from ppmm.types import Tokenizer\n"
        "@FIELDS.register('loud_text')\n"
        "class LoudText(TextField):\n"
        "    def __init__(self, tokenizer: Tokenizer) -> None:\n"
        "        super().__init__(tokenizer)\n"
    )
    config = yaml.safe_load(write_config("loud", trainer={"epochs": 1, "max_steps": 1}).read_text())
    config["plugins"] = [str(plugin)]
    config["fields"]["text"] = {"name": "loud_text", "tokenizer": {"name": "word"}}
    path = tmp_path / "loud.yaml"
    path.write_text(yaml.safe_dump(config))
    train(str(path))
    with pytest.raises(ExportError, match=r"fields\.text: preprocessing from plugins .* cannot travel in a bundle"):
        best = tmp_path / "output" / "loud" / "checkpoints" / "best"
        export_checkpoint(str(best), str(tmp_path / "bundle"), plugins=[str(plugin)])
    assert not (tmp_path / "bundle").exists()


def test_two_text_fields_need_two_vocabulary_files(write_config: Callable[..., Path], tmp_path: Path) -> None:
    config = yaml.safe_load(write_config("two", trainer={"epochs": 1, "max_steps": 1}).read_text())
    for split in config["data"].values():
        split["columns"] = {**split["columns"], "hint": "kind"}
    config["fields"]["hint"] = {"name": "text", "tokenizer": {"name": "character"}}
    config["model"]["encoders"]["hint"] = {"name": "embedding_bag", "dim": 4}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(ConfigError, match=r"fields\.text and fields\.hint both write tokenizer\.json"):
        train(str(path))
    out = tmp_path / "bundle"
    train(str(path), ["fields.hint.tokenizer_file=hint.json"], overwrite=True)
    export_checkpoint(str(tmp_path / "output" / "two" / "checkpoints" / "best"), str(out))
    answer = Predictor(out).predict([{"text": "which digit do you see?", "hint": "seen"}])[0]
    assert answer["answer"] in answer["probabilities"]


def test_two_metrics_of_one_name_are_refused(write_config: Callable[..., Path]) -> None:
    metric = {"name": "accuracy", "target": "answer"}
    config = open_experiment(write_config(metrics=[metric, metric]))
    parts = build_parts(config, build_rows(config, "train"))
    with pytest.raises(ConfigError, match=r"small\.yaml:\d+ metrics: more than one gives 'accuracy'"):
        build_metrics(config, parts)
