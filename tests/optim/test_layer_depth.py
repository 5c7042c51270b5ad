"""Layer-wise rates: exponents by hand, on names and on real encoders."""

import paddle
import pytest
from paddle import nn

from ppmm.models.encoders.conformer import Conformer
from ppmm.models.encoders.text_cnn import TextCNN
from ppmm.models.encoders.text_transformer import TextTransformer
from ppmm.models.encoders.vit import VisionTransformer
from ppmm.optim.groups import ParameterGroup, ParameterRules
from ppmm.optim.layer_depth import layer_rates

MATRIX, VECTOR = [2, 2], [2]


def exponents(named):
    """log of the factor to the base of the decay, which is 1/2: numbers of layers below the top."""
    rates = layer_rates(named, 0.5)
    return {name: next(n for n in range(50) if rate == 0.5**n) for name, rate in rates.items()}


def tensors(shapes):
    return [(name, paddle.create_parameter(shape, "float32")) for name, shape in shapes.items()]


def test_bert_by_hand():
    shapes = {"encoders.text.backbone.embeddings.word_embeddings.weight": MATRIX}
    shapes |= {f"encoders.text.backbone.encoder.layers.{n}.linear1.{kind}": MATRIX for n in range(12) for kind in "ab"}
    shapes |= {"encoders.text.attention.key.weight": MATRIX, "head.weight": MATRIX, "head.layers.3.weight": MATRIX}
    found = exponents(tensors(shapes))
    assert found["encoders.text.backbone.embeddings.word_embeddings.weight"] == 13
    assert [found[f"encoders.text.backbone.encoder.layers.{n}.linear1.a"] for n in range(12)] == list(range(12, 0, -1))
    assert found["encoders.text.attention.key.weight"] == 0
    assert "head.weight" not in found and "head.layers.3.weight" not in found


def test_an_encoder_that_ends_with_its_last_layer():
    found = exponents(
        tensors({"encoders.a.embed": MATRIX, "encoders.a.blocks.0.w": MATRIX, "encoders.a.blocks.1.w": MATRIX})
    )
    assert list(found.values()) == [3, 2, 1]


def test_each_encoder_has_its_own_depth():
    shapes = {f"encoders.image.blocks.{n}.weight": MATRIX for n in range(2)}
    shapes |= {f"encoders.text.layers.{n}.weight": MATRIX for n in range(3)} | {"encoders.audio.weight": MATRIX}
    assert list(exponents(tensors(shapes)).values()) == [2, 1, 3, 2, 1]


def test_norms_between_convolutions_are_no_layers_of_their_own():
    kernel = [2, 2, 3, 3]
    shapes = {"stages.0.weight": kernel, "stages.1.weight": VECTOR, "stages.1.bias": VECTOR, "stages.4.weight": kernel}
    shapes |= {"stages.5.weight": VECTOR, "project.weight": MATRIX}
    found = exponents(tensors({f"encoders.image.{name}": shape for name, shape in shapes.items()}))
    assert list(found.values()) == [2, 2, 2, 1, 1, 0]


def test_parts_of_a_block_are_in_its_layer():
    shapes = {"stages.0.0.layers.1.w": MATRIX, "stages.0.1.layers.0.w": MATRIX, "stages.1.0.layers.0.w": MATRIX}
    found = exponents(tensors({f"encoders.image.{name}": shape for name, shape in shapes.items()}))
    assert list(found.values()) == [3, 2, 1]


def named(**encoders):
    return list(nn.LayerDict({"encoders": nn.LayerDict(encoders)}).named_parameters())


def test_real_encoders():
    found = exponents(
        named(image=VisionTransformer(3, dim=8, depth=2, heads=2), text=TextTransformer(9, 8, 2, 2, pooling="class"))
    )
    for name, exponent in {
        "image.embed.weight": 3, "image.positions.table": 3, "image.pool.token": 3,
        "image.encoder.blocks.0.attention.query.weight": 2, "image.encoder.blocks.0.attention_norm.bias": 2,
        "image.encoder.blocks.1.feed_forward.reduce.bias": 1, "image.encoder.norm.weight": 0,
        "text.embedding.weight": 3, "text.transformer.class_token": 3,
        "text.transformer.encoder.blocks.0.attention.out.weight": 2, "text.transformer.encoder.norm.bias": 0,
    }.items():  # fmt: skip
        assert found[f"encoders.{name}"] == exponent, name


def test_convolutions_before_blocks_are_layers_too():
    found = exponents(named(audio=Conformer(8, dim=8, layers=2, heads=2)))
    depths = [found[f"encoders.audio.{name}"] for name in ("stages.stages.0.0.weight", "stages.stages.1.0.weight")]
    assert depths == [4, 3] and found["encoders.audio.project.weight"] == 3
    assert found["encoders.audio.blocks.0.norm.weight"] == 2 and found["encoders.audio.blocks.1.norm.weight"] == 1


def test_windows_side_by_side_are_no_layers():
    parameters = named(text=TextCNN(9, 4, 2))
    with pytest.raises(ValueError, match=r"no encoder has numbered layers.*\(encoders.text\)"):
        layer_rates(parameters, 0.5)


def test_a_model_without_encoders():
    with pytest.raises(ValueError, match="the model has no encoders"):
        layer_rates(tensors({"blocks.0.weight": MATRIX}), 0.5)


def test_it_multiplies_the_rate_of_the_group():
    parameters = tensors({f"encoders.{field}.blocks.{n}.w": MATRIX for field in ("image", "text") for n in range(2)})
    found = ParameterRules(0.3, None, [ParameterGroup("encoders.text.*", rate=0.1)], 0.75).treatments(parameters)
    assert [treatment.rate for treatment in found.values()] == pytest.approx([0.75**2, 0.75, 0.1 * 0.75**2, 0.1 * 0.75])
