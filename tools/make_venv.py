"""A .venv of Python 3.10 to 3.12 (start of `make env`); leaves one that works alone. Runs on Python 3.8 and later."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SUPPORTED = ("3.12", "3.11", "3.10")
PROBE = "import sys; print('%d.%d' % sys.version_info[:2]); sys.stdout.flush(); import "


def probe(command: str, modules: str) -> tuple[str, bool]:
    """(version, whether it imports ``modules``) of an interpreter; ("", False) where it does not run.

    A command on the PATH proves nothing: version managers put one there for every Python that they know.
    """
    try:
        done = subprocess.run([command, "-c", PROBE + modules], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return "", False
    return done.stdout.decode().strip(), done.returncode == 0


def find_python() -> str:
    """The first supported interpreter that can make a virtual environment; else names the system package to install."""
    lacking = ""
    for command in ["python" + version for version in SUPPORTED] + ["python3", sys.executable]:
        version, complete = probe(command, "ensurepip, venv")
        if version in SUPPORTED and complete:
            return command
        if version in SUPPORTED and not lacking:
            lacking = version
    if lacking:
        sys.exit(f"Python {lacking} has no venv. Debian, Ubuntu: sudo apt install python{lacking}-venv")
    sys.exit("ppmm needs Python 3.10, 3.11 or 3.12. Debian, Ubuntu: sudo apt install python3.11 python3.11-venv")


def main() -> None:
    """Keep a .venv whose Python runs and has pip; replace any other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", default=".venv")
    folder = parser.parse_args().folder
    venv = os.path.join(ROOT, folder)
    version, complete = probe(os.path.join(venv, "bin", "python"), "pip")
    if version in SUPPORTED and complete:
        return
    command = find_python()
    print("make env: a virtual environment in " + folder + ", by " + command)
    shutil.rmtree(venv, ignore_errors=True)
    sys.exit(subprocess.call([command, "-m", "venv", venv]))


if __name__ == "__main__":
    main()
