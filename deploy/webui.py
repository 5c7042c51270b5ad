"""A web page over a bundle: python deploy/webui.py BUNDLE [--index IDX]. Runs in .venv-serve, on this machine only."""

import argparse
import threading
import webbrowser
from pathlib import Path

from ppmm.command import run
from ppmm.serving.settings import ServeSettings


def main() -> None:
    parser = argparse.ArgumentParser(description="Upload or draw, record or upload, type: any combination.")
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE", help="folder, or NAME=FOLDER")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--index", type=Path, help="vector index of tools/index.py: a grid of what was found")
    parser.add_argument("--open", action="store_true", help="open a browser")
    args = parser.parse_args()
    settings = ServeSettings(http_port=args.port, grpc_port=0, index=args.index)

    from ppmm.serving.server import serve

    address = f"http://{settings.host}:{settings.http_port}/"
    print(f"the page will be at {address}", flush=True)
    if args.open:
        threading.Timer(10, webbrowser.open, [address]).start()
    serve(args.bundles, settings)


if __name__ == "__main__":
    run(main)
