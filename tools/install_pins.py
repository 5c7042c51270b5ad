"""The tested packages into .venv, whose Python runs this (end of `make env`); goes on where it was interrupted."""

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
PINS, CONSTRAINTS = ROOT / "requirements.txt", ROOT / "constraints" / "py{}{}.txt".format(*sys.version_info)
LOG, STAMP, SITE = Path(sys.prefix, "install.log"), Path(sys.prefix, "installed"), Path(sysconfig.get_path("purelib"))


def pip(*arguments: object) -> None:
    """Run pip into the log; where it fails, show the end of the log and stop."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *map(str, arguments)]
    with LOG.open("a") as log:  # close_fds: pip keeps the lock of `main` even when only make is killed
        failed = subprocess.run(command, stdout=log, stderr=log, close_fds=False).returncode
    if failed:
        sys.exit("\n".join([*LOG.read_text(errors="replace").splitlines()[-15:], f"make env failed; see {LOG}"]))


def install() -> None:
    """Bring the environment to the pinned set, whatever state it is in."""
    for folder in SITE.glob("*.dist-info"):
        if not (folder / "INSTALLER").exists():  # pip writes it after a package's files: this one was cut short
            shutil.rmtree(folder)
    if any(SITE.glob("opencv_python_headless-*.dist-info")):  # it and opencv-python own one cv2: never side by side
        pip("uninstall", "-y", "opencv-python", "opencv-python-headless")
    pip("install", "--progress-bar=off", "-r", PINS, "-c", CONSTRAINTS)
    cv2 = subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, text=True)
    if cv2.returncode != 0 and "cannot open shared object file" in cv2.stderr:
        print(f"make env: {cv2.stderr.splitlines()[-1]}; so opencv-python gives way to opencv-python-headless")
        version = importlib.metadata.version("opencv-python")
        pip("uninstall", "-y", "opencv-python")
        pip("install", "--no-deps", f"opencv-python-headless=={version}")
    pip("install", "--no-deps", "--no-build-isolation", "-e", ROOT)


def main() -> None:
    """Install, unless the stamp, which is written last, has the same pins and the same place."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with PINS.open() as lock:
        os.set_inheritable(lock.fileno(), True)
        fcntl.flock(lock, fcntl.LOCK_EX)  # another make, or the pip of a killed one, finishes first
        wanted = "".join(path.read_text() for path in (PINS, CONSTRAINTS, ROOT / "setup.py")) + str(ROOT)
        if not STAMP.is_file() or STAMP.read_text() != wanted:
            print(f"make env: the tested packages, about 2 minutes and 2.2 GB (pip's words: {LOG})", flush=True)
            STAMP.unlink(missing_ok=True)
            install()
            STAMP.write_text(wanted)
            print("make env: ready")


if __name__ == "__main__":
    main()
