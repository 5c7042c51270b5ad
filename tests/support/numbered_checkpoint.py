"""Checkpoints whose whole content is one number, so that parts of two are told apart."""

import json

import numpy as np

from ppmm.engine.checkpoint import read_checkpoint, write_checkpoint

STATE_JSON = "state.json"


def write(folder, number=1.0, size=10):
    """A checkpoint whose content is ``number`` throughout."""
    arrays = {
        "model.safetensors": {"weight": np.full((size, 2), number, "float32"), "bias": np.full(3, number)},
        "state.safetensors": {"weight|moment": np.full((size, 2), -number, "float32")},
    }
    write_checkpoint(folder, arrays, {STATE_JSON: json.dumps({"step": number})}, {"step": number})


def number_of(folder):
    """Which checkpoint is readable there; every part of it must belong together."""
    found = read_checkpoint(folder)
    numbers = {found.manifest["step"], json.loads(found.text(STATE_JSON))["step"]}
    numbers |= set(found.arrays("model.safetensors")["weight"].ravel().tolist())
    numbers |= set((-found.arrays("state.safetensors")["weight|moment"]).ravel().tolist())
    (number,) = numbers
    return number
