"""Accuracy under missing and damaged inputs: python tools/robustness.py -w output/quickstart/checkpoints/best."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A checkpoint over every subset of its modalities and over rising noise, with plots and robustness."
    )
    parser.add_argument("-c", "--config", help="YAML for data and metrics (default: the checkpoint's own)")
    parser.add_argument("-w", "--weights", required=True, help="checkpoint folder")
    parser.add_argument("--split", default="test", help="key under data: (default: test)")
    parser.add_argument("--metric", default="accuracy", help="the figure that is drawn (default: accuracy)")
    parser.add_argument("--rows", type=int, help="at most so many rows, spread over the split")
    parser.add_argument("--levels", nargs="+", type=float, help="levels of damage (default: 0 0.2 0.4 0.6 0.8 1)")
    parser.add_argument("--baseline", metavar="CHECKPOINT", help="checkpoint to compare with: effective robustness")
    parser.add_argument("--out", metavar="FOLDER", help="write robustness.json, .md and .svg there")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the checkpoint may import")
    args = parser.parse_args()
    if args.rows is not None and args.rows < 1:
        parser.error("--rows must be at least 1")

    from ppmm.app.robustness import LEVELS, measure_robustness

    measure_robustness(
        args.weights, args.config, split=args.split, metric=args.metric, rows=args.rows,
        levels=args.levels or LEVELS, baseline=args.baseline, out=args.out, plugins=args.plugins,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
