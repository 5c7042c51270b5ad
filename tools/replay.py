"""Where a non-finite loss comes from: python tools/replay.py output/my_run."""

import argparse
import sys

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Run the step at which a run diverged once more: terms, layers, rows, gradients. "
        "Exit code 1 when the loss or a gradient is not finite again, 0 when all is finite."
    )
    parser.add_argument("run", metavar="RUN", help="run folder with a divergence.json, such as output/quickstart")
    parser.add_argument("--layers", action="store_true", help="show every layer and every gradient")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the run may import")
    args = parser.parse_args()

    from ppmm.app.replay import replay_run

    if replay_run(args.run, args.plugins, args.layers):
        sys.stdout.flush()
        sys.exit(1)


if __name__ == "__main__":
    run(main)
