"""Find a learning rate or a batch size: python tools/find.py lr -c C, python tools/find.py batch -c C --memory 8GB."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Try a few steps to find a learning rate or a batch size.")
    commands = parser.add_subparsers(dest="command", required=True)
    rate = commands.add_parser("lr", help="raise the rate until the loss diverges, and suggest one")
    batch = commands.add_parser("batch", help="the largest batch that fits in memory, and the fastest one")
    for command in (rate, batch):
        command.add_argument("-c", "--config", required=True, help="YAML of the experiment")
        command.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    rate.add_argument("--from", dest="start", type=float, default=1e-6, help="first rate (default: 1e-6)")
    rate.add_argument("--to", dest="stop", type=float, default=1.0, help="last rate (default: 1)")
    rate.add_argument("--steps", type=int, default=100, help="optimizer steps (default: 100)")
    rate.add_argument("--out", metavar="DIR", help="folder of rate.json and rate.svg (default: output/find/<name>)")
    batch.add_argument("--memory", metavar="SIZE", help="such as 8GB (default: most of what is free, or of the GPU)")
    batch.add_argument("--steps", type=int, default=3, help="measured steps of each size (default: 3)")
    batch.add_argument("--most", type=int, help="largest size to try (default: all rows of the training split)")
    batch.add_argument("--exact", action="store_true", help="to the last row, not to 1/16")
    batch.add_argument("--json", metavar="FILE", help="write the table there, too")
    args = parser.parse_args()
    if args.command == "lr":
        from ppmm.app.find_rate import find_rate

        find_rate(args.config, args.override, start=args.start, stop=args.stop, steps=args.steps, out=args.out)
        return
    from ppmm.app.find_batch import find_batch

    find_batch(
        args.config, args.override, memory=args.memory, steps=args.steps, most=args.most, exact=args.exact,
        json_file=args.json,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
