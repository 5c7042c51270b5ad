"""Serve bundles: python deploy/serve.py BUNDLE [BUNDLE ...]. REST, gRPC and a web page; runs in .venv-serve."""

import argparse
import dataclasses
import os
from pathlib import Path

from ppmm.command import run
from ppmm.serving.settings import ServeSettings

HELP = {
    "host": "address to listen on; 0.0.0.0 for all",
    "http_port": "REST and web page", "grpc_port": "gRPC; 0 for none",
    "device": "cpu | gpu:0", "backend": "auto | onednn | plain | onnx | cuda | tensorrt",
    "threads": "of the math library, for each replica", "replicas": "predictors over the same weights",
    "max_batch": "samples answered together", "max_delay_ms": "patience of a batch with requests that are on their way",
    "queue": "samples on their way; more are refused (429)", "deadline": "seconds until a request is given up (504)",
    "decoders": "processes that decode files", "decode_seconds": "after which a file's decoding is killed",
    "max_body_mb": "of a request", "body_seconds": "that a client may take to send it",
    "max_samples": "of a request", "max_pixels": "of a picture",
    "max_audio_seconds": "of a sound", "drain_seconds": "for accepted requests after SIGTERM",
    "watch_seconds": "how often to look for a new version of each bundle; 0 for never",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Open Inference Protocol v2 (REST, gRPC), /predict, and a web page.")
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folder, or NAME=FOLDER")
    for field in dataclasses.fields(ServeSettings):
        if field.name in HELP:
            flag = f"--{field.name.replace('_', '-')}"
            parser.add_argument(flag, type=type(field.default), default=field.default, help=HELP[field.name])
    parser.add_argument("--api-key-file", type=Path, help="first line is the key (or the variable PPMM_API_KEY)")
    parser.add_argument("--certificate", type=Path, help="PEM, for TLS")
    parser.add_argument("--key", type=Path, help="PEM, for TLS")
    parser.add_argument("--origins", nargs="+", default=[], help="web pages that may call this server (CORS)")
    parser.add_argument("--index", type=Path, help="vector index of tools/index.py: adds /search")
    args = parser.parse_args()
    key = os.environ.get("PPMM_API_KEY")
    if args.api_key_file is not None:
        lines = args.api_key_file.read_text(encoding="utf-8").splitlines() if args.api_key_file.is_file() else []
        key = lines[0].strip() if lines else ""
        if not key:
            parser.error(f"{args.api_key_file} has no key in its first line")
    settings = ServeSettings(
        **{name: getattr(args, name) for name in HELP}, api_key=key, certificate=args.certificate, key=args.key,
        origins=tuple(args.origins), index=args.index,
    )  # fmt: skip

    from ppmm.serving.server import serve

    serve(args.bundles, settings)


if __name__ == "__main__":
    run(main)
