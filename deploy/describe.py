"""What a bundle is: python deploy/describe.py BUNDLE. Inputs, answers, preprocessing, sizes, history, agreement."""

import argparse
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="A bundle in words (Markdown), after its hashes were checked.")
    parser.add_argument("bundle", help="folder that deploy/export.py wrote")
    args = parser.parse_args()

    from ppmm.runtime.bundle import read_bundle
    from ppmm.runtime.describe import describe

    print(describe(read_bundle(Path(args.bundle))), end="")


if __name__ == "__main__":
    run(main)
