"""Export a checkpoint: python deploy/export.py -w output/quickstart/checkpoints/best --out output/quickstart/bundle."""

import argparse

from ppmm.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description="Checkpoint -> bundle; fails when the graph disagrees with the model.")
    parser.add_argument("-w", "--weights", required=True, help="checkpoint folder")
    parser.add_argument("--out", required=True, help="bundle folder")
    parser.add_argument("-c", "--config", help="YAML for data, thresholds and picture size (default: the checkpoint's)")
    parser.add_argument("-o", "--override", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="with -c")
    parser.add_argument("--split", help="split for the parity samples (default: export.split of the config)")
    parser.add_argument("--samples", type=int, help="how many (default: export.samples)")
    parser.add_argument("--precision", choices=("fp32", "bf16", "int8"), help="default: fp32; int8 after qat")
    parser.add_argument(
        "--calibrate", type=int, metavar="N", help="rows for INT8's ranges (default: export.calibration)"
    )
    parser.add_argument("--algorithm", help="of INT8's ranges: abs_max, avg, hist, KL, mse (default: export.algorithm)")
    parser.add_argument("--keep-worst", type=int, default=0, metavar="N", help="layers that INT8 leaves in float32")
    parser.add_argument("--onnx", action="store_true", help="also write the graph for ONNX Runtime: --backend onnx")
    parser.add_argument("--no-towers", action="store_true", help="no graph for each field of a retrieval model")
    parser.add_argument("--tensorrt", action="store_true", help="lay the graphs out for TensorRT (export.tensorrt)")
    parser.add_argument("--plugins", nargs="+", default=[], help="code outside of ppmm that the checkpoint may import")
    args = parser.parse_args()
    if args.override and not args.config:
        parser.error("-o changes a YAML: give it with -c")

    from ppmm.app.export import export_checkpoint

    export_checkpoint(
        args.weights, args.out, args.config, args.override, split=args.split, samples=args.samples,
        plugins=args.plugins, precision=args.precision, calibrate=args.calibrate, algorithm=args.algorithm,
        keep_worst=args.keep_worst, onnx=args.onnx, towers=not args.no_towers, tensorrt=args.tensorrt,
    )  # fmt: skip


if __name__ == "__main__":
    run(main)
