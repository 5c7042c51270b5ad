"""Strided convolutions over log-mel features: against SciPy, and blind to padding."""

import numpy as np
import paddle
import pytest
from scipy.signal import correlate2d

from ppmm.models.layers.audio_stages import AudioStages


def shaken(layer, seed=0):
    """Batch normalisation that does something: random statistics, scales and shifts."""
    rng = np.random.default_rng(seed)
    for name, tensor in layer.state_dict().items():
        if name.endswith(("_mean", ".bias")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32"))
        elif name.endswith("_variance"):
            tensor.set_value(rng.uniform(0.5, 2, size=tensor.shape).astype("float32"))
    layer.eval()
    return layer


def numpy_stage(grid, stage):
    """grid [C,T,M] -> relu(norm(conv)) [C',ceil(T/2),ceil(M/2)]."""
    conv, norm = stage[0], stage[1]
    kernels = conv.weight.numpy().astype(float)
    out = []
    for kernel in kernels:
        padded = [np.pad(channel, 1) for channel in grid]
        out.append(sum(correlate2d(p, k, mode="valid")[::2, ::2] for p, k in zip(padded, kernel, strict=True)))
    scale = norm.weight.numpy() / np.sqrt(norm._variance.numpy() + 1e-5)
    shift = norm.bias.numpy() - norm._mean.numpy() * scale
    return np.maximum(np.stack(out) * scale[:, None, None] + shift[:, None, None], 0)


@pytest.mark.parametrize("time", [1, 4, 7])
@pytest.mark.parametrize("bands", [4, 5])
def test_equals_scipy(time, bands):
    stages = shaken(AudioStages(bands, [2, 3]))
    x = np.random.default_rng(1).normal(size=(1, time, bands)).astype("float32")
    grid = x.astype(float)
    for stage in stages.stages:
        grid = numpy_stage(grid, stage)
    found, mask = stages(paddle.to_tensor(x))
    assert mask is None and stages.out_dim == 3 * -(-bands // 4) and found.shape[1] == -(-time // 4)
    np.testing.assert_allclose(found.numpy()[0], grid.transpose(1, 0, 2).reshape(grid.shape[1], -1), atol=1e-5)


@pytest.mark.parametrize("padding", [0.0, 1e30, float("nan")])
def test_padding_invariance(padding):
    stages = shaken(AudioStages(6, [4, 3, 2]))
    lengths = [1, 2, 3, 8, 9, 13, 16, 17]
    rng = np.random.default_rng(2)
    x = np.full((len(lengths), 20, 6), padding, "float32")
    clips = [rng.normal(size=(length, 6)).astype("float32") for length in lengths]
    for row, clip in enumerate(clips):
        x[row, : len(clip)] = clip
    mask = np.arange(20)[None] < np.array(lengths)[:, None]
    grid, steps = stages(paddle.to_tensor(x), paddle.to_tensor(mask))
    assert steps.numpy().sum(1).tolist() == [-(-length // 8) for length in lengths]
    for row, clip in enumerate(clips):
        alone, own_mask = stages(paddle.to_tensor(clip[None]), paddle.ones([1, len(clip)], dtype="bool"))
        count = alone.shape[1]
        assert own_mask.all() and steps.numpy()[row].tolist() == [True] * count + [False] * (grid.shape[1] - count)
        np.testing.assert_allclose(grid.numpy()[row, :count], alone.numpy()[0], atol=1e-6)
        assert not grid.numpy()[row, count:].any()


def test_no_stage_is_refused():
    with pytest.raises(ValueError, match="at least one stage"):
        AudioStages(8, [])
