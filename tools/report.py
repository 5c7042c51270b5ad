"""Compare runs on one page: python tools/report.py output/a output/b [--out compare.html]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="One self-contained HTML page with the curves, metrics and config differences of several runs."
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder, such as output/quickstart; it may go on")
    parser.add_argument("--out", metavar="F.html", help="the page (default: compare.html beside the first run)")
    args = parser.parse_args()

    from ppmm.app.report_compare import compare_runs

    print(f"comparison: {compare_runs(args.runs, args.out)}")


if __name__ == "__main__":
    run(main)
