from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ppmm import types
from ppmm.config import LoaderSection, TrainerSection, build, load, loads
from ppmm.errors import ConfigError
from ppmm.registry import REGISTRIES, Registry

MODEL = """\
model:
  name: late_fusion
  encoders:
    image: {name: resnet_small, width: 4}
    text: {name: bilstm, dim: 3}
  fusion: {name: gated, dim: 8}
  head: {name: mlp}
"""
Problems = Callable[[Callable[[], Any]], list[str]]
INJECTED = {"classes": 5, "per_key": {"image": {"in_channels": 3}, "text": {"vocab_size": 100, "in_channels": 9}}}


def probe(argument: str) -> Any:
    """What a constructor receives for one argument."""
    key = argument.split(":")[0]
    return build(loads(f"augment: {{name: probe, {argument}}}")["augment"], types.Augmentation).arguments[key]


# Values


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("whole: 3", 3), ("real: 3", 3.0), ("flag: true", True), ("text: no", "no"), ("path: a/b", Path("a/b")),
        ("path: null", None), ("mode: min", "min"), ("numbers: [1, 2]", [1, 2]), ("pair: [1, 2]", (1, 2)),
        ("row: [1, 2.5]", (1.0, 2.5)), ("row: []", ()), ("rates: 1", 1.0), ("rates: {a: 1}", {"a": 1.0}),
        ("label: 3", 3), ("label: yes", "yes"), ("label: 0.5", 0.5), ("either: 3", 3), ("either: 3.0", 3.0),
        ("anything: {a: [1, {name: b}]}", {"a": [1, {"name": "b"}]}), ("untyped: [1]", [1]), ("inner: null", None),
    ],
)  # fmt: skip
def test_values_get_the_type_of_the_annotation(argument: str, value: Any) -> None:
    built = probe(argument)
    assert built == value
    assert type(built) is type(value)
    if isinstance(value, tuple | list):
        assert list(map(type, built)) == list(map(type, value))


def test_what_the_yaml_leaves_out_keeps_its_default() -> None:
    built = build(loads("a: {name: probe}")["a"], types.Augmentation)
    assert (built.arguments["whole"], built.arguments["pair"], built.arguments["inner"]) == (0, (0, 0), None)


def test_anything_is_a_plain_copy() -> None:
    tree = loads("a: {name: probe, anything: {b: [1]}}")
    built = build(tree["a"], types.Augmentation).arguments["anything"]
    built["b"].append(2)
    assert tree["a"]["anything"] == {"b": [1]}
    assert (type(built), type(built["b"])) == (dict, list)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (3, int, 3), (3, float, 3.0), ([1, 2], tuple[int, ...], (1, 2)), ({"a": 1}, dict[str, float], {"a": 1.0}),
        (None, int | None, None), ([[1, 2]], list[tuple[int, float]], [(1, 2.0)]), ("x", Path, Path("x")),
    ],
)  # fmt: skip
def test_plain_values_can_be_built(value: Any, annotation: Any, expected: Any) -> None:
    built = build(value, annotation)
    assert built == expected
    assert repr(built) == repr(expected)


def test_keyword_arguments_reach_the_constructor() -> None:
    built = build({"name": "open", "gain": 1, "size": 3}, types.Augmentation)
    assert built.arguments == {"size": 3, "gain": 1.0}
    assert type(built.arguments["gain"]) is float


def test_parts_are_built_inside_lists_and_options(parts: SimpleNamespace) -> None:
    tree = loads("image: {name: image, size: [4, 6], augment: [{name: shift, pixels: 2}, {name: none}]}")
    field = build(tree["image"], types.Field)
    assert isinstance(field, parts.image)
    assert field.arguments["size"] == (4, 6)
    shift, none = field.arguments["augment"]
    assert isinstance(shift, parts.shift)
    assert shift.arguments == {"pixels": 2, "chance": 0.5}
    assert isinstance(none, parts.none)
    inner = build({"name": "probe", "inner": {"name": "shift", "pixels": 1}}, types.Augmentation).arguments["inner"]
    assert isinstance(inner, parts.shift)


