"""What frozen embeddings know: python tools/probe.py -w CHECKPOINT -c configs/_probes_/X.yaml."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Zero-shot classification by class names, k nearest neighbours, and a linear probe."
    )
    parser.add_argument("-c", "--config", required=True, help="YAML: field, target, test, train, prompts, neighbours")
    parser.add_argument("-w", "--weights", required=True, help="checkpoint folder")
    parser.add_argument("--methods", nargs="+", default=[], choices=("zero_shot", "knn", "linear"))
    parser.add_argument("--out", metavar="F.json", help="write the figures there")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the checkpoint may import")
    args = parser.parse_args()

    from ppmm.app.probe import probe

    probe(args.weights, args.config, methods=args.methods, out=args.out, plugins=args.plugins)


if __name__ == "__main__":
    run(main)
