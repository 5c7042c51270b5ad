from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ppmm import types
from ppmm.config import Experiment, check, load, loads
from ppmm.errors import ConfigError

Problems = Callable[[Callable[[], Any]], list[str]]
GOOD = """\
name: quickstart
data:
  train: {name: manifest, path: train.jsonl, columns: {image: image, text: question}}
  val: {name: manifest, path: val.jsonl, columns: {image: image, text: question}, rows: 5}
fields:
  image: {name: image, size: [32, 32], augment: [{name: shift, pixels: 2}]}
targets:
  answer: {name: label, classes: [yes, no, 0, 1]}
model:
  name: late_fusion
  encoders:
    image: {name: resnet_small}
    text: {name: bilstm, dim: 3}
  fusion: {name: gated, dim: 8}
  head: {name: mlp}
objective: {name: cross_entropy, target: answer}
optimizer: {name: adamw, learning_rate: 2e-3}
schedule: {name: constant}
metrics: [{name: accuracy, target: answer}]
trainer: {epochs: 2}
"""


@dataclasses.dataclass(frozen=True)
class OneAugmentation:
    """The smallest schema with a part in it."""

    augment: types.Augmentation


def check_text(text: str, schema: type = Experiment) -> list[str]:
    """The problems of a text in ``f.yaml``."""
    with pytest.raises(ConfigError) as caught:
        check(loads(text, "f.yaml"), schema)
    return caught.value.problems


def probe(argument: str) -> str:
    """The one problem of ``{name: probe, <argument>}``, without its place."""
    (problem,) = check_text(f"augment:\n  name: probe\n  {argument}\n", OneAugmentation)
    place = f"f.yaml:3 augment.{argument.split(':')[0]}"
    assert problem.startswith(place)
    return problem.removeprefix(place).removeprefix(": ")


def test_a_good_config_has_no_problems_and_nothing_is_built(parts: SimpleNamespace) -> None:
    tree = loads(GOOD)
    before = copy.deepcopy(tree)
    check(tree, Experiment)
    assert parts.made() == 0
    assert tree == before


def test_plain_mappings_can_be_checked(problems: Problems) -> None:
    check({"augment": {"name": "shift", "pixels": 2}}, OneAugmentation)
    assert problems(lambda: check({"augment": {"name": "shift", "pixels": "2"}}, OneAugmentation)) == [
        "augment.pixels: expected int, got '2' (str); write 2, without quotes"
    ]


@pytest.mark.parametrize(
    "argument",
    [
        "whole: 3", "real: 3", "real: 1e-4", "real: .inf", "flag: true", "text: yes", "text: 'no'", "path: data/x",
        "path: null", "mode: min", "numbers: [1, 2]", "numbers: []", "pair: [1, 2]", "row: [1, 2.5]", "rates: 0.5",
        "rates: {image: 0.5, text: 1}", "label: yes", "label: 3", "label: 0.5", "either: 1.5",
        "anything: {a: [1, {name: nothing}]}", "untyped: {a: 1}", "inner: {name: shift, pixels: 1}", "inner: null",
    ],
)  # fmt: skip
def test_right_types(argument: str) -> None:
    check(loads(f"augment: {{name: probe, {argument}}}"), OneAugmentation)


def test_none_is_written_null() -> None:
    assert check_text(GOOD.replace("rows: 5", "rows: None")) == [
        "f.yaml:4 data.val.rows: expected int or null, got 'None' (str); write null"
    ]


def test_keyword_arguments_are_open_but_typed() -> None:
    check(loads("augment: {name: open, size: 2, gain: 0.5}"), OneAugmentation)
    assert check_text("augment: {name: open, gain: loud}", OneAugmentation) == [
        "f.yaml:1 augment.gain: expected float, got 'loud' (str)"
    ]


