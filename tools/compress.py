"""Make a trained model smaller and faster: python tools/compress.py -c CONFIG -w CHECKPOINT [--out DIR]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Run the steps under compress: of a YAML on a checkpoint; each ends in an ordinary checkpoint."
    )
    parser.add_argument("-c", "--config", required=True, help="YAML of the experiment, with compress: [...]")
    parser.add_argument(
        "-w", "--weights", metavar="CKPT",
        help="checkpoint folder; without one the model is new, and a distil step teaches it",
    )  # fmt: skip
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--out", metavar="DIR", help="folder of the result (default: <output>/<name>/compressed)")
    parser.add_argument("--resume", action="store_true", help="keep the finished steps in DIR and go on")
    parser.add_argument("--overwrite", action="store_true", help="delete what is in DIR")
    parser.add_argument("--no-measure", action="store_true", help="skip latency, memory and size of every step")
    parser.add_argument("--record", metavar="NAME", help="put what was won into docs/results.json under this name")
    aim = parser.add_argument_group("search (--target): the prune steps of the YAML are replaced by what is found")
    aim.add_argument("--target", nargs="+", metavar="T", help="latency=5ms, speedup=4x, size=8x, size=2MB: all are met")
    aim.add_argument(
        "--max-drop", type=float, default=1.0, metavar="POINTS", help="of the figure on val (default: 1.0)"
    )
    aim.add_argument("--trials", type=int, default=6, help="candidates that are trained at most (default: 6)")
    args = parser.parse_args()
    if args.resume and args.overwrite:
        parser.error("--resume and --overwrite exclude each other")

    options = {"out": args.out, "resume": args.resume, "overwrite": args.overwrite}
    if args.record and (args.no_measure or args.target):
        parser.error("--record needs what is measured: leave out --no-measure and --target")
    if args.target is None:
        from ppmm.app.compress import compress

        compress(
            args.config, args.weights, args.override, **options, measured=not args.no_measure, record=args.record
        )  # fmt: skip
        return
    if args.weights is None:
        parser.error("--target needs --weights: the checkpoint to compress")

    from ppmm.app.compress_search import search

    search(
        args.config, args.weights, args.target, args.override, max_drop=args.max_drop, trials=args.trials, **options
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
