"""A server under load: python deploy/load_test.py BUNDLE [--soak 600] [--malformed 5000]. Runs in .venv-serve."""

import argparse
import json
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Throughput against the bare predictor, p99 at 70 % load, soak, bad requests."
    )
    parser.add_argument("bundle", help="folder")
    parser.add_argument("--port", type=int, default=8090)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1, help="samples of a request")
    parser.add_argument("--seconds", type=float, default=10, help="of each stage")
    parser.add_argument("--soak", type=float, default=0, help="seconds under load with an eye on the memory")
    parser.add_argument("--malformed", type=int, default=0, help="bad requests")
    parser.add_argument("--json", type=Path, help="write the figures there")
    args, flags = parser.parse_known_args()

    from ppmm.serving.load_test import test_load

    figures = test_load(
        args.bundle, port=args.port, clients=args.clients, rows=args.rows, seconds=args.seconds, soak=args.soak,
        malformed=args.malformed, flags=flags,
    )  # fmt: skip
    if args.json is not None:
        args.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    run(main)
