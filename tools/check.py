"""Check YAMLs without training: python tools/check.py -c configs/quickstart.yaml."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Check configs; print parameters, FLOPs and the shapes of one batch.")
    parser.add_argument("-c", "--config", nargs="+", required=True, help="YAMLs")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--no-data", action="store_true", help="check the keys only; the data need not be there")
    args = parser.parse_args()

    from ppmm.app.check import check_configs

    check_configs(args.config, args.override, data=not args.no_data)


if __name__ == "__main__":
    run(main)
