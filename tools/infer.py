"""Answer with a checkpoint: python tools/infer.py -w CHECKPOINT --image a.png --text "..." (or --manifest)."""

import argparse
import json

from ppmm.command import run
from ppmm.sample_arguments import add_sample_arguments, pairs, sample_of


def main() -> None:
    parser = argparse.ArgumentParser(description="Answers of a checkpoint for one sample or a manifest, as JSON.")
    parser.add_argument("-w", "--weights", required=True, help="checkpoint folder")
    add_sample_arguments(parser)
    parser.add_argument("--manifest", help="JSONL, CSV or TSV: one answer per row")
    parser.add_argument("--columns", nargs="+", default=[], metavar="FIELD=COLUMN", help="columns of the manifest")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: extra 'scale'")
    parser.add_argument("--workers", type=int, default=2, help="processors of a Ray cluster that is started here")
    parser.add_argument("--address", help="Ray cluster to join")
    parser.add_argument("--out", help="write here instead of standard output")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the checkpoint may import")
    args = parser.parse_args()
    sample = sample_of(args)
    if bool(sample) == bool(args.manifest):
        parser.error("give a sample (--image, --audio, --text, --field) or --manifest")

    from ppmm.app.infer import infer_manifest, infer_sample

    if args.manifest and args.engine == "ray":
        from ppmm.app.infer_scale import infer_on_ray

        where = (args.out, args.address, args.workers, args.plugins)
        infer_on_ray(args.weights, args.manifest, pairs(args.columns) or None, *where)
    elif args.manifest:
        infer_manifest(args.weights, args.manifest, pairs(args.columns) or None, args.out, args.plugins)
    else:
        print(json.dumps(infer_sample(args.weights, sample, args.plugins), ensure_ascii=False, indent=2))


if __name__ == "__main__":
    run(main)
