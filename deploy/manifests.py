"""A bundle for other platforms: python deploy/manifests.py kserve|triton BUNDLE ...; see --help of each."""

import argparse
from pathlib import Path

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="An InferenceService of KServe, or a Triton model repository.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kserve = kinds.add_parser("kserve", help="prints YAML for kubectl apply -f -")
    kserve.add_argument("name", help="of the service")
    kserve.add_argument("--image", required=True, help="built from deploy/containers, with tag or digest")
    kserve.add_argument("--bundle-uri", required=True, help="pvc://claim/path, s3://bucket/path ...")
    kserve.add_argument("--gpus", type=int, default=0, help="for each replica")
    kserve.add_argument("--replicas", type=int, nargs=2, default=(1, 4), metavar=("LEAST", "MOST"))
    triton = kinds.add_parser("triton", help="writes OUT/NAME")
    triton.add_argument("bundle", type=Path)
    triton.add_argument("--out", type=Path, required=True, help="model repository")
    triton.add_argument("--name", required=True)
    triton.add_argument("--max-batch", type=int, default=16)
    triton.add_argument("--gpu", action="store_true")
    args = parser.parse_args()

    from ppmm.serving.manifests import kserve_manifest, triton_repository

    if args.kind == "kserve":
        print(kserve_manifest(args.name, args.image, args.bundle_uri, args.gpus, tuple(args.replicas)), end="")
    else:
        print(triton_repository(args.bundle, args.out, args.name, args.max_batch, args.gpu))


if __name__ == "__main__":
    run(main)
