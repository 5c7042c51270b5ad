"""The options of curation that name rows, workers and bounds, and the objects that they stand for."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppmm.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ppmm.data.curate.collection import Collection
    from ppmm.data.curate.journal import Journal
    from ppmm.data.curate.limits import Limits
    from ppmm.data.curate.work import Engine

__all__ = [
    "add_engine_arguments",
    "add_limit_arguments",
    "add_source_arguments",
    "add_work_arguments",
    "collections_of",
    "engine_of",
    "journal_of",
    "limits_of",
]

KIND_HELP = {
    "image": "columns with paths of images",
    "audio": "columns with paths of recordings",
    "text": "columns with texts",
    "label": "columns with class names",
    "id": "column with the row's id",
    "group": "columns whose equal values belong together (speaker, source image)",
}


def add_source_arguments(parser: argparse.ArgumentParser) -> None:
    """Which rows."""
    parser.add_argument("manifest", nargs="*", type=Path, help=".jsonl, .csv, .tsv or .parquet; one per split")
    parser.add_argument("-c", "--config", help="take splits, columns and kinds from this YAML instead")
    parser.add_argument("--split", nargs="+", metavar="NAME", help="only these splits of the YAML")
    for kind, text in KIND_HELP.items():
        parser.add_argument(f"--{kind}", nargs="+", default=[], metavar="COLUMN", help=text)
    parser.add_argument("--root", type=Path, help="folder of the files; the manifest's own by default")


def add_engine_arguments(parser: argparse.ArgumentParser, workers: int) -> None:
    """Who works."""
    parser.add_argument(
        "--workers", type=int, default=workers, help=f"processes; 0 works in this one (default {workers})"
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where (ray: extra 'scale')")
    parser.add_argument("--address", help="Ray cluster to join; none starts one on this machine")


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """How to work."""
    add_engine_arguments(parser, workers=2)
    parser.add_argument("--work", type=Path, default=Path("output/data"), help="folder of journals, for resuming")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has measured")


def add_limit_arguments(parser: argparse.ArgumentParser) -> None:
    """What a row may look like."""
    for name, kind, text in (
        ("min-side", int, "smallest side of an image, pixels"),
        ("max-pixels", int, "largest image, pixels"),
        ("min-seconds", float, "shortest recording"),
        ("max-seconds", float, "longest recording"),
        ("silence-db", float, "peak below which a recording is silent, dB of full scale"),
        ("clipped-share", float, "share of clipped samples that is reported"),
        ("min-chars", int, "shortest text"),
        ("max-chars", int, "longest text"),
        ("imbalance", float, "largest ratio of class sizes"),
    ):
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.add_argument("--language", nargs="+", metavar="CODE", help="languages of the texts: en zh ...")
    parser.add_argument("--required", nargs="+", metavar="COLUMN", help="columns that no row may lack")


def limits_of(args: argparse.Namespace) -> Limits:
    """The bounds, with the defaults where nothing was said. Raises ConfigError."""
    import dataclasses

    from ppmm.data.curate.limits import Limits

    given = {field.name: getattr(args, field.name, None) for field in dataclasses.fields(Limits)}
    given["languages"] = tuple(args.language) if getattr(args, "language", None) else None
    given["required"] = tuple(args.required) if getattr(args, "required", None) else None
    return Limits(**{name: value for name, value in given.items() if value is not None})


def engine_of(args: argparse.Namespace) -> Engine:
    """Who works. Raises ConfigError without Ray."""
    if args.engine == "ray":
        from ppmm.app.ray_engine import RayEngine

        return RayEngine(args.address, max(1, args.workers))
    from ppmm.data.curate.local_engine import LocalEngine

    return LocalEngine(args.workers)


def journal_of(args: argparse.Namespace, name: str, collections: list[Collection]) -> Journal:
    """What is known of these rows, in a file of the work folder."""
    from ppmm.data.curate.journal import Journal, fingerprint

    rows = fingerprint([(one.name, str(one.path and one.path.resolve()), one.kinds) for one in collections])
    return Journal(args.work / f"{name}-{rows}.jsonl", args.fresh)


def collections_of(args: argparse.Namespace) -> list[Collection]:
    """The rows that the options name, one collection per split.

    Raises:
        DataError: neither or both of manifest and config, or rows that cannot be read.
        ConfigError: of the YAML.
    """
    if bool(args.manifest) == bool(args.config):
        raise DataError("give one or more manifests, or -c CONFIG")
    return list(_from_config(args) if args.config else _from_manifests(args))


def _from_manifests(args: argparse.Namespace) -> Iterator[Collection]:
    from ppmm.data.curate.collection import open_collection

    kinds = {column: kind for kind in KIND_HELP for column in getattr(args, kind)}
    twice = [c for c, n in Counter(c for kind in KIND_HELP for c in set(getattr(args, kind))).items() if n > 1]
    if twice:
        raise DataError(f"column '{twice[0]}' is given two kinds")
    _refuse_twice(args.manifest)
    stems = Counter(path.stem for path in args.manifest)
    for path in args.manifest:
        # Manifests of one name lie in folders of different names.
        name = path.stem if stems[path.stem] == 1 else str(path.with_suffix(""))
        collection = open_collection(path, kinds, args.root, name)
        if not kinds:
            shown = ", ".join(f"{column} ({kind})" for column, kind in collection.kinds.items())
            print(f"{path}: {shown}", flush=True)
        yield collection


def _refuse_twice(paths: Sequence[Path]) -> None:
    """Raises DataError for a manifest that is given twice: every row of it would be a leak."""
    for path, count in Counter(path.resolve() for path in paths).items():
        if count > 1:
            raise DataError(f"'{path}' is given {count} times")


def _from_config(args: argparse.Namespace) -> Iterator[Collection]:
    from ppmm.app.experiment import build_parts, build_rows, open_experiment
    from ppmm.data.curate.collection import from_dataset

    config = open_experiment(args.config)
    parts = build_parts(config)
    kinds = {name: field.kind for name, field in parts.fields.items() if field.kind in KIND_HELP}
    kinds.update({name: "label" for name in parts.targets if config["targets"][name]["name"] == "label"})
    for split in args.split or list(config["data"]):
        node: Any = config["data"].get(split)
        # Captions that become rows of their own are rows of no manifest.
        if node is not None and node["name"] == "manifest" and not node.get("expand"):
            yield _from_node(args, split, node, kinds)
        else:
            yield from_dataset(split, build_rows(config, split), kinds)


def _from_node(args: argparse.Namespace, split: str, node: Mapping[str, Any], kinds: dict[str, str]) -> Collection:
    """A manifest of a YAML, by its own columns, so that what is written from it has them too."""
    from ppmm.data.curate.collection import open_collection

    columns = node.get("columns")
    # A split whose manifest has no column for a field lacks that modality.
    named = {
        (columns or {}).get(field, field): kind for field, kind in kinds.items() if not columns or field in columns
    }
    named.update({column: kind for kind in ("id", "group") for column in getattr(args, kind)})
    if not named:
        raise ConfigError(f"{args.config}: no field or target that curation knows")
    root = args.root or (Path(node["root"]) if node.get("root") else None)
    cache = Path(node["cache"]) if node.get("cache") else None
    return open_collection(Path(node["path"]), named, root, split, limit=node.get("limit"), cache=cache)