def test_an_injected_argument_may_be_given_and_may_be_missing() -> None:
    check(loads(GOOD.replace("{name: resnet_small}", "{name: resnet_small, in_channels: 3}")), Experiment)
    check(loads(GOOD.replace("{name: mlp}", "{name: mlp, classes: 3, in_dim: 2}")), Experiment)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("whole: wide", "expected int, got 'wide' (str)"),
        ("whole: 3.0", "expected int, got 3.0 (float); write 3"),
        ("whole: 3.5", "expected int, got 3.5 (float)"),
        ("whole: 1e3", "expected int, got 1000.0 (float); write 1000"),
        ("whole: true", "expected int, got true (bool)"),
        ("whole: '3'", "expected int, got '3' (str); write 3, without quotes"),
        ("whole: 1_000", "expected int, got '1_000' (str); write 1000, without underscores"),
        ("whole:", "expected int, got null; a key with nothing after it is null"),
        ("whole: [3]", "expected int, got a list of 1"),
        ("whole: {a: 3}", "expected int, got a mapping"),
        ("real: true", "expected float, got true (bool)"),
        ("real: 1,5", "expected float, got '1,5' (str); write 1.5, with a point"),
        ("real: '1e-4'", "expected float, got '1e-4' (str); write 1e-4, without quotes"),
        ("real: " + "9" * 400, "expected float, got 999999999999999999999999999999999999999999999...9999999999 (int)"),
        ("flag: yes", "expected bool, got 'yes' (str); write true"),
        ("flag: Off", "expected bool, got 'Off' (str); write false"),
        ("flag: 'true'", "expected bool, got 'true' (str); write true, without quotes"),
        ("flag: 1", "expected bool, got 1 (int); write true or false"),
        ("flag: [1]", "expected bool, got a list of 1; write true or false"),
        ("text: 18", "expected str, got 18 (int); to make it text, quote it: '18'"),
        ("text: true", "expected str, got true (bool); to make it text, quote it: 'true'"),
        ("path: 18", "expected path or null, got 18 (int); to make it text, quote it: '18'"),
        ("path: [a]", "expected path or null, got a list of 1"),
        ("mode: maximum", "expected 'max' or 'min', got 'maximum' (str); did you mean 'max'?"),
        ("mode: up", "expected 'max' or 'min', got 'up' (str)"),
        ("mode: 1", "expected 'max' or 'min', got 1 (int)"),
        ("numbers: 3", "expected list of int, got 3 (int); write [3]"),
        ("numbers: 1, 2", "expected list of int, got '1, 2' (str); write [1, 2]"),
        ("numbers: {a: 1}", "expected list of int, got a mapping; begin each item with '- '"),
        ("pair: [1]", "expected list of 2 (int, int), got a list of 1"),
        ("pair: [1, 2, 3]", "expected list of 2 (int, int), got a list of 3"),
        ("pair: 3", "expected list of 2 (int, int), got 3 (int); write [3, 3]"),
        ("pair: 32x24", "expected list of 2 (int, int), got '32x24' (str); write [32, 24]"),
        ("rates: loud", "expected mapping of float or float, got 'loud' (str)"),
        ("rates: [1]", "expected mapping of float or float, got a list of 1; remove the '- ' or the [ ]"),
        ("label: true", "expected str or int, got true (bool); to make it text, quote it: 'true'"),
        ("inner: shift", "expected augmentation or null, got 'shift' (str); write {name: shift}"),
        ("inner: shfit", "expected augmentation or null, got 'shfit' (str); write {name: ...}"),
        ("hidden: 3", "only code can give this argument, a YAML cannot: it is Tensor | None, which is unknown at run "
                      "time (name 'Tensor' is not defined)"),
    ],
)  # fmt: skip
def test_wrong_types_say_what_to_write(argument: str, message: str) -> None:
    assert probe(argument) == message


def test_wrong_items_are_named_by_their_index_and_key() -> None:
    text = "augment:\n  name: probe\n  numbers:\n    - 1\n    - x\n  pair: [1, y]\n  rates: {image: no}\n  row: [z]\n"
    assert check_text(text, OneAugmentation) == [
        "f.yaml:5 augment.numbers.1: expected int, got 'x' (str)",
        "f.yaml:6 augment.pair.1: expected int, got 'y' (str)",
        "f.yaml:7 augment.rates.image: expected float, got 'no' (str)",
        "f.yaml:8 augment.row.0: expected float, got 'z' (str)",
    ]


def test_an_optional_part_is_checked_like_a_part() -> None:
    text = "augment:\n  name: probe\n  inner: {name: probe, inner: {name: shift, pixel: 1}}\n"
    assert check_text(text, OneAugmentation) == [
        "f.yaml:3 augment.inner.inner.pixel: no such argument of shift; did you mean 'pixels'?",
        "f.yaml:3 augment.inner.inner: shift needs 'pixels' (int)",
    ]


def test_nested_options_take_linear_time() -> None:
    text = "{name: shift, pixels: x}"
    for _ in range(55):
        text = f"{{name: probe, inner: {text}}}"
    (problem,) = check_text(f"augment: {text}", OneAugmentation)
    assert problem.endswith(".pixels: expected int, got 'x' (str)")


def test_the_messages_of_the_design() -> None:
    text = GOOD.replace("fusion: {name: gated, dim: 8}", "fusion:\n    name: gated\n    dmi: wide\n    gates: wide")
    assert check_text(text) == [
        "f.yaml:14 model.fusion: gated needs 'dim' (int)",
        "f.yaml:16 model.fusion.dmi: no such argument of gated; did you mean 'dim'?",
        "f.yaml:17 model.fusion.gates: expected int, got 'wide' (str)",
    ]


