"""tools/probe.py: what frozen embeddings know: zero-shot by class names, nearest neighbours, a linear probe."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from ppmm.app.checkpoints import Loaded, load_checkpoint
from ppmm.app.document import write_document
from ppmm.app.evaluate import with_progress
from ppmm.app.experiment import Parts, file_fields, make_loader
from ppmm.app.picked_rows import rows_with_any
from ppmm.config import ConfigNode, build, check, load
from ppmm.errors import ConfigError, DataError
from ppmm.index.vector_index import unit_rows
from ppmm.registry import did_you_mean
from ppmm.types import Dataset

__all__ = ["METHODS", "ProbeSection", "Prompts", "knn_accuracy", "linear_accuracy", "probe", "zero_shot_accuracy"]

METHODS = ("zero_shot", "knn", "linear")
REGULARISATION = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclasses.dataclass(frozen=True)
class Prompts:
    """How class names become texts.

    Args:
        field: the text field of the model.
        templates: texts with ``{}`` where the name goes; the mean of their unit embeddings stands for the class
            (Radford et al. 2021, CLIP, section 3.1.4).
        names: class -> its names, when it has others than itself, or several; of classes that the test rows have.
    """

    field: str
    templates: list[str]
    names: dict[str, list[str]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ProbeSection:
    """A YAML for tools/probe.py.

    Args:
        field: of the model, whose embeddings are examined; rows that lack it are left out.
        target: column of the class.
        test: rows that are classified.
        train: rows with which neighbours and the linear probe are fitted; zero-shot needs none.
        prompts: see `Prompts`; zero-shot needs them.
        neighbours: k of the nearest-neighbour classifier.
    """

    field: str
    target: str
    test: Dataset
    train: Dataset | None = None
    prompts: Prompts | None = None
    neighbours: int = 20


def probe(
    weights: str, path: str, *, methods: Sequence[str] = (), out: str | None = None, plugins: Collection[str] = ()
) -> dict[str, Any]:
    """Print the accuracy of each method; returns ``{rows, classes, majority, <method>: accuracy}``.

    Args:
        weights: checkpoint folder.
        path: YAML of a `ProbeSection`.
        methods: of `METHODS`; all that the YAML allows when empty.
        out: JSON file for the result.
        plugins: code that the checkpoint may import.
    """
    loaded = load_checkpoint(weights, plugins=plugins)
    node = load(path)
    check(node, ProbeSection)
    section: ProbeSection = build(node, ProbeSection, {"file_fields": file_fields(loaded.config)})
    chosen = _chosen(section, methods, path)
    if section.field not in loaded.parts.fields:
        raise ConfigError(
            f"{node.place('field')} field: no such field{did_you_mean(section.field, loaded.parts.fields)}"
        )
    if section.neighbours < 1:
        raise ConfigError(f"{node.place('neighbours')} neighbours: must be at least 1, got {section.neighbours}")
    if "zero_shot" in chosen and section.prompts is not None:
        _check_prompts(loaded, section.prompts, node["prompts"])
    rows = rows_with_any(section.test, [section.field])
    test, truth = embeddings(loaded, rows, section.field), _classes(rows, section.target)
    names, counts = np.unique(truth, return_counts=True)
    document: dict[str, Any] = {"rows": len(truth), "classes": len(names), "majority": float(counts.max() / len(truth))}
    if "zero_shot" in chosen and section.prompts is not None:
        classes, vectors = _class_embeddings(loaded, section.prompts, names.tolist())
        document["zero_shot"] = zero_shot_accuracy(test, truth, classes, vectors)
    if section.train is not None and {"knn", "linear"} & set(chosen):
        known = rows_with_any(section.train, [section.field])
        train, labels = embeddings(loaded, known, section.field), _classes(known, section.target)
        if "knn" in chosen:
            document["knn"] = knn_accuracy(train, labels, test, truth, section.neighbours)
        if "linear" in chosen:
            document["linear"] = linear_accuracy(train, labels, test, truth)
    print(
        "  ".join(
            f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value}" for name, value in document.items()
        )
    )
    write_document(out, document)
    return document


def zero_shot_accuracy(test: np.ndarray, truth: np.ndarray, classes: Sequence[str], vectors: np.ndarray) -> float:
    """Share of rows of ``test`` [N,D] whose most similar class vector [C,D] (cosine) is that of the truth [N]."""
    return float((np.asarray(classes)[(unit_rows(test) @ unit_rows(vectors).T).argmax(axis=1)] == truth).mean())


def knn_accuracy(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray, neighbours: int = 20
) -> float:
    """Vote of the nearest rows by cosine, each weighted by exp(similarity / 0.07) (Wu et al. 2018, equation 7)."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(
        min(neighbours, len(train)), metric="cosine", weights=lambda distance: np.exp((1.0 - distance) / 0.07)
    )
    return float(classifier.fit(unit_rows(train), labels).score(unit_rows(test), truth))