def test_sections_are_built() -> None:
    tree = loads("loader: {batch_size: 8, modality_dropout: {image: 0.5}}\ntrainer: {epochs: 3, clip_norm: 1}\n")
    assert build(tree["loader"], LoaderSection) == LoaderSection(batch_size=8, modality_dropout={"image": 0.5})
    trainer = build(tree["trainer"], TrainerSection)
    assert trainer == TrainerSection(epochs=3, clip_norm=1.0)
    assert type(trainer.clip_norm) is float


# Injection


def test_sizes_flow_from_part_to_part() -> None:
    tree = loads(MODEL)
    before = copy.deepcopy(tree)
    model = build(tree["model"], types.Model, INJECTED).arguments
    assert model["encoders"]["image"].arguments == {"in_channels": 3, "width": 4}
    assert model["encoders"]["text"].arguments == {"vocab_size": 100, "dim": 3}
    assert model["fusion"].arguments == {"in_dims": {"image": 8, "text": 3}, "dim": 8, "gates": 1}
    assert model["head"].arguments == {"in_dim": 8, "classes": 5, "hidden": 4}
    assert tree == before
    assert list(model["encoders"]) == ["image", "text"]


def test_the_order_is_that_of_the_signature_not_of_the_yaml() -> None:
    text = "model:\n  head: {name: mlp}\n  fusion: {name: concat}\n  encoders:\n    text: {name: bilstm, dim: 3}\n"
    model = build(loads(text + "  name: late_fusion\n")["model"], types.Model, INJECTED).arguments
    assert model["head"].arguments["in_dim"] == 3


def test_the_yaml_has_the_last_word() -> None:
    tree = loads(MODEL.replace("{name: mlp}", "{name: mlp, classes: 2, in_dim: 1}"))
    head = build(tree["model"], types.Model, INJECTED).arguments["head"]
    assert head.arguments == {"in_dim": 1, "classes": 2, "hidden": 4}


def test_only_what_the_registry_lists_is_injected() -> None:
    injected = {"in_channels": 3, "width": 99, "dim": 99}
    encoder = build({"name": "resnet_small"}, types.Encoder, injected)
    assert encoder.arguments == {"in_channels": 3, "width": 16}


def test_an_optional_injected_argument() -> None:
    node = {"name": "cross_entropy", "target": "answer"}
    assert build(node, types.Objective).arguments["class_counts"] is None
    assert build(node, types.Objective, {"class_counts": [1, 2]}).arguments["class_counts"] == [1, 2]


def test_injected_values_are_passed_as_they_are() -> None:
    counts = [1, 2]
    built = build({"name": "cross_entropy", "target": "a"}, types.Objective, {"class_counts": counts})
    assert built.arguments["class_counts"] is counts


def test_a_size_that_a_field_does_not_provide(problems: Problems) -> None:
    tree = loads(MODEL.replace("text: {name: bilstm, dim: 3}", "text: {name: resnet_small}"), "f.yaml")
    injected = {"classes": 5, "per_key": {"image": {"in_channels": 3}, "text": {"vocab_size": 100}}}
    assert problems(lambda: build(tree["model"], types.Model, injected)) == [
        "f.yaml:5 model.encoders.text: resnet_small needs 'in_channels', which this field does not provide"
    ]


def test_a_size_that_nothing_provides(problems: Problems) -> None:
    tree = loads(MODEL, "f.yaml")
    injected = {"per_key": INJECTED["per_key"]}
    assert problems(lambda: build(tree["model"], types.Model, injected)) == [
        "f.yaml:7 model.head: mlp needs 'classes', which nothing before it provides"
    ]


def test_sizes_do_not_flow_out_of_a_part(problems: Problems) -> None:
    tree = loads(f"a:\n{MODEL}".replace("\n", "\n  ").replace("a:\n  model", "a:\n  one"), "f.yaml")
    models = build(tree["a"], dict[str, types.Model], INJECTED)
    assert models["one"].arguments["fusion"].arguments["in_dims"] == {"image": 8, "text": 3}
    pair = {"first": {"name": "mlp", "in_dim": 1, "classes": 2}, "second": {"name": "mlp", "classes": 2}}
    assert problems(lambda: build(pair, dict[str, types.Head])) == [
        "second: mlp needs 'in_dim', which this field does not provide"
    ]


