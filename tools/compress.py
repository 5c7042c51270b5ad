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
    args = parser.parse_args()
    if args.resume and args.overwrite:
        parser.error("--resume and --overwrite exclude each other")

    from ppmm.app.compress import compress

    compress(
        args.config, args.weights, args.override, out=args.out, resume=args.resume, overwrite=args.overwrite
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
