"""The tested packages into the environment whose Python runs this (end of `make env`, `make env-serve`); goes on where
it was interrupted."""

import argparse
import fcntl
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = "py{}{}".format(*sys.version_info)
PINS, CONSTRAINTS = ROOT / "requirements.txt", ROOT / "constraints" / f"{PYTHON}.txt"
SERVE_PINS, SERVE_CONSTRAINTS = ROOT / "requirements-serve.txt", ROOT / "constraints" / f"serve-{PYTHON}.txt"
LOG, STAMP, SITE = Path(sys.prefix, "install.log"), Path(sys.prefix, "installed"), Path(sysconfig.get_path("purelib"))


def pip(*arguments: object) -> None:
    """Run pip into the log; where it fails, show the end of the log and stop."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *map(str, arguments)]
    with LOG.open("a") as log:  # close_fds: pip keeps the lock of `main` even when only make is killed
        failed = subprocess.run(command, stdout=log, stderr=log, close_fds=False).returncode
    if failed:
        sys.exit("\n".join([*LOG.read_text(errors="replace").splitlines()[-15:], f"make env failed; see {LOG}"]))


def install(serve: bool = False) -> None:
    """Bring the environment to the pinned set, whatever state it is in; a server's has the headless OpenCV at once."""
    for folder in SITE.glob("*.dist-info"):
        if not (folder / "INSTALLER").exists():  # pip writes it after a package's files: this one was cut short
            shutil.rmtree(folder)
    if not serve and any(
        SITE.glob("opencv_python_headless-*.dist-info")
    ):  # it and opencv-python own one cv2: never side by side
        pip("uninstall", "-y", "opencv-python", "opencv-python-headless")
    pip(
        "install",
        "--progress-bar=off",
        "-r",
        SERVE_PINS if serve else PINS,
        "-c",
        SERVE_CONSTRAINTS if serve else CONSTRAINTS,
    )
    cv2 = subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, text=True)
    if cv2.returncode != 0 and "cannot open shared object file" in cv2.stderr:
        print(f"make env: {cv2.stderr.splitlines()[-1]}; so opencv-python gives way to opencv-python-headless")
        version = importlib.metadata.version("opencv-python")
        pip("uninstall", "-y", "opencv-python")
        pip("install", "--no-deps", f"opencv-python-headless=={version}")
    pip("install", "--no-deps", "--no-build-isolation", "-e", ROOT)


def main() -> None:
    """Install, unless the stamp, which is written last, has the same pins and the same place."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", action="store_true", help="the packages of a server")
    serve = parser.parse_args().serve
    pins, constraints = (SERVE_PINS, SERVE_CONSTRAINTS) if serve else (PINS, CONSTRAINTS)
    with pins.open() as lock:
        os.set_inheritable(lock.fileno(), True)
        fcntl.flock(lock, fcntl.LOCK_EX)  # another make, or the pip of a killed one, finishes first
        wanted = "".join(path.read_text() for path in (pins, constraints, ROOT / "setup.py")) + str(ROOT)
        if not STAMP.is_file() or STAMP.read_text() != wanted:
            what = "the packages of a server" if serve else "the tested packages"
            print(f"make env: {what}, about 2 minutes and 2.2 GB (pip's words: {LOG})", flush=True)
            STAMP.unlink(missing_ok=True)
            install(serve)
            STAMP.write_text(wanted)
            print("make env: ready")


if __name__ == "__main__":
    main()
