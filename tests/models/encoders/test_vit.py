"""Vision Transformer: against NumPy, the published sizes, pictures of other sizes."""

import cv2
import numpy as np
import paddle
import pytest
from paddle import nn

from ppmm.errors import DataError
from ppmm.models.encoders.vit import PatchPositions, VisionTransformer


def made(pooling="class_token", **arguments):
    paddle.seed(0)
    net = VisionTransformer(
        2, **{"size": [4, 6], "patch": 2, "dim": 4, "depth": 1, "heads": 2, **arguments}, pooling=pooling
    )
    rng = np.random.default_rng(0)
    for name, tensor in net.state_dict().items():
        if name.endswith(("bias", "token", "seed", "table")):
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32"))
    net.eval()
    return net


def pictures(rows=2, height=4, width=6):
    return np.random.default_rng(1).normal(size=(rows, 2, height, width)).astype("float32")


def embedded(net, picture):
    """Patches of one picture [2,H,W], row by row, times the kernels, plus positions: [N,dim]."""
    kernels = net.embed.weight.numpy().astype(float).reshape(net.out_dim, -1)
    _, height, width = picture.shape
    patches = [picture[:, y : y + 2, x : x + 2].ravel() for y in range(0, height, 2) for x in range(0, width, 2)]
    positions = net.positions.table.numpy()[0].reshape(net.out_dim, -1).T
    return np.stack(patches) @ kernels.T + net.embed.bias.numpy() + positions


def blocks(net, tokens):
    """The blocks, which have tests of their own, on one row of tokens [N,dim]."""
    return net.encoder(paddle.to_tensor(tokens[None].astype("float32")))


@pytest.mark.parametrize("pooling", ["class_token", "attention", "mean"])
def test_patches_positions_and_pooling_equal_numpy(pooling):
    net, x = made(pooling), pictures()
    found = net(paddle.to_tensor(x))
    assert found.tokens.shape == [2, 6, 4] and found.token_mask is None
    for row in range(2):
        tokens = embedded(net, x[row].astype(float))
        if pooling == "class_token":
            out = blocks(net, np.concatenate([net.pool.token.numpy()[0], tokens]))
            pooled, out = out[0, 0].numpy(), out[:, 1:]
        else:
            out = blocks(net, tokens)
            pooled = (net.pool.attend(out) if pooling == "attention" else out.mean(axis=1)).numpy()[0]
        np.testing.assert_allclose(found.tokens.numpy()[row], out.numpy()[0], atol=1e-5)
        np.testing.assert_allclose(found.pooled.numpy()[row], pooled, atol=1e-5)


@pytest.mark.parametrize(
    ("dim", "heads", "published"), [(192, 3, 5_717_416), (384, 6, 22_050_664), (768, 12, 86_567_656)]
)
def test_parameters_of_the_published_network(dim, heads, published):
    """timm's counts of ViT-Ti, -S and -B/16, without classifier, the biases of keys and the class token's position."""
    with paddle.LazyGuard():  # sizes alone
        net = VisionTransformer(3, size=[224, 224], patch=16, dim=dim, depth=12, heads=heads)
    found = sum(int(parameter.size) for parameter in net.parameters())
    assert found == published - (dim + 1) * 1000 - 12 * dim - dim


def test_positions_of_another_size_are_interpolated_as_opencv_does():
    positions = PatchPositions(1, 2, 3)
    table = np.array([[0.0, 3.0, 6.0], [12.0, 15.0, 18.0]], "float32")
    positions.table.set_value(table[None, None])
    assert np.array_equal(positions(paddle.zeros([2, 1, 2, 3])).numpy(), np.stack([table[None]] * 2))
    for rows, columns in ((4, 6), (2, 5), (7, 3)):
        wanted = cv2.resize(table, (columns, rows), interpolation=cv2.INTER_CUBIC)
        found = positions(paddle.ones([1, 1, rows, columns])).numpy()[0, 0] - 1
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        read = PatchPositions(1, rows, columns).resized(table[None, None])
        np.testing.assert_allclose(read[0, 0], wanted, atol=1e-4)
    assert positions.resized(table[None, None]).tobytes() == table.tobytes(), "the same size: the same bits"


def test_another_size_is_exported(tmp_path):
    from paddle.static import InputSpec

    net = made("mean")
    x = paddle.to_tensor(pictures(rows=3, height=8, width=10))
    wanted = net(x).pooled.numpy()
    spec = [InputSpec([None, 2, 8, 10], "float32")]
    paddle.jit.save(paddle.jit.to_static(net, input_spec=spec, full_graph=True), str(tmp_path / "vit"))
    found = paddle.jit.load(str(tmp_path / "vit"))(x)
    np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-5)


def test_a_larger_picture_has_more_tokens():
    net = made("mean")
    assert net(paddle.to_tensor(pictures(height=8, width=10))).tokens.shape == [2, 20, 4]


def test_a_picture_that_patches_do_not_fill_is_refused():
    with pytest.raises(DataError, match=r"5x6 pixels cannot be cut into patches of 2x2.*multiples of 2"):
        made()(paddle.to_tensor(pictures(height=5)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": [5, 6]}, r"multiples of the patch of 2 pixels, got \[5, 6\]"),
        ({"size": [4]}, r"got \[4\]"),
        ({"size": [0, 4]}, r"got \[0, 4\]"),
        ({"patch": 0}, "at least 1 pixel, got 0"),
        ({"heads": 3}, "dim 4 and heads 3"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        made(**arguments)


def test_regularisers_reach_the_blocks():
    net = made(depth=3, drop_path=0.4, dropout=0.25)
    assert [block.drop_path.rate for block in net.encoder.blocks] == pytest.approx([0.0, 0.2, 0.4])
    assert {layer.p for layer in net.sublayers() if isinstance(layer, nn.Dropout)} == {0.25}
