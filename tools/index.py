"""Find pictures by words or speech: python tools/index.py build BUNDLE --manifest F --field image --out IDX."""

import argparse

from ppmm.command import run
from ppmm.sample_arguments import add_sample_arguments, sample_of


def main() -> None:
    parser = argparse.ArgumentParser(description="Nearest-neighbour search over the embeddings of a bundle.")
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="embed one field of a manifest")
    build.add_argument("bundle", help="folder that deploy/export.py wrote")
    build.add_argument("--manifest", required=True)
    build.add_argument("--field", required=True, help="what is indexed")
    build.add_argument("--column", help="of the manifest (default: the field's name)")
    build.add_argument("--out", required=True, help="folder of the index")
    build.add_argument("--kind", choices=("hnsw", "exact"), default="hnsw")
    search = commands.add_parser("search", help="nearest items of one query")
    add_sample_arguments(search)
    recall = commands.add_parser("recall", help="search with a field of every row of a manifest")
    recall.add_argument("--manifest", required=True)
    recall.add_argument("--query", required=True, metavar="FIELD")
    recall.add_argument("--column", help="of the manifest (default: the field's name)")
    recall.add_argument("--out", metavar="F.jsonl", help="write the hits there")
    for command in (search, recall):
        command.add_argument("index", help="folder that build wrote")
        command.add_argument("bundle", help="the bundle that it was built with")
        command.add_argument("-k", type=int, default=5 if command is search else 10, help="hits of a query")
    args = parser.parse_args()

    from ppmm.app.search import build_index, search_manifest, search_sample

    if args.command == "build":
        build_index(args.bundle, args.manifest, args.field, args.out, column=args.column, kind=args.kind)
    elif args.command == "search":
        search_sample(args.index, args.bundle, sample_of(args), args.k)
    else:
        search_manifest(args.index, args.bundle, args.manifest, args.query, column=args.column, k=args.k, out=args.out)


if __name__ == "__main__":
    run(main)
