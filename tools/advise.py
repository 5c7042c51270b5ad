"""Which model should I take: python tools/advise.py --data data/x/train.jsonl --latency 20 --memory 300."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Rank the measured models that fit a table of data and given limits.")
    parser.add_argument("--data", required=True, metavar="MANIFEST", help="JSONL, CSV, TSV or Parquet")
    parser.add_argument("--latency", type=float, metavar="MS", help="at most so many ms for one answer")
    parser.add_argument("--memory", type=float, metavar="MB", help="at most so many MB")
    parser.add_argument("--task", choices=("classification", "retrieval"), help="default: guessed from the columns")
    parser.add_argument("--results", default="docs/results.json", help="what make results wrote")
    parser.add_argument("--top", type=int, default=5)
    args = parser.parse_args()
    if args.top < 1:
        parser.error("--top must be at least 1")

    from ppmm.app.advise import advise

    advise(args.data, latency=args.latency, memory=args.memory, task=args.task, results=args.results, top=args.top)


if __name__ == "__main__":
    run(main)
