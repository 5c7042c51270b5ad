"""Answer from a bundle: python deploy/predict.py BUNDLE --image a.png --audio b.wav --text "..." (any subset)."""

import argparse
import json

from ppmm.command import run
from ppmm.sample_arguments import add_sample_arguments, sample_of


def main() -> None:
    parser = argparse.ArgumentParser(description="The answer of a bundle to one sample, as JSON.")
    parser.add_argument("bundle", help="folder that deploy/export.py wrote")
    add_sample_arguments(parser)
    parser.add_argument("--backend", choices=("onednn", "plain", "onnx"), default="onednn")
    parser.add_argument("--threads", type=int, default=1, help="of the math library")
    args = parser.parse_args()
    sample = sample_of(args)
    if not sample:
        parser.error("give at least one of --image, --audio, --text, --field")

    from ppmm.runtime import Predictor

    predictor = Predictor(args.bundle, backend=args.backend, threads=args.threads)
    print(json.dumps(predictor.predict([sample])[0], ensure_ascii=False, indent=2))


if __name__ == "__main__":
    run(main)
