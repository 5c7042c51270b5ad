"""The tested packages into the environment whose Python runs this (end of `make env`, `make env-serve`); goes on."""

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
        if subprocess.run(command, stdout=log, stderr=log, close_fds=False).returncode:
            sys.exit("\n".join([*LOG.read_text(errors="replace").splitlines()[-15:], f"make env failed; see {LOG}"]))


def install(pins: Path = PINS, constraints: Path = CONSTRAINTS) -> None:
    """Bring the environment to the pinned set, whatever state it is in; a server's has the headless OpenCV at once."""
    for folder in (each for each in SITE.glob("*.dist-info") if not (each / "INSTALLER").exists()):
        shutil.rmtree(folder)  # pip writes that file last: this package was cut short
    if pins == PINS and any(SITE.glob("opencv_python_headless-*.dist-info")):  # it and opencv-python own one cv2
        pip("uninstall", "-y", "opencv-python", "opencv-python-headless")
    pip("install", "--progress-bar=off", "-r", pins, "-c", constraints)
    cv2 = subprocess.run([sys.executable, "-c", "import cv2"], capture_output=True, text=True)
    if cv2.returncode != 0 and "cannot open shared object file" in cv2.stderr:
        print(f"make env: {cv2.stderr.splitlines()[-1]}; so opencv-python gives way to opencv-python-headless")
        headless = f"opencv-python-headless=={importlib.metadata.version('opencv-python')}"
        pip("uninstall", "-y", "opencv-python")
        pip("install", "--no-deps", headless)
    pip("install", "--no-deps", "--no-build-isolation", "-e", ROOT)


def main() -> None:
    """Install, unless the stamp, which is written last, has the same pins and the same place."""
    (parser := argparse.ArgumentParser(description=__doc__)).add_argument("pins", nargs="?", type=Path, default=PINS)
    pins = parser.parse_args().pins.absolute()
    constraints = CONSTRAINTS.with_stem(CONSTRAINTS.stem + pins.stem.removeprefix("requirements"))
    with pins.open() as lock:
        os.set_inheritable(lock.fileno(), True)
        fcntl.flock(lock, fcntl.LOCK_EX)  # another make, or the pip of a killed one, finishes first
        wanted = "".join(path.read_text() for path in (pins, constraints, ROOT / "setup.py")) + str(ROOT)
        if not STAMP.is_file() or STAMP.read_text() != wanted:
            print(f"make env: {pins.name}, about 2 minutes and 2.2 GB (pip's words: {LOG})", flush=True)
            STAMP.unlink(missing_ok=True)
            install(pins, constraints)
            STAMP.write_text(wanted)
            print("make env: ready")


if __name__ == "__main__":
    main()
