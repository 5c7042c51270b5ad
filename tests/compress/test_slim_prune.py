"""The step ``slim_prune``: PaddleSlim's filters go, from the whole model, and nothing silently stays."""

import json

import numpy as np
import pytest
from made_context import MadeContext
from paddle import nn
from prunable import encoder, fusion_model, stirred

from ppmm.compress.steps.slim_prune import SlimPrune
from ppmm.errors import CompressError
from ppmm.models.flops import count_flops
from ppmm.models.transforms.prune import Shrunk


def lean(weight, ratio):
    """The filters of least L1 norm, lowest first."""
    order = np.argsort(np.abs(weight).mean((1, 2, 3)), kind="stable")
    return np.sort(order[round(len(order) * ratio) :])


def check(model, batch, fresh, step):
    context = MadeContext(batch)
    before = count_flops(model, batch)
    done = json.loads(json.dumps(step.apply(model, context)._asdict()))
    flops = done["report"]["flops"]
    assert flops[1] < flops[0] and count_flops(model, batch) < before and context.said
    for transform in done["transforms"]:
        assert transform["name"] == "prune"
        Shrunk(**transform["args"])(fresh)
    fresh.set_state_dict(model.state_dict())
    for key, answer in model(batch).items():
        np.testing.assert_array_equal(fresh(batch)[key].numpy(), answer.numpy(), err_msg=key)
    return done


@pytest.mark.parametrize("leaves", [False, True])
def test_the_filters_of_the_image_go_and_the_fusion_follows(leaves):
    model, batch = fusion_model("concat")
    first, last = (model.state_dict()[f"encoders.image.stages.{n}.weight"].numpy() for n in (0, 4))
    done = check(model, batch, fusion_model("concat")[0], SlimPrune("image", 0.5, leaves=leaves, normalised=True))
    kept = [lean(first, 0.5), lean(last, 0.5) if leaves else np.arange(len(last))]
    stages = model.encoders["image"].stages
    np.testing.assert_array_equal(stages[0].weight.numpy(), first[kept[0]])
    np.testing.assert_array_equal(stages[4].weight.numpy(), last[kept[1]][:, kept[0]])
    assert all(name.startswith(("encoders.image", "fusion")) for name in done["transforms"][0]["shapes"])


@pytest.mark.slow
@pytest.mark.parametrize("criterion", ["l1", "fpgm"])
@pytest.mark.parametrize("name", ["resnet", "paddle_vision"])
def test_networks(name, criterion):
    from prunable import batch_of

    from ppmm.models.heads.linear import LinearHead
    from ppmm.models.late_fusion import LateFusion
    from ppmm.registry import FUSIONS

    def make():
        import paddle

        paddle.seed(0)
        towers = {"image": encoder(name), "text": encoder("bigru")}
        fusion = FUSIONS.get("gated")({field: tower.out_dim for field, tower in towers.items()}, dim=8)
        return stirred(LateFusion(towers, fusion=fusion, head=LinearHead(8, 4)))

    batch = batch_of({"image": "image", "text": "text"})
    check(make(), batch, make(), SlimPrune("image", 0.3, criterion, leaves=True, normalised=True))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("image", 1.0), "ratio: must be above 0 and below 1"),
        (("image", 0.5, "taylor"), "PaddleSlim has l1 and fpgm, not 'taylor'; prune has more"),
        (("", 0.5), "tower: name a field"),
        (("imag", 0.5), "tower: there is no 'imag'; did you mean 'image'"),
        (("sound", 0.5), "tower: there is no 'sound'; there is audio, image, text"),
        (("text", 0.5), "encoders.text: it has no 2-D convolution"),
        (("encoders.*", 0.5), "encoders.text: it has no 2-D convolution"),
        (("fusion", 0.5), "use prune"),
        (("image", 0.01), "encoders.image: PaddleSlim chooses none of its filters"),
    ],
)
def test_what_is_refused(arguments, message):
    model, batch = fusion_model("concat")
    before = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    with pytest.raises(CompressError, match=message):
        SlimPrune(*arguments).apply(model, MadeContext(batch))
    assert all(np.array_equal(before[name], tensor.numpy()) for name, tensor in model.state_dict().items())


def test_a_mean_over_pixels_is_not_what_paddleslim_can_cut_but_ours_can():
    """PaddleSlim alone leaves the Linear behind ``x.mean([2, 3])`` as it was, and the model broken."""

    class Mean(nn.Layer):
        def __init__(self):
            super().__init__()
            self.fields = ("x",)
            self.tower = nn.Sequential(nn.Conv2D(3, 8, 3), nn.ReLU(), nn.Conv2D(8, 8, 3))
            self.head = nn.Linear(8, 4)

        def forward(self, batch):
            return {"logits": self.head(self.tower(batch["x"]).mean([2, 3]))}

    from prunable import batch_of

    model, batch = Mean(), batch_of({"x": "image"})
    check(model, batch, Mean(), SlimPrune("tower", 0.5, leaves=True))
    assert [p.shape for p in model.parameters()] == [[4, 3, 3, 3], [4], [4, 4, 3, 3], [4], [4, 4], [4]]
