"""An independent check: PaddleSlim's pruners remove the same filters of networks that it can prune too."""

import numpy as np
import paddle
import pytest
from prunable import stirred

from ppmm.compress.criteria import Evidence, importance
from ppmm.compress.dependencies import Dependencies
from ppmm.compress.promises import answers
from ppmm.compress.selection import Limits, select
from ppmm.compress.shrink import shrink
from ppmm.compress.slim_shims import load_paddleslim
from ppmm.models.resize import tensors_of

RATIOS = (0.25, 0.5, 0.3, 0.4)
IMAGES = np.random.default_rng(3).normal(size=(2, 3, 64, 64)).astype("float32")


def network(name):
    paddle.seed(0)
    built = getattr(paddle.vision.models, name)(
        pretrained=False, num_classes=7, **({"scale": 0.25} if "mobile" in name else {})
    )
    return stirred(built)


def masters(dependencies, known):
    """One convolution of each group, and its share: PaddleSlim judges a group by the filters of one layer.

    It never touches the last one of MobileNetV2, which a dropout follows.
    """
    chosen = {}
    for number, group in enumerate(dependencies.groups):
        layers = [layer for layer in group.layers if f"{layer}.weight" in known]
        if not layers:
            assert group.layers == ["features.18.0"]
            continue
        chosen[f"{layers[0]}.weight"] = RATIOS[number % len(RATIOS)]
    return chosen


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["l1", "fpgm"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_the_same_filters_go(name, criterion):
    slim = load_paddleslim()
    image = paddle.to_tensor(IMAGES)
    ours, theirs = network(name), network(name)
    pruner = {"l1": slim.L1NormFilterPruner, "fpgm": slim.FPGMFilterPruner}[criterion](theirs, [1, 3, 64, 64])
    names = {key: parameter.name for key, parameter in theirs.named_parameters()}
    known = {collection.master_name for collection in pruner.collections}
    found = Dependencies(ours, image)
    chosen = masters(found, {key for key, name in names.items() if name in known})
    pruner.prune_vars({names[key]: ratio for key, ratio in chosen.items()}, 0)

    weights = {key: tensor.numpy() for key, tensor in tensors_of(ours).items()}
    judged = {key: array if key in chosen else np.zeros_like(array) for key, array in weights.items()}
    limits = Limits(None, {key.removesuffix(".weight"): ratio for key, ratio in chosen.items()})
    removed = select(found.groups, importance(found.groups, criterion, Evidence(judged)), limits)
    shrink(ours, found.kept(removed))

    assert [parameter.shape for parameter in ours.parameters()] == [
        parameter.shape for parameter in theirs.parameters()
    ]
    for (key, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        np.testing.assert_array_equal(parameter.numpy(), other.numpy(), err_msg=key)
    np.testing.assert_allclose(answers(ours, [image])[0][0], answers(theirs, [image])[0][0], atol=1e-5)
