"""What pruning costs where: python tools/sensitivity.py -c CONFIG -w CHECKPOINT [--ratios 0.2 0.4 0.6 0.8]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="A figure against the share that is pruned, for each layer and each modality's tower by itself, "
        "and advice where to prune. Go on where it was interrupted by running it again."
    )
    parser.add_argument("-c", "--config", required=True, help="YAML of the experiment")
    parser.add_argument("-w", "--weights", required=True, metavar="CKPT", help="checkpoint folder")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--out", metavar="DIR", help="folder of the result (default: <output>/<name>/sensitivity)")
    parser.add_argument("--ratios", nargs="+", type=float, help="shares that are pruned (default: 0.2 0.4 0.6 0.8)")
    parser.add_argument("--rows", type=int, help="rows of val, spread evenly over it (default: 512; 0: all)")
    parser.add_argument("--criterion", default="l1", help="l1, l2, fpgm, bn_scale, taylor, hessian or random")
    parser.add_argument("--metric", help="the figure (default: the one that training watches)")
    args = parser.parse_args()
    if args.rows is not None and args.rows < 0:
        parser.error("--rows must be at least 1, or 0 for all")

    from ppmm.app.sensitivity import ROWS, sensitivity

    rows = ROWS if args.rows is None else args.rows or None
    sensitivity(
        args.config, args.weights, args.override, out=args.out, ratios=args.ratios, rows=rows,
        criterion=args.criterion, metric=args.metric,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
