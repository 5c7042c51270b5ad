"""What a bundle costs here: python deploy/benchmark.py BUNDLE [BUNDLE ...] [--json F] [--plot F.png]."""

import argparse
import json
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Latency by stage, throughput, memory and start of every back end.")
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folders")
    parser.add_argument("--backends", nargs="+", default=[], help="default: all that the bundle has on the device")
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8], help="samples of a call")
    parser.add_argument("--threads", nargs="+", type=int, default=[1], help="of the math library")
    parser.add_argument("--rounds", type=int, default=20, help="turns of each combination")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--plot", type=Path, help="write a picture there (needs matplotlib)")
    args = parser.parse_args()

    from ppmm.runtime.benchmark import benchmark
    from ppmm.runtime.benchmark_table import plot, table

    reports = []
    for bundle in args.bundles:
        reports.append(benchmark(bundle, args.backends, args.batches, args.threads, args.rounds, args.device))
        print(table(reports[-1]), flush=True)
    if args.json is not None:
        args.json.write_text(json.dumps(reports, indent=1), encoding="utf-8")
    if args.plot is not None:
        plot(reports, args.plot)


if __name__ == "__main__":
    run(main)
