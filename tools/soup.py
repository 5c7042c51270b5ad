"""The mean of several checkpoints: python tools/soup.py -w RUN1/checkpoints/best RUN2/checkpoints/best --out DIR."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Average the weights of checkpoints (model soup, Wortsman et al. 2022)."
    )
    parser.add_argument("-w", "--weights", nargs="+", required=True, metavar="CKPT", help="checkpoint folders")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the new checkpoint")
    parser.add_argument(
        "--method", choices=["greedy", "uniform"], default="greedy",
        help="greedy keeps what does not make the figure worse (default); uniform takes all",
    )  # fmt: skip
    parser.add_argument("--split", default="val", help="key under data: whose rows decide (default: val)")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the checkpoints may import")
    args = parser.parse_args()

    from ppmm.app.soup import make_soup

    make_soup(args.weights, args.out, method=args.method, split=args.split, plugins=args.plugins)


if __name__ == "__main__":
    run(main)
