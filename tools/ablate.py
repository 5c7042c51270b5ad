"""Run a grid of experiments: python tools/ablate.py -g configs/_grids_/av_mnist_fusions.yaml [--jobs 2]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train and evaluate every cell of a grid once, and sum up; start it again to go on."
    )
    parser.add_argument("-g", "--grid", required=True, help="YAML of the grid")
    parser.add_argument("--out", default="output/grids", help="folder of all grids (default: output/grids)")
    parser.add_argument("--jobs", type=int, default=1, help="cells trained at the same time (default: 1)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only cells with this in their names")
    parser.add_argument("--fresh", action="store_true", help="train anew what is done")
    args = parser.parse_args()

    from ppmm.app.ablate import ablate

    ablate(args.grid, out=args.out, jobs=args.jobs, fresh=args.fresh, only=args.only)


if __name__ == "__main__":
    run(main)
