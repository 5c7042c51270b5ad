"""Cross-validate an experiment: python tools/crossval.py -c C --folds 5 [--group-by speaker] [--stratify digit]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train K runs, each validated on another fold, and sum up; start it again to go on."
    )
    parser.add_argument("-c", "--config", required=True, help="YAML of the experiment")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--folds", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--group-by", metavar="COLUMN", help="rows that are equal in it stay in one fold")
    parser.add_argument("--stratify", metavar="TARGET", help="every fold has its classes in the same shares")
    parser.add_argument("--with-val", action="store_true", help="deal the rows of data.val, too")
    parser.add_argument("--splits", nargs="+", default=["val"], help="what is evaluated (default: val, the fold)")
    parser.add_argument("--seed", type=int, default=0, help="another seed deals other rows")
    parser.add_argument("--out", default="output/crossval", help="folder (default: output/crossval)")
    parser.add_argument("--jobs", type=int, default=1, help="folds trained at the same time (default: 1)")
    parser.add_argument("--fresh", action="store_true", help="train anew what is done")
    args = parser.parse_args()

    from ppmm.app.crossval import crossval

    crossval(
        args.config, args.override, folds=args.folds, group_by=args.group_by, stratify=args.stratify,
        with_val=args.with_val, splits=args.splits, seed=args.seed, out=args.out, jobs=args.jobs, fresh=args.fresh,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
