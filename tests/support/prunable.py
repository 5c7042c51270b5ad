"""Models of any encoder, fusion or trunk with default partners, and a batch for them."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import paddle
from paddle import nn
from part_kinds import kind_of

from ppmm.models.heads.linear import LinearHead
from ppmm.models.late_fusion import LateFusion
from ppmm.models.trunks.shared_transformer import SharedTransformer
from ppmm.models.two_tower import TwoTower
from ppmm.registry import ENCODERS, FUSIONS

VOCABULARY, BANDS, CLASSES = 30, 8, 4
SMALL = {"dim": 8, "hidden": 8, "channels": [4, 6], "width": 0.125, "layers": 1, "depth": 1, "dropout": 0.1}
"""Arguments that make a part small, where it has them."""
OWN: dict[str, dict[str, Any]] = {
    "resnet": {"depth": 18, "stem_stride": 1},
    "convnext": {"depths": [1, 1, 1, 1], "patch": 1},
    "text_cnn": {"channels": 6, "embed_dim": 8},
    "paddle_vision": {"backbone": "shufflenet_v2_x0_25"},
    "rbf_image": {"centres": 6, "size": 4},
    "rbf": {"centres": 6},
    "lenet": {"width": 1.0},
    "bottleneck": {"layers": 2},
}


def part(registry: Any, name: str, given: dict[str, Any]) -> Any:
    """A small one."""
    cls = registry.get(name)
    arguments = {**given, **SMALL, **OWN.get(name, {})}
    return cls(**{key: arguments[key] for key in inspect.signature(cls).parameters if key in arguments})


def encoder(name: str, **given: Any) -> Any:
    channels = 1 if kind_of(name) == "waveform" else 3
    return part(ENCODERS, name, {"in_channels": channels, "vocab_size": VOCABULARY, "in_features": BANDS, **given})


def values(kind: str, rows: int = 3) -> dict[str, np.ndarray]:
    """A field's arrays, under the keys "" and "_mask"."""
    rng = np.random.default_rng(1)
    if kind == "image":
        return {"": rng.normal(size=(rows, 3, 32, 32)).astype("float32")}
    if kind == "numeric":
        return {"": rng.normal(size=(rows, BANDS)).astype("float32")}
    steps = 40 if kind == "waveform" else 9
    mask = np.arange(steps) < rng.integers(steps // 2, steps + 1, size=rows)[:, None]
    mask[0] = True
    shape = (rows, steps, BANDS) if kind == "audio" else (rows, steps)
    filled = rng.integers(1, VOCABULARY, size=shape) if kind == "text" else rng.normal(size=shape).astype("float32")
    return {"": filled * mask.reshape(mask.shape + (1,) * (filled.ndim - 2)).astype(filled.dtype), "_mask": mask}


def batch_of(kinds: dict[str, str]) -> dict[str, Any]:
    """A batch of these fields; one row lacks the first of several."""
    batch: dict[str, Any] = {}
    for number, (field, kind) in enumerate(kinds.items()):
        batch |= {f"{field}{suffix}": paddle.to_tensor(array) for suffix, array in values(kind).items()}
        batch[f"has_{field}"] = paddle.to_tensor(np.arange(3) > (0 if number == 0 and len(kinds) > 1 else -1))
    return batch


def stirred(model: nn.Layer) -> nn.Layer:
    """Biases, statistics and factors that are not the trivial ones, so that a channel that is left over shows."""
    rng = np.random.default_rng(0)
    for key, tensor in model.state_dict().items():
        if key.endswith(("_mean", "bias")) or "bias" in key.rpartition(".")[2]:
            tensor.set_value(rng.normal(size=tensor.shape).astype("float32") * 0.2)
        elif key.endswith("_variance") or (tensor.ndim == 1 and key.endswith("weight")):
            tensor.set_value(rng.uniform(0.5, 1.5, size=tensor.shape).astype("float32"))
    model.eval()
    return model


def encoder_model(name: str, **given: Any) -> tuple[nn.Layer, dict[str, Any]]:
    """One encoder, no normalisation after it but that of a fusion, a linear head."""
    paddle.seed(0)
    return stirred(OneTower(encoder(name, **given))), batch_of({"x": kind_of(name)})


class OneTower(nn.Layer):
    """An encoder and a linear layer that reads its embedding and its tokens."""

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.fields = ("x",)
        self.encoder = tower
        self.head = nn.Linear(tower.out_dim, CLASSES)

    def forward(self, batch: Any) -> Any:
        found = self.encoder(batch["x"], batch.get("x_mask"))
        outputs = {"logits": self.head(found.pooled)}
        if found.tokens is not None:
            outputs["token_logits"] = self.head(found.tokens)
        return outputs


TOWERS = {"image": "cnn", "text": "bilstm", "audio": "audio_cnn"}


def fusion_model(name: str, **options: Any) -> tuple[nn.Layer, dict[str, Any]]:
    """Three towers, a fusion and a head."""
    paddle.seed(0)
    towers = {field: encoder(tower) for field, tower in TOWERS.items()}
    sizes = {field: tower.out_dim for field, tower in towers.items()}
    fusion = part(FUSIONS, name, {"in_dims": sizes, "classes": CLASSES})
    head = LinearHead(fusion.out_dim, CLASSES)
    model = LateFusion(towers, fusion=fusion, head=head, **options)
    return stirred(model), batch_of({field: kind_of(tower) for field, tower in TOWERS.items()})


def tower_model(shared: bool = False, **options: Any) -> tuple[nn.Layer, dict[str, Any]]:
    """Two towers into a shared space, with a shared trunk if asked for."""
    paddle.seed(0)
    towers = {field: encoder(TOWERS[field]) for field in ("image", "text")}
    if shared:
        options["trunk"] = SharedTransformer({field: tower.out_dim for field, tower in towers.items()}, 8, 1, 4)
    return stirred(TwoTower(towers, dim=8, **options)), batch_of({"image": "image", "text": "text"})
