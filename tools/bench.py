"""Measure ppmm on this machine: python tools/bench.py manifest | data | dedup | retrieval | bundle | memory | train."""

import argparse
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and memory, measured here and now.")
    commands = parser.add_subparsers(dest="what", required=True)
    manifest = commands.add_parser("manifest", help="opening a table of many rows")
    data = commands.add_parser("data", help="batches against bare decoders on the same bytes")
    dedup = commands.add_parser("dedup", help="comparing the hashes of many images")
    retrieval = commands.add_parser("retrieval", help="memory and time of R@K among very many candidates")
    bundle = commands.add_parser("bundle", help="one answer of an exported model, from file to label")
    bundle.add_argument("bundle", help="bundle folder")
    bundle.add_argument("-w", "--weights", required=True, help="its checkpoint: names the data to answer on")
    bundle.add_argument("--split", default="test")
    bundle.add_argument("--samples", type=int, default=100)
    train = commands.add_parser("train", help="the trainer against a bare loop; samples/s of standard models")
    train.add_argument("--quick", action="store_true", help="small batches, few rounds")
    memory = commands.add_parser("memory", help="a contrastive step over a large batch, at once and in chunks")
    sizes = {
        manifest: {"rows": 1_000_000}, dedup: {"images": 100_000}, memory: {"rows": 256, "chunk": 32},
        train: {"threads": 1}, data: {"images": 1024, "clips": 1024, "workers": 2},
        retrieval: {"images": 50_000, "captions": 250_000, "dim": 256},
    }  # fmt: skip
    for command, name, count in ((each, *size) for each, own in sizes.items() for size in own.items()):
        command.add_argument(f"--{name}", type=int, default=count)
    for command in (manifest, data, dedup, retrieval, bundle, memory, train):
        command.add_argument("--json", type=Path, metavar="F", help="write the figures there too")
    args = parser.parse_args()
    from ppmm.app import bench_dedup, bench_manifest, bench_memory, bench_retrieval

    if args.what == "manifest":
        bench_manifest.bench_manifest(args.rows, args.json)
    elif args.what == "bundle":
        from ppmm.app.bench_bundle import print_bundle

        print_bundle(args.bundle, args.weights, args.split, args.samples, args.json)
    elif args.what == "train":
        from ppmm.app.bench_train import bench_train

        bench_train(args.json, quick=args.quick, threads=args.threads)
    elif args.what == "dedup":
        bench_dedup.print_dedup(args.images, args.json)
    elif args.what == "retrieval":
        bench_retrieval.print_retrieval(args.images, args.captions, args.dim, args.json)
    elif args.what == "memory":
        bench_memory.print_memory(args.rows, args.chunk, args.json)
    else:
        from ppmm.app.bench_data import bench_data

        bench_data(args.images, args.clips, args.workers, args.json)


if __name__ == "__main__":
    run(main)
