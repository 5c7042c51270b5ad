"""Measure ppmm on this machine: python tools/bench.py manifest | data | dedup | retrieval | bundle | train."""

import argparse
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory, measured here and now.")
    commands = parser.add_subparsers(dest="what", required=True)
    manifest = commands.add_parser("manifest", help="opening a table of many rows")
    manifest.add_argument("--rows", type=int, default=1_000_000)
    data = commands.add_parser("data", help="batches against bare decoders on the same bytes")
    for name, count in (("--images", 1024), ("--clips", 1024), ("--workers", 2)):
        data.add_argument(name, type=int, default=count)
    dedup = commands.add_parser("dedup", help="comparing the hashes of many images")
    dedup.add_argument("--images", type=int, default=100_000)
    retrieval = commands.add_parser("retrieval", help="memory and time of R@K among very many candidates")
    for name, count in (("--images", 50_000), ("--captions", 250_000), ("--dim", 256)):
        retrieval.add_argument(name, type=int, default=count)
    bundle = commands.add_parser("bundle", help="one answer of an exported model, from file to label")
    bundle.add_argument("bundle", help="bundle folder")
    bundle.add_argument("-w", "--weights", required=True, help="its checkpoint: names the data to answer on")
    bundle.add_argument("--split", default="test")
    bundle.add_argument("--samples", type=int, default=100)
    train = commands.add_parser("train", help="the trainer against a bare loop; samples/s of standard models")
    train.add_argument("--quick", action="store_true", help="small batches, few rounds")
    train.add_argument("--threads", type=int, default=1)
    for command in (manifest, data, dedup, retrieval, bundle, train):
        command.add_argument("--json", type=Path, metavar="F", help="write the figures there too")
    args = parser.parse_args()
    if args.what == "manifest":
        from ppmm.app.bench_manifest import bench_manifest

        bench_manifest(args.rows, args.json)
    elif args.what == "bundle":
        from ppmm.app.bench_bundle import print_bundle

        print_bundle(args.bundle, args.weights, args.split, args.samples, args.json)
    elif args.what == "train":
        from ppmm.app.bench_train import bench_train

        bench_train(args.json, quick=args.quick, threads=args.threads)
    elif args.what == "dedup":
        from ppmm.app.bench_dedup import print_dedup

        print_dedup(args.images, args.json)
    elif args.what == "retrieval":
        from ppmm.app.bench_retrieval import print_retrieval

        print_retrieval(args.images, args.captions, args.dim, args.json)
    else:
        from ppmm.app.bench_data import bench_data

        bench_data(args.images, args.clips, args.workers, args.json)


if __name__ == "__main__":
    run(main)
