"""Make, check and curate data: python tools/data.py make digits-qa --out data/digits_qa.

Exit codes: 0 done and nothing wrong, 1 problems or duplicates were found (check, dedup), 2 a mistake that the message
explains, 130 Ctrl-C (check and dedup go on from there at the next start).
"""

import sys

from ppmm.app.data_commands import parse, run_command
from ppmm.command import run


def main() -> None:
    code = run_command(parse(sys.argv[1:], "Data sets: made, unpacked, checked, cleaned, split, described, annotated."))
    if code:
        sys.stdout.flush()
        sys.exit(code)


if __name__ == "__main__":
    run(main)