def test_unknown_names_and_missing_names() -> None:
    text = (
        GOOD.replace("{name: gated, dim: 8}", "{name: gatd, dim: 8}")
        .replace("{name: mlp}", "{nmae: mlp}")
        .replace("{name: constant}", "{constant: {}}")
        .replace("{name: adamw, learning_rate: 2e-3}", "{name: 3}")
        .replace("{name: cross_entropy, target: answer}", "{target: answer}")
        .replace("{name: resnet_small}", "{name:resnet_small}")
    )
    assert check_text(text) == [
        "f.yaml:12 model.encoders.image: this encoder has no 'name'; put a space after 'name:'",
        "f.yaml:14 model.fusion.name: no fusion named 'gatd'; did you mean 'gated'?",
        "f.yaml:15 model.head: this head has no 'name'; is 'nmae: mlp' meant to be 'name: mlp'?",
        "f.yaml:16 objective: this objective has no 'name'; there is cross_entropy",
        "f.yaml:17 optimizer.name: expected str, got 3 (int); to make it text, quote it: '3'",
        "f.yaml:18 schedule: this schedule has no 'name'; write {name: constant, ...}",
    ]


def test_a_class_without_arguments_takes_none() -> None:
    text = GOOD.replace("{name: constant}", "{name: constant, x: 1}")
    assert check_text(text) == ["f.yaml:18 schedule.x: no such argument of constant; it takes none"]


def test_the_constructor_of_a_protocol_takes_nothing(parts: SimpleNamespace) -> None:
    # its signature says *args, **kwargs, and Python replaces it by that of object at the first instance
    parts.none()
    found = check_text("augment: {name: none, x: 1}", OneAugmentation)
    assert found == ["f.yaml:1 augment.x: no such argument of none; it takes none"]


def test_a_part_where_a_mapping_of_parts_belongs() -> None:
    text = GOOD.replace("  encoders:\n    image: {name: resnet_small}\n    text: {name: bilstm, dim: 3}\n", "")
    assert check_text(
        text.replace("  name: late_fusion\n", "  name: late_fusion\n  encoders: {name: bilstm, dim: 3}\n")
    ) == [
        "f.yaml:11 model.encoders: expected a mapping of encoder, got one encoder; "
        "write {some_key: {name: bilstm, ...}}"
    ]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("metrics: [{name: accuracy, target: answer}]", "metrics: {name: accuracy, target: answer}",
         "f.yaml:19 metrics: expected list of metric, got a mapping; begin each item with '- '"),
        ("fusion: {name: gated, dim: 8}", "fusion: [{name: gated, dim: 8}]",
         "f.yaml:14 model.fusion: expected fusion, got a list of 1; write {name: ...}"),
        ("fusion: {name: gated, dim: 8}", "fusion: name:gated",
         "f.yaml:14 model.fusion: expected fusion, got 'name:gated' (str); put a space after ':'"),
        ("fusion: {name: gated, dim: 8}", "fusion:",
         "f.yaml:14 model.fusion: expected fusion, got null; a key with nothing after it is null"),
        ("fusion: {name: gated, dim: 8}", "fusion: {name: gated, dim: 8, gates:8}",
         "f.yaml:14 model.fusion.gates:8: no such argument of gated; put a space after ':'"),
        ("trainer: {epochs: 2}", "trainer: [epochs, 2]",
         "f.yaml:20 trainer: expected mapping, got a list of 2; remove the '- ' or the [ ]"),
        ("trainer: {epochs: 2}", "trainer: {epohcs: 2, epochs: 2}",
         "f.yaml:20 trainer.epohcs: no such key; did you mean 'epochs'?"),
        ("trainer: {epochs: 2}", "trainer: {epochs: 2}\nbatch_size: 3",
         "f.yaml:21 batch_size: no such key; it belongs under 'loader'"),
        ("trainer: {epochs: 2}", "trainer: {epochs: 2}\nsede: 3", "f.yaml:21 sede: no such key; did you mean 'seed'?"),
        ("trainer: {epochs: 2}", "", "f.yaml:1: needs 'trainer' (mapping)"),
        ("trainer: {epochs: 2}", "trainer: {}", "f.yaml:20 trainer: needs 'epochs' (int)"),
        ("{name: cross_entropy, target: answer}", "3",
         "f.yaml:16 objective: expected objective, got 3 (int); write {name: ...}"),
    ],
)  # fmt: skip
def test_one_mistake_is_one_problem(old: str, new: str, problem: str) -> None:
    assert check_text(GOOD.replace(old, new)) == [problem]


