"""Train a model: python tools/train.py -c configs/quickstart.yaml [-o trainer.epochs=3 ...] [--resume]."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the model of a YAML; writes output/<name>/.")
    parser.add_argument("-c", "--config", required=True, help="YAML of the experiment")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="a.b.c=value")
    parser.add_argument(
        "-w", "--weights", metavar="CKPT", help="begin with a checkpoint, pruned or not, not from scratch"
    )
    parser.add_argument("--resume", action="store_true", help="go on from checkpoints/last of the run")
    parser.add_argument("--resume-if-any", action="store_true", help="the same where there is one, else start anew")
    parser.add_argument("--overwrite", action="store_true", help="delete a run that is already there")
    parser.add_argument(
        "--force", action="store_true",
        help="with --resume: also where the learning rate, schedule, weight decay, clipping, SAM or balance differ; "
        "model, adapt, data, fields, targets, objective, batches, average and seed never may",
    )  # fmt: skip
    args = parser.parse_args()
    if (args.resume or args.resume_if_any) and args.overwrite:
        parser.error("--resume and --overwrite exclude each other")
    if args.force and not args.resume:
        parser.error("--force goes with --resume")

    if args.weights and args.resume:
        parser.error("--resume goes on from the run's own checkpoint; leave out --weights")

    from ppmm.app.train import train

    train(
        args.config, args.override, resume=args.resume, overwrite=args.overwrite, resume_if_any=args.resume_if_any,
        force=args.force, weights=args.weights,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
