"""Weights of others: read from safetensors alone, refused with what to do instead."""

import re
import shlex
import subprocess
import sys

import numpy as np
import paddle
import pytest
from paddle import nn
from safetensors.numpy import save_file

from ppmm.errors import ConfigError
from ppmm.models.pretrained import CONVERT, copy_weights, load_pretrained, read_weights


def test_a_missing_file_says_what_to_get_and_how_to_convert_it(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read_weights(tmp_path / "net.safetensors", "https://example.org/net.pdparams")
    message = str(caught.value)
    assert "no file" in message and "https://example.org/net.pdparams" in message and CONVERT in message


def test_a_pickle_is_refused_unread(tmp_path):
    paddle.save(nn.Linear(2, 2).state_dict(), str(tmp_path / "net.pdparams"))
    with pytest.raises(ConfigError, match=r"not a safetensors file.*a pickle, convert it") as caught:
        read_weights(tmp_path / "net.pdparams", "somewhere")
    assert CONVERT in str(caught.value)


@pytest.mark.slow
def test_the_command_of_the_message_converts(tmp_path):
    layer = nn.BatchNorm1D(3)
    layer._mean.set_value(paddle.to_tensor([1.0, 2.0, 3.0]))
    paddle.save(layer.state_dict(), str(tmp_path / "net.pdparams"))
    command = [{"python": sys.executable, "IN.pdparams": "net.pdparams"}.get(w, w) for w in shlex.split(CONVERT)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    arrays = read_weights(tmp_path / "OUT.safetensors", "somewhere")
    assert sorted(arrays) == ["_mean", "_variance", "bias", "weight"] and arrays["_mean"].tolist() == [1.0, 2.0, 3.0]


def test_copies_by_name_and_casts_half_precision():
    layer = nn.Linear(2, 1)
    arrays = {
        "bias": np.array([0.5], "float16"),
        "weight": np.array([[1.0], [2.0]], "float32"),
        "fc.weight": np.zeros(3, "float32"),
    }
    copy_weights(layer, arrays, "x", ("fc.",))
    assert layer(paddle.to_tensor([[10.0, 100.0]])).numpy().tolist() == [[210.5]]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weight": (2, 1)}, "it lacks bias"),
        ({"weight": (2, 1), "bias": (1,), "more": (1,)}, "more is left over"),
        ({"weight": (1, 2), "bias": (1,)}, "weight is [1, 2] there and [2, 1] here"),
    ],
)
def test_another_network_is_refused_and_nothing_copied(arrays, message):
    layer = nn.Linear(2, 1)
    before = layer.weight.numpy().copy()
    with pytest.raises(ConfigError, match=re.escape(message)):
        copy_weights(layer, {name: np.ones(shape, "float32") for name, shape in arrays.items()}, "x")
    assert np.array_equal(layer.weight.numpy(), before)


def test_every_sublayer_that_wants_weights_reads_them(tmp_path):
    class Part(nn.Linear):
        def load_pretrained(self):
            copy_weights(self, read_weights(tmp_path / "part.safetensors", "nowhere"), "part")

    save_file({"weight": np.full((2, 2), 7, "float32"), "bias": np.zeros(2, "float32")}, tmp_path / "part.safetensors")
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Part(2, 2)))
    load_pretrained(model)
    assert (model[1][0].weight.numpy() == 7).all() and not (model[0].weight.numpy() == 7).any()
