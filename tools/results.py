"""Reach every published figure of this project anew: python tools/results.py, or make results."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Run every grid under configs/_grids_ and write docs/results.md and docs/results.json."
    )
    parser.add_argument(
        "-g", "--grids", nargs="+", metavar="YAML", help="these grids (default: all of configs/_grids_)"
    )
    parser.add_argument("--out", default="output/grids", help="folder of all grids (default: output/grids)")
    parser.add_argument("--docs", default="docs", help="folder for results.md and results.json (default: docs)")
    parser.add_argument("--jobs", type=int, default=2, help="cells trained at the same time (default: 2)")
    parser.add_argument("--cached", action="store_true", help="train nothing: write the pages from what is done")
    args = parser.parse_args()

    from ppmm.app.results import write_results

    write_results(args.grids, out=args.out, docs=args.docs, jobs=args.jobs, cached=args.cached)


if __name__ == "__main__":
    run(main)
