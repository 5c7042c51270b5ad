"""Answer from a bundle: python deploy/predict.py BUNDLE --image a.png --audio b.wav --text "..." (any subset)."""

import argparse
import json

from ppmm.command import run
from ppmm.sample_arguments import add_sample_arguments, sample_of


def main() -> None:
    parser = argparse.ArgumentParser(description="The answer of a bundle to one sample, as JSON.")
    parser.add_argument("bundle", help="folder that deploy/export.py wrote")
    add_sample_arguments(parser)
    parser.add_argument("--backend", help="onednn (default on a CPU) | plain | onnx | cuda | tensorrt | auto")
    parser.add_argument("--device", default="cpu", help="cpu | gpu:0")
    parser.add_argument("--precision", help="on a GPU also fp16 or bf16 of a float32 bundle")
    parser.add_argument("--threads", type=int, default=1, help="of the math library")
    args = parser.parse_args()
    sample = sample_of(args)
    if not sample:
        parser.error("give at least one of --image, --audio, --text, --field")

    from ppmm.runtime import Predictor

    predictor = Predictor(
        args.bundle, backend=args.backend, threads=args.threads, device=args.device, precision=args.precision
    )
    print(json.dumps(predictor.predict([sample])[0], ensure_ascii=False, indent=2))


if __name__ == "__main__":
    run(main)
