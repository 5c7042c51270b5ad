"""Every encoder, fusion and trunk loses 30 % of its channels: `Prune` itself checks what it promises, for every
combination of fields, against masking; here what is left is checked against a fresh model of the pruned form.

The parts that cannot be pruned are named with the reason that is given.
"""

import numpy as np
import pytest
from prunable import encoder_model, fusion_model, tower_model

from ppmm.compress.prune import Prune
from ppmm.errors import CompressError
from ppmm.models.flops import count_flops
from ppmm.models.transforms.prune import Shrunk
from ppmm.registry import ENCODERS, FUSIONS

STUCK = {"rbf": "nothing can be pruned", "rbf_image": "nothing can be pruned"}
"""A distance adds up all its inputs, and all centres are moved by their mean."""
QUICK = {"cnn", "mlp", "lenet", "bilstm", "bigru", "bilstm_attention", "embedding_bag", "text_cnn", "audio_cnn", "crnn"}
QUICK |= {"concat", *STUCK}
MODELS = {
    "two_tower": tower_model,
    "two_tower with matching": lambda: tower_model(matching=[["image", "text"]]),
    "imputation": lambda: fusion_model("gated", impute=True),
    "shared trunk": lambda: tower_model(shared=True),
}


def each(names):
    return pytest.mark.parametrize(
        "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]
    )


def check(make, normalised=False):
    model, batch = make()
    before = count_flops(model, batch)
    result = Prune(0.3, normalised=normalised).apply(model, batch)
    assert count_flops(model, batch) < before and result.report["flops"][1] < result.report["flops"][0]
    assert result.report["parameters"][1] == sum(int(parameter.size) for parameter in model.parameters())
    assert result.report["unknown"] == {}
    fresh, _ = make()
    Shrunk(**result.transform["args"])(fresh)
    fresh.set_state_dict(model.state_dict())
    for key, answer in model(batch).items():
        np.testing.assert_array_equal(fresh(batch)[key].numpy(), answer.numpy(), err_msg=key)
    return result


@each([name for name in ENCODERS.names() if name != "paddlenlp"])
def test_encoder(name):
    if name in STUCK:
        with pytest.raises(CompressError, match=STUCK[name]):
            check(lambda: encoder_model(name))
    else:
        check(lambda: encoder_model(name))


@pytest.mark.slow
def test_pretrained_encoder(tiny_bert):
    result = check(lambda: encoder_model("paddlenlp", path=str(tiny_bert)))
    pruned = {layer for group in result.report["groups"] for layer in group["layers"]}
    assert any("q_proj" in layer for layer in pruned) and any("linear1" in layer for layer in pruned)


@each(FUSIONS.names())
def test_fusion(name):
    check(lambda: fusion_model(name))


@each(["bilstm_attention", "vit", "convnext", "conformer", "text_transformer", "ast"])
def test_encoder_with_its_normalised_width(name):
    assert "encoder" in check(lambda: encoder_model(name), normalised=True).transform["args"]["sizes"]


@pytest.mark.slow
@pytest.mark.parametrize("name", FUSIONS.names())
def test_fusion_and_the_embeddings_that_it_normalises(name):
    sizes = check(lambda: fusion_model(name), normalised=True).transform["args"]["sizes"]
    assert {f"encoders.{field}" for field in ("image", "text", "audio")} <= set(sizes)


@pytest.mark.slow
@pytest.mark.parametrize("normalised", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_model(name, normalised):
    check(MODELS[name], normalised)
