"""Weights that others have trained: read from a local safetensors file, never from the network, never from a pickle.

A part that starts from such weights has a method ``load_pretrained()``. It is called once, when a training run begins,
and not when a part is built: a checkpoint holds all weights and is rebuilt without the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ppmm.errors import ConfigError

__all__ = ["CONVERT", "copy_weights", "load_pretrained", "read_weights"]

CONVERT = (
    'python -c "import sys, paddle; from safetensors.numpy import save_file; '
    'save_file({k: v.numpy() for k, v in paddle.load(sys.argv[1]).items()}, sys.argv[2])" IN.pdparams OUT.safetensors'
)
"""Paddle's own files are pickles, which run any code that is in them when they are read."""


def load_pretrained(model: Any) -> None:
    """Let every sublayer that starts from other weights read them. Raises ConfigError where a file does not fit."""
    for layer in model.sublayers(include_self=True):
        start = getattr(layer, "load_pretrained", None)
        if start is not None:
            start()


def read_weights(path: str | Path, source: str) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file.

    Args:
        path: the file.
        source: where it is to be had, for the message; such as a URL.

    Raises ConfigError when it is not there or of another format: with what to download and how to convert it.
    """
    path = Path(path)
    convert = f"convert it once, where you trust its source: {CONVERT}"
    if not path.is_file():
        raise ConfigError(
            f"weights: no file {path}. Nothing is downloaded here: get {source}; if it is .pdparams, {convert}"
        )
    try:
        return load_file(path)
    except (SafetensorError, ValueError) as error:
        raise ConfigError(
            f"weights: {path} is not a safetensors file ({error}). If it is .pdparams, a pickle, {convert}"
        ) from error


def copy_weights(layer: Any, arrays: Mapping[str, np.ndarray], source: str, left_out: tuple[str, ...] = ()) -> None:
    """Copy ``arrays`` into the parameters and buffers of ``layer`` by name.

    Args:
        left_out: beginnings of names in ``arrays`` that the layer does not have on purpose, such as a classifier's.

    Raises ConfigError when a name is missing or left over, or a shape differs: nothing is copied then.
    """
    own = layer.state_dict()
    problems = [f"it lacks {name}" for name in own if name not in arrays]
    problems += [f"{name} is left over" for name in arrays if name not in own and not name.startswith(left_out)]
    problems += [
        f"{name} is {list(arrays[name].shape)} there and {list(tensor.shape)} here"
        for name, tensor in own.items()
        if name in arrays and list(arrays[name].shape) != list(tensor.shape)
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise ConfigError(f"weights: {source} is of another network: {'; '.join(problems[:3])}{more}")
    for name, tensor in own.items():
        tensor.set_value(paddle.to_tensor(arrays[name]).astype(tensor.dtype))