def test_problems_are_sorted_by_file_and_line_and_overrides_come_last(tmp_path: Path, problems: Problems) -> None:
    (tmp_path / "base.yaml").write_text("seed: x\ntrainer: {epochs: 1, log_every: 0}\n")
    path = tmp_path / "run.yaml"
    path.write_text(
        "_base_: base.yaml\n" + GOOD.replace("trainer: {epochs: 2}", "threads: two").replace("pixels", "pixel")
    )
    tree = load(path, ["model.fusion.dmi=3", "loader={batch_size: x}", "trainer.epochs=0"])
    assert problems(lambda: check(tree, Experiment)) == [
        "base.yaml:1 seed: expected int, got 'x' (str)",
        "base.yaml:2 trainer.log_every: must be at least 1, got 0",
        "run.yaml:7 fields.image.augment.0.pixel: no such argument of shift; did you mean 'pixels'?",
        "run.yaml:7 fields.image.augment.0: shift needs 'pixels' (int)",
        "run.yaml:21 threads: expected int, got 'two' (str)",
        "-o loader loader.batch_size: expected int, got 'x' (str)",
        "-o model.fusion.dmi: no such argument of gated; did you mean 'dim'?",
        "-o trainer.epochs: must be at least 1, got 0",
    ]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("loader: {batch_size: 0}", "loader.batch_size: must be at least 1, got 0"),
        ("loader: {workers: -1}", "loader.workers: must be at least 0, got -1"),
        ("loader: {modality_dropout: 1.0}",
         "loader.modality_dropout: must be a probability from 0 to below 1, got 1.0"),
        ("loader: {modality_dropout: {image: 0.1, text: -0.1}}",
         "loader.modality_dropout: must be a probability from 0 to below 1, got -0.1 for text"),
        ("loader: {modality_dropout: .nan}",
         "loader.modality_dropout: must be a probability from 0 to below 1, got nan"),
        ("export: {tolerance: 0}", "export.tolerance: must be above 0 and finite, got 0"),
        ("export: {tolerance: .inf}", "export.tolerance: must be above 0 and finite, got inf"),
        ("export: {split: ''}", "export.split: must not be empty, got ''"),
        ("seed: -1", "seed: must be from 0 to 4294967295, the range of NumPy's seeds, got -1"),
        ("threads: 0", "threads: must be at least 1, got 0"),
        ("device: cuda:1", "device: must be a device of Paddle, got 'cuda:1'; write 'gpu:1'"),
        ("device: GPU 0", "device: must be a device of Paddle such as 'cpu', 'gpu' or 'gpu:0', got 'GPU 0'"),
    ],
)  # fmt: skip
def test_ranges(keys: str, problem: str) -> None:
    assert check_text(f"{GOOD}{keys}\n") == [f"f.yaml:21 {problem}"]


@pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "'a b'", "''", "a\\b", "'x\\n'", "/tmp", "ü"])
def test_a_name_must_be_one_segment_of_a_path(name: str) -> None:
    (problem,) = check_text(GOOD.replace("name: quickstart", f"name: {name}"))
    assert problem.startswith("f.yaml:1 name: must be letters, digits, '_', '-' and inner '.' only")


@pytest.mark.parametrize("name", ["a", "resnet-18_v1.0", "2024"])
def test_good_names(name: str) -> None:
    check(loads(GOOD.replace("name: quickstart", f"name: '{name}'")), Experiment)


def test_the_splits_and_names_are_cross_checked() -> None:
    text = GOOD.replace("  val:", "  valid:").replace("  image: {name: image,", "  a/b: {name: image,")
    message = "a name here is letters, digits, '_', '-' and inner '.' only, since files are named after it"
    assert check_text(text) == [
        "f.yaml:2 data: needs 'val' (dataset); rename 'valid' to 'val'",
        f"f.yaml:6 fields.a/b: {message}",
    ]


@pytest.mark.parametrize("node", [None, [], 3, "x", [{"name": "x"}]])
def test_a_tree_that_is_no_mapping_is_a_problem(node: Any, problems: Problems) -> None:
    (problem,) = problems(lambda: check(node, Experiment))
    assert problem.startswith("expected mapping, got ")


STRANGE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "late_fusion", "shift", "name", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "pixels", "image", "train", "x", "name:x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = [field.name for field in dataclasses.fields(Experiment)]


@given(st.dictionaries(st.sampled_from(KEYS), STRANGE, max_size=4))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_tree_is_a_list_of_problems(changes: dict[str, Any]) -> None:
    tree = {**loads(GOOD), **changes}
    try:
        check(tree, Experiment)
    except ConfigError as error:
        assert error.problems
        assert len(set(error.problems)) == len(error.problems)
