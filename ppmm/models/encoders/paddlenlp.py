"""Pretrained text models of PaddleNLP (BERT, RoBERTa, ERNIE ...) from a folder on this machine."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import paddle
from paddle import Tensor, nn

from ppmm.errors import ConfigError
from ppmm.models.layers.attention import AttentionPooling
from ppmm.models.layers.masking import keep, masked_mean
from ppmm.models.layers.pooled_transformer import Pooling
from ppmm.registry import ENCODERS
from ppmm.types import Encoded

__all__ = ["PaddleNLPEncoder"]

CONFIG, WEIGHTS = "config.json", "model.safetensors"


@ENCODERS.register("paddlenlp")
class PaddleNLPEncoder(nn.Layer):
    """Any encoder that PaddleNLP's AutoModel knows, with its weights; its own pooler is left out.

    The field's tokenizer must be the model's: ``{name: paddlenlp, source: <the same folder>}``, whose ``max_length`` is
    at most the model's longest text. A checkpoint holds settings and weights: the folder is read in training only.

    Args:
        vocab_size: of the field's tokenizer; at most that of the model.
        path: folder with ``config.json`` and ``model.safetensors``. Nothing is downloaded, no pickle is read.
        pooling: the first token (``class``), the ``mean`` of the tokens, or ``attention`` of a learned query.
        trainable: False keeps the pretrained weights as they are.
        dropout: on the pooled embedding; inside of the model is what its config.json says.
        settings: what config.json holds, where it is known already (from a checkpoint); then ``path`` is not read.

    Inputs: x [B,L] int64, mask [B,L] bool or None. Returns: pooled [B,D], tokens [B,L,D], token_mask. Raises
    ConfigError when the folder is not there, holds no such files, or fits another tokenizer.
    """

    def __init__(
        self,
        vocab_size: int,
        path: str,
        pooling: Pooling = "class",
        trainable: bool = True,
        dropout: float = 0.0,
        settings: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        folder = Path(path)
        self.settings = read_settings(folder) if settings is None else settings
        if vocab_size > self.settings.get("vocab_size", vocab_size):
            raise ConfigError(
                f"path: {path} knows {self.settings['vocab_size']} tokens, but the field's tokenizer has {vocab_size}; "
                f"give the field tokenizer: {{name: paddlenlp, source: {path}}}"
            )
        self.backbone = build_backbone(self.settings, path)
        if settings is None:
            load_weights(self.backbone, folder)
        if getattr(self.backbone, "pooler", None) is not None:
            self.backbone.pooler = nn.Identity()
        for parameter in self.backbone.parameters():
            parameter.stop_gradient = not trainable
        self.out_dim = int(self.backbone.config.hidden_size)
        heads = int(self.backbone.config.num_attention_heads)
        self.attention = AttentionPooling(self.out_dim, heads) if pooling == "attention" else None
        self.mean = pooling == "mean"
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        ids = keep(x, mask)
        seen = paddle.ones_like(x) if mask is None else mask
        answer = self.backbone(ids, attention_mask=seen.astype("float32"))
        tokens = keep(answer[0] if isinstance(answer, tuple | list) else answer, mask)
        if self.attention is not None:
            pooled = self.attention(tokens, mask)
        else:
            pooled = masked_mean(tokens, mask) if self.mean else tokens[:, 0]
        return Encoded(self.dropout(pooled), tokens, mask)


def read_settings(folder: Path) -> dict[str, Any]:
    """What config.json of a model's folder holds. Raises ConfigError that says how to get the folder."""
    how = (
        'On a machine with a network run python -c "from paddlenlp.transformers import AutoModel as M, AutoTokenizer '
        f"as T; [C.from_pretrained('{folder.name}').save_pretrained('{folder.name}') for C in (M, T)]\" and copy that "
        f"folder here ({CONFIG}, {WEIGHTS} and the tokenizer's files). ppmm downloads nothing and reads no pickle "
        "(.pdparams)"
    )
    if not folder.is_dir():
        raise ConfigError(f"path: no folder {folder}. {how}")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigError(f"path: {folder} has no {name}. {how}")
    try:
        settings = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"path: cannot read {folder / CONFIG}: {error}") from error
    if not isinstance(settings, dict) or not settings.get("architectures"):
        raise ConfigError(f"path: {folder / CONFIG} names no architectures, such as [BertModel]. {how}")
    return settings


def build_backbone(settings: dict[str, Any], place: str) -> Any:
    """A model of PaddleNLP with random weights. Raises ConfigError."""
    try:
        from paddlenlp.transformers import AutoConfig, AutoModel
        from paddlenlp.utils.log import logger
    except ImportError as error:
        raise ConfigError(f"'paddlenlp' needs PaddleNLP: pip install ppmm[train] ({error})") from error
    logger.set_level("WARNING")  # it announces every file that it reads
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / CONFIG).write_text(json.dumps(settings), encoding="utf-8")
            config = AutoConfig.from_pretrained(folder)
        return AutoModel.from_config(config)
    except Exception as error:  # PaddleNLP raises nearly any type
        raise ConfigError(f"path: PaddleNLP cannot build the model of {place}: {error}") from error


def load_weights(backbone: Any, folder: Path) -> None:
    """Weights of model.safetensors into ``backbone``. Raises ConfigError when one is missing or of another shape."""
    from safetensors import SafetensorError, safe_open

    file = folder / WEIGHTS
    prefix = f"{getattr(backbone, 'base_model_prefix', '')}."
    try:
        with safe_open(str(file), framework="np") as saved:
            origin = (saved.metadata() or {}).get("format")
            names: list[str] = list(saved.keys())
            arrays = {name.removeprefix(prefix): saved.get_tensor(name) for name in names}
    except (OSError, SafetensorError, TypeError) as error:
        raise ConfigError(f"path: cannot read {file}: {error}") from error
    if origin == "pt":
        raise ConfigError(f"path: {file} was written by PyTorch, whose matrices are transposed; save it with PaddleNLP")
    wanted = {key: value for key, value in backbone.state_dict().items() if not key.startswith("pooler.")}
    for key, value in wanted.items():
        found = arrays.get(key)
        if found is None or list(found.shape) != list(value.shape):
            there = "it is not there" if found is None else f"it is {list(found.shape)}"
            raise ConfigError(f"path: {file} does not fit its config.json: {key} should be {value.shape}, but {there}")
        value.set_value(found.astype("float32"))
