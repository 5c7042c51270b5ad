"""Audio encoders: the equations by hand, padding invariance, masks in their own time steps."""

import numpy as np
import paddle
import pytest

from ppmm.models.encoders.audio_cnn import AudioCNN
from ppmm.models.encoders.cnn_bilstm import CNNBiLSTM

LENGTHS = [3, 4, 11, 1, 16, 9]


@pytest.fixture(params=[AudioCNN, CNNBiLSTM])
def encoder(request):
    paddle.seed(0)
    part = request.param(6, dim=8, channels=[4, 5], dropout=0.3)
    rng = np.random.default_rng(0)
    for name, tensor in part.state_dict().items():
        if name.endswith("_mean") or (name.endswith("bias") and "stages" in name):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32"))
    part.eval()
    return part


def clips():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(length, 6)).astype("float32") for length in LENGTHS]


def padded(to, padding=0.0):
    x = np.full((len(LENGTHS), to, 6), padding, "float32")
    for row, clip in enumerate(clips()):
        x[row, : len(clip)] = clip
    return paddle.to_tensor(x), paddle.to_tensor(np.arange(to)[None] < np.array(LENGTHS)[:, None])


@pytest.mark.parametrize(("to", "padding"), [(16, 0.0), (23, 0.0), (17, float("nan")), (40, 1e30)])
def test_padding_invariance(encoder, to, padding):
    found = encoder(*padded(to, padding))
    assert found.token_mask.numpy().sum(1).tolist() == [-(-length // 4) for length in LENGTHS]
    for row, clip in enumerate(clips()):
        alone = encoder(paddle.to_tensor(clip[None]))
        np.testing.assert_allclose(found.pooled.numpy()[row], alone.pooled.numpy()[0], atol=1e-6)
        count = alone.tokens.shape[1]
        np.testing.assert_allclose(found.tokens.numpy()[row, :count], alone.tokens.numpy()[0], atol=1e-6)
        assert not found.tokens.numpy()[row, count:].any()


def test_pooled_is_the_mean_of_the_true_steps(encoder):
    found = encoder(*padded(20))
    for row, length in enumerate(LENGTHS):
        count = -(-length // 4)
        np.testing.assert_allclose(found.pooled.numpy()[row], found.tokens.numpy()[row, :count].mean(0), atol=1e-6)


def test_tokens_of_the_convolutional_encoder_by_hand():
    paddle.seed(1)
    encoder = AudioCNN(6, dim=8, channels=[4, 5])
    encoder.eval()
    x, mask = padded(16)
    grid, steps = encoder.stages(x, mask)
    weight, bias = encoder.project.weight.numpy(), encoder.project.bias.numpy()
    wanted = np.maximum(grid.numpy() @ weight + bias, 0) * steps.numpy()[:, :, None]
    np.testing.assert_allclose(encoder(x, mask).tokens.numpy(), wanted, atol=1e-6)


def test_an_absent_clip_gives_zero(encoder):
    x, mask = padded(16, float("nan"))
    mask[2] = False
    found = encoder(x, mask)
    assert not found.pooled.numpy()[2].any() and not found.tokens.numpy()[2].any()
    assert np.isfinite(found.pooled.numpy()).all()
