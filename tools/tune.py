"""Search for hyper-parameters: python tools/tune.py -c C --space configs/_spaces_/S.yaml --trials 20."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Train trials with values from a search space, end the bad ones early; start it again to go on."
    )
    parser.add_argument("-c", "--config", required=True, help="YAML of the experiment")
    parser.add_argument("--space", required=True, help="YAML: key of the experiment -> {log_uniform: [1e-4, 1e-2]} ...")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument("--trials", type=int, default=20, help="how many the study is to have (default: 20)")
    parser.add_argument("--study", metavar="FILE", help="SQLite file (default: study.db in --out)")
    parser.add_argument("--out", metavar="DIR", help="runs, table and pictures (default: output/tune/<name>)")
    parser.add_argument("--jobs", type=int, default=1, help="trials at the same time (default: 1)")
    parser.add_argument("--pruner", choices=("median", "hyperband", "none"), default="median", help="default: median")
    parser.add_argument("--seed", type=int, default=0, help="of the search")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="where (ray: extra 'scale')")
    parser.add_argument("--address", help="Ray cluster to join; none starts one on this machine")
    args = parser.parse_args()

    from ppmm.app.tune import tune

    tune(
        args.config, args.space, args.override, trials=args.trials, study=args.study, out=args.out, jobs=args.jobs,
        pruner=args.pruner, seed=args.seed, engine=args.engine, address=args.address,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
