"""Evaluate a checkpoint: python tools/eval.py -w output/quickstart/checkpoints/best --split test [--drop audio]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Metrics of a checkpoint on a split, with any modalities left out.")
    parser.add_argument("-c", "--config", help="YAML for data and metrics (default: the checkpoint's own)")
    parser.add_argument("-w", "--weights", required=True, help="checkpoint folder")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--split", default="test", help="key under data: (default: test)")
    parser.add_argument("--drop", nargs="+", action="extend", default=[], metavar="FIELD", help="leave these out")
    parser.add_argument("--subsets", action="store_true", help="evaluate every non-empty subset of the fields")
    parser.add_argument("--out", metavar="METRICS.json", help="write the figures and tables here")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the checkpoint may import")
    args = parser.parse_args()
    if args.override and args.config is None:
        parser.error("-o changes a YAML: give it with -c")
    if args.subsets and args.drop:
        parser.error("--subsets and --drop exclude each other")

    from ppmm.app.evaluate import evaluate_checkpoint

    evaluate_checkpoint(
        args.weights, args.config, args.override,
        split=args.split, drop=args.drop, every_subset=args.subsets, out=args.out,
        plugins=args.plugins,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