def linear_accuracy(train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray) -> float:
    """Logistic regression on unit embeddings; its regularisation is chosen on a fifth of the training rows."""
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        raise DataError("a linear probe needs training rows of two classes at least")
    held = np.arange(len(train)) % 5 == 4
    rows = unit_rows(train) * np.sqrt(train.shape[1])

    def fitted(strength: float, chosen: np.ndarray) -> Any:
        return LogisticRegression(C=strength, max_iter=2000).fit(rows[chosen], labels[chosen])

    every = np.ones(len(train), dtype=bool)
    if held.any() and len(np.unique(labels[~held])) == len(np.unique(labels)):
        scores = [fitted(strength, ~held).score(rows[held], labels[held]) for strength in REGULARISATION]
        best = REGULARISATION[int(np.argmax(scores))]
    else:
        best = 1.0
    return float(fitted(best, every).score(unit_rows(test) * np.sqrt(test.shape[1]), truth))


def embeddings(loaded: Loaded, rows: Dataset, field: str) -> np.ndarray:
    """float32 [N,D] of one field: the model's ``<field>_embed`` or, where it has none, what its encoder pools."""
    import paddle

    held: list[np.ndarray] = []
    encoder = loaded.model.encoders[field]
    hook = encoder.register_forward_post_hook(lambda layer, inputs, output: held.append(output.pooled.numpy()))
    others = [name for name in loaded.parts.fields if name != field]
    loader = make_loader(loaded.config, rows, Parts(loaded.parts.fields, {}), without=others)
    found = []
    try:
        with paddle.no_grad():
            for batch in with_progress(loader.epoch(), len(loader), f"embed {field}"):
                held.clear()
                outputs = loaded.model(batch)
                name = f"{field}_embed"
                found.append(outputs[name].numpy() if name in outputs else held[0])
    finally:
        hook.remove()
    return np.concatenate(found)


def _check_prompts(loaded: Loaded, prompts: Prompts, node: ConfigNode) -> None:
    fields = loaded.parts.fields
    if prompts.field not in fields:
        raise ConfigError(f"{node.place('field')} prompts.field: no such field{did_you_mean(prompts.field, fields)}")
    if fields[prompts.field].kind != "text":
        raise ConfigError(f"{node.place('field')} prompts.field: '{prompts.field}' is no text field")
    if f"{prompts.field}_embed" not in getattr(loaded.model, "outputs", ()):
        raise ConfigError("zero-shot needs a model with one space for all fields, such as two_tower")
    if not prompts.templates or any("{}" not in template for template in prompts.templates):
        place = node.place("templates")
        raise ConfigError(f"{place} prompts.templates: each must have {{}} where the name of the class goes")
    for label, names in prompts.names.items():
        if not names:
            raise ConfigError(f"{node.place('names')} prompts.names.{label}: at least one name is needed")


def _class_embeddings(loaded: Loaded, prompts: Prompts, classes: list[str]) -> tuple[list[str], np.ndarray]:
    """[C,D]: for each class the mean of its prompts' unit embeddings."""
    for label in prompts.names:
        if label not in classes:
            raise ConfigError(f"prompts.names.{label}: no test row is of this class{did_you_mean(label, classes)}")
    texts, owners = [], []
    for number, label in enumerate(classes):
        for name in prompts.names.get(label, [label]):
            texts += [template.replace("{}", name) for template in prompts.templates]
            owners += [number] * len(prompts.templates)
    rows: Any = [{"id": text, prompts.field: text} for text in texts]
    vectors = unit_rows(embeddings(loaded, rows, prompts.field))
    return classes, np.stack([vectors[np.array(owners) == number].mean(axis=0) for number in range(len(classes))])


def _classes(rows: Dataset, target: str) -> np.ndarray:
    """str [N]. Raises DataError where a row has none."""
    from ppmm.data.columns import column_of

    values = list(column_of(rows, target))
    if any(value is None for value in values):
        raise DataError(f"{rows[[value is None for value in values].index(True)]['id']}: the row has no '{target}'")
    return np.array([str(value) for value in values])


def _chosen(section: ProbeSection, methods: Sequence[str], path: str) -> list[str]:
    """The methods to run. Raises ConfigError when the YAML lacks what one of them needs."""
    needs: Mapping[str, Any] = {"zero_shot": section.prompts, "knn": section.train, "linear": section.train}
    for method in methods:
        if needs[method] is None:
            lacking = "prompts" if method == "zero_shot" else "train"
            raise ConfigError(f"{path}: {method} needs the key '{lacking}'")
    chosen = list(methods) or [method for method in METHODS if needs[method] is not None]
    if not chosen:
        raise ConfigError(f"{path}: give 'prompts' for zero-shot, or 'train' for neighbours and a linear probe")
    return chosen
