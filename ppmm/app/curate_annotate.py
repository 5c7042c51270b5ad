"""tools/data.py annotate: rows to Label Studio and back; what to label next."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppmm.app.curate_source import add_source_arguments, collections_of
from ppmm.app.document import write_document

if TYPE_CHECKING:
    from ppmm.data.curate.collection import Collection

__all__ = ["add_arguments", "run"]

LOCAL_FILES = "/data/local-files/?d="


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``annotate export | import | rank``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    export = actions.add_parser("export", help="rows -> tasks, with model predictions as pre-annotations")
    rank = actions.add_parser("rank", help="rows without a label, the most uncertain first")
    for action in (export, rank):
        add_source_arguments(action)
        action.add_argument("--target", required=True, metavar="COLUMN", help="column to be filled")
        action.add_argument("--out", required=True, type=Path, help="file to write")
        action.add_argument("-w", "--weights", help="checkpoint folder that predicts classes")
        action.add_argument("--predictions", type=Path, help="what tools/infer.py --manifest wrote, instead")
        action.add_argument("--columns", nargs="+", metavar="FIELD=COLUMN", help="columns of the model's fields")
    export.add_argument(
        "--task", choices=("classify", "write"), default="classify", help="write: captions, transcripts"
    )
    export.add_argument("--classes", nargs="+", help="choices; those in the data and of the model by default")
    export.add_argument("--show", nargs="+", metavar="COLUMN", help="columns to show; all media and texts by default")
    export.add_argument("--prefix", default=LOCAL_FILES, help="put before paths to make URLs")
    export.add_argument("--unlabelled", action="store_true", help="only rows without a value")
    rank.add_argument("--by", choices=("entropy", "margin", "least"), default="entropy", help="measure of uncertainty")
    rank.add_argument("--limit", type=int, help="write only so many rows")
    back = actions.add_parser("import", help="tasks -> rows")
    back.add_argument("tasks", type=Path, help="JSON that Label Studio exported")
    back.add_argument("--target", required=True, metavar="COLUMN", help="column to be filled")
    back.add_argument("--out", required=True, type=Path, help="manifest to write")
    back.add_argument("--keep", action="store_true", help="keep whole annotations in the column label_studio")
    back.add_argument("--prefix", default=LOCAL_FILES, help="what export put before paths")


def run(args: argparse.Namespace) -> int:
    """Do what ``action`` says; returns 0."""
    {"export": _export, "import": _import, "rank": _rank}[args.action](args)
    return 0


def _export(args: argparse.Namespace) -> None:
    """Write tasks, and beside them the labelling configuration (``.xml``)."""
    from ppmm.data.curate.label_studio import Project, labelling_config, to_tasks
    from ppmm.data.curate.table_writer import write_text
    from ppmm.errors import DataError

    collection = _one(args)
    config = args.out.with_suffix(".xml")
    _refuse_overwriting(args.out, collection, config)
    predictions = _predictions(args, collection)
    shown = tuple(args.show or collection.columns("image", "audio", "text"))
    shown = tuple(column for column in shown if column != args.target)
    if not shown or any(collection.kinds.get(column) not in ("image", "audio", "text") for column in shown):
        raise DataError(f"--show: give images, recordings or texts; there are {', '.join(collection.kinds)}")
    classes = _classes(args, collection, predictions) if args.task == "classify" else None
    project = Project(args.target, shown, classes, args.prefix)
    best = {index: _best(answer) for index, answer in predictions.items()}
    wanted = [i for i in range(len(collection)) if not args.unlabelled or collection.value(i, args.target) is None]
    tasks = to_tasks(collection, project, best, args.weights or str(args.predictions), wanted)
    write_document(args.out, tasks)
    write_text(config, labelling_config(project, collection.kinds))
    print(f"{len(tasks):,} tasks, {sum(bool(task['predictions']) for task in tasks):,} pre-annotated -> {args.out}")
    print(f"labelling configuration -> {config}; Label Studio must serve '{collection.root}' as local files")


def _import(args: argparse.Namespace) -> None:
    """Write a manifest with what was annotated."""
    from ppmm.data.curate.label_studio import from_tasks
    from ppmm.data.curate.table_writer import write_table
    from ppmm.errors import DataError

    try:
        tasks = json.loads(args.tasks.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"'{args.tasks}' cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{args.tasks}' is no JSON: {error}; export as JSON from Label Studio") from error
    if args.out.resolve() == args.tasks.resolve():
        raise DataError(f"--out '{args.out}' is the file of the tasks itself; choose another one")
    if not isinstance(tasks, list) or not tasks:
        raise DataError(f"'{args.tasks}' is no list of tasks; export as JSON from Label Studio")
    rows, disputed = from_tasks(tasks, args.target, keep=args.keep, prefix=args.prefix)
    write_table(args.out, rows)
    print(f"{len(rows):,} rows -> {args.out}; {sum(row.get(args.target) not in (None, '') for row in rows):,} labelled")
    if disputed:
        print(f"annotators disagree evenly on {len(disputed):,}: {', '.join(disputed[:10])}")


def _rank(args: argparse.Namespace) -> None:
    """Write the rows without a value as JSONL, the most uncertain first, with ``uncertainty`` and ``predicted``."""
    from ppmm.data.curate.table_writer import write_table
    from ppmm.data.curate.uncertainty import uncertainty
    from ppmm.errors import DataError

    collection = _one(args)
    _refuse_overwriting(args.out, collection)
    if args.limit is not None and args.limit < 1:
        raise DataError(f"--limit {args.limit} must be at least 1")
    answers = _predictions(args, collection)
    unlabelled = [index for index in range(len(collection)) if collection.value(index, args.target) is None]
    if not unlabelled or not answers:
        raise DataError("rank needs rows without a label and -w CHECKPOINT or --predictions F with probabilities")
    if missing := [index for index in unlabelled if not _probabilities(answers.get(index, {}))]:
        raise DataError(f"{len(missing):,} rows have no probabilities, first {collection.id(missing[0])}")
    scores = {index: uncertainty(list(_probabilities(answers[index]).values()), args.by) for index in unlabelled}
    order = sorted(unlabelled, key=lambda index: (-scores[index], index))[: args.limit]
    entries = [
        {**collection.rows[i].cells, "uncertainty": round(scores[i], 6), "predicted": _best(answers[i])[0]}
        for i in order
    ]
    write_table(args.out, entries)
    print(f"{len(order):,} of {len(unlabelled):,} rows without '{args.target}' -> {args.out}")


def _one(args: argparse.Namespace) -> Collection:
    from ppmm.errors import DataError

    collections = collections_of(args)
    if len(collections) != 1:
        raise DataError("annotate takes one manifest (or one --split of a YAML)")
    collection = collections[0]
    collection.kinds.setdefault(args.target, "label")
    return collection


def _predictions(args: argparse.Namespace, collection: Collection) -> dict[int, dict[str, Any]]:
    """Row index -> answer, of a checkpoint or of a file. Raises DataError."""
    from ppmm.data.table import read_table
    from ppmm.errors import DataError

    path = args.predictions
    if path is None and args.weights is None:
        return {}
    if path is None and getattr(args, "task", "classify") == "write":
        raise DataError(
            "-w cannot pre-annotate --task write: a checkpoint answers with classes, and none writes captions or "
            "transcripts yet; give texts that another model wrote with --predictions F (JSONL of id and text)"
        )
    if path is None:
        from ppmm.app.infer import infer_manifest
        from ppmm.sample_arguments import pairs

        if collection.path is None:
            raise DataError("-w needs a manifest: run tools/infer.py and give --predictions F")
        path = args.out.with_suffix(".predictions.jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        infer_manifest(args.weights, str(collection.path), pairs(args.columns) if args.columns else None, str(path))
    by_id = {str(row.cells.get("id")): row.cells for row in read_table(path)}
    names = {collection.path.name} if collection.path is not None else {collection.name}
    found = {}
    for index in range(len(collection)):
        keys = [collection.id(index), *(f"{name}:{collection.line(index)}" for name in names)]
        answer = next((by_id[key] for key in keys if key in by_id), None)
        if answer is not None:
            found[index] = dict(answer)
    if not found:
        raise DataError(f"'{path}' has no answer to any row: its ids are like {next(iter(by_id))!r}")
    return found


def _best(answer: Mapping[str, Any]) -> tuple[str, float]:
    """(value, score): the first key that is neither id nor score, and the largest probability. Raises DataError."""
    from ppmm.errors import DataError

    value = next((str(v) for name, v in answer.items() if name not in ("id", "probabilities", "score")), None)
    if value is None:
        raise DataError(f"prediction of {answer.get('id')!a} says nothing: it has the keys {', '.join(answer)}")
    score = answer.get("score", _probabilities(answer).get(value, 1.0))
    if isinstance(score, bool) or not isinstance(score, int | float):
        raise DataError(f"prediction of {answer.get('id')!a}: the score {score!a} is no number")
    return value, float(score)


def _probabilities(answer: Mapping[str, Any]) -> dict[str, float]:
    """The probability of each class; {} where the answer has none. Raises DataError."""
    from ppmm.errors import DataError

    found = answer.get("probabilities") or {}
    if not isinstance(found, Mapping) or not all(type(value) in (int, float) for value in found.values()):
        raise DataError(f"prediction of {answer.get('id')!a}: 'probabilities' must be numbers by class")
    return dict(found)


def _refuse_overwriting(out: Path, collection: Collection, config: Path | None = None) -> None:
    """Raises DataError where ``out`` is the manifest itself or the labelling configuration."""
    from ppmm.errors import DataError

    if collection.path is not None and out.resolve() == collection.path.resolve():
        raise DataError(f"--out '{out}' is the manifest itself, which is never changed; choose another file")
    if config is not None and out.resolve() == config.resolve():
        raise DataError(f"--out '{out}': the labelling configuration goes there; choose a name that ends in .json")


def _classes(args: argparse.Namespace, collection: Collection, predictions: Mapping[int, Any]) -> tuple[str, ...]:
    """Choices: as given, else those of the model and of the data. Raises DataError without any."""
    from ppmm.errors import DataError

    known = dict.fromkeys(args.classes or ())
    if not known:
        for answer in list(predictions.values())[:1]:
            known.update(dict.fromkeys(sorted(_probabilities(answer))))
        known.update(dict.fromkeys(sorted({str(value) for _, value in collection.values(args.target)})))
    if not known:
        raise DataError("no classes to choose from: give --classes")
    return tuple(known)