class Two:
    """A model with a list of encoders and an optional fusion."""

    def __init__(self, towers: Sequence[types.Encoder], fusion: types.Fusion | None = None, out: Any = None) -> None:
        self.towers, self.fusion, self.out = towers, fusion, out


def test_lists_and_options_of_parts_provide_too(monkeypatch: pytest.MonkeyPatch, parts: SimpleNamespace) -> None:
    encoders = Registry(
        "encoder", types.Encoder, "ppmm.config", ["in_channels"],
        lambda built: {"in_dims": {str(index): part.out_dim for index, part in enumerate(built)}},
    )  # fmt: skip
    encoders.register("resnet_small")(parts.resnet_small)
    models = Registry("model", types.Model, "ppmm.config")
    models.register("two")(Two)
    monkeypatch.setitem(REGISTRIES, types.Encoder, encoders)
    monkeypatch.setitem(REGISTRIES, types.Model, models)
    node = {"name": "two", "towers": [{"name": "resnet_small"}, {"name": "resnet_small", "width": 1}]}
    built = build({**node, "fusion": {"name": "concat"}}, types.Model, {"in_channels": 1})
    assert built.fusion.arguments == {"in_dims": {"0": 32, "1": 2}}
    assert build({**node, "fusion": None}, types.Model, {"in_channels": 1}).fusion is None


# Problems


def test_a_value_that_a_constructor_refuses(tmp_path: Path, problems: Problems) -> None:
    path = tmp_path / "f.yaml"
    path.write_text("image:\n  name: image\n  augment:\n    - {name: none}\n    - {name: shift, pixels: -1}\n")
    assert problems(lambda: build(load(path)["image"], types.Field)) == [
        "f.yaml:5 image.augment.1: shift: pixels must be 0 or more"
    ]
    tree = load(path, ["image.augment.1={name: shift, pixels: -2}"])
    assert problems(lambda: build(tree["image"], types.Field)) == [
        "-o image.augment.1: shift: pixels must be 0 or more"
    ]


@dataclasses.dataclass(frozen=True)
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


def test_a_value_that_a_dataclass_refuses(problems: Problems) -> None:
    tree = loads("range: {low: 3, high: 1}", "f.yaml")
    assert problems(lambda: build(tree["range"], Range)) == ["f.yaml:1 range: Range: low is above high"]
    with pytest.raises(ConfigError) as caught:
        build(tree["range"], Range)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_mistake_of_the_code_is_not_blamed_on_the_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self) -> None:
            raise TypeError("a bug")

    registry = Registry("augmentation", types.Augmentation, "ppmm.config")
    registry.register("broken")(Broken)
    monkeypatch.setitem(REGISTRIES, types.Augmentation, registry)
    with pytest.raises(TypeError, match="a bug"):
        build({"name": "broken"}, types.Augmentation)


def test_a_place_free_error_of_a_constructor_gets_its_place(
    monkeypatch: pytest.MonkeyPatch, problems: Problems
) -> None:
    class Picky:
        def __init__(self, columns: Mapping[str, str]) -> None:
            raise ConfigError(["no column a", "no column b"])

    Picky.__init__.__annotations__["columns"] = Mapping[str, str]
    registry = Registry("dataset", types.Dataset, "ppmm.config")
    registry.register("picky")(Picky)
    monkeypatch.setitem(REGISTRIES, types.Dataset, registry)
    tree = loads("train: {name: picky, columns: {}}", "f.yaml")
    assert problems(lambda: build(tree["train"], types.Dataset)) == [
        "f.yaml:1 train: picky: no column a",
        "f.yaml:1 train: picky: no column b",
    ]


@pytest.mark.parametrize(
    "value", [None, 3, [], {}, {"name": None}, {"name": "shfit"}, {"name": "shift", "pixels": "x"}]
)
def test_an_unchecked_value_is_checked_first(value: Any, parts: SimpleNamespace, problems: Problems) -> None:
    assert problems(lambda: build(value, types.Augmentation))
    assert parts.made() == 0
