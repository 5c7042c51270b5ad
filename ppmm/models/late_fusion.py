"""Late fusion: each field is encoded by itself, the embeddings are fused, a head answers."""

from __future__ import annotations

from collections.abc import Mapping

import paddle
from paddle import Tensor, nn

from ppmm.models.layers.encoding import encode_fields
from ppmm.models.layers.imputation import Imputation
from ppmm.registry import MODELS, did_you_mean
from ppmm.types import Batch, Encoded, Encoder, Fusion, Head, Outputs, Trunk

__all__ = ["LateFusion"]


@MODELS.register("late_fusion")
class LateFusion(nn.Layer):
    """Classification or regression on any number of fields, any of which a sample may lack.

    What stands in the batch for an absent field never reaches the result: it is replaced by zeros before its encoder
    (so that not even batch statistics see it) and its embedding is masked in the fusion.

    Args:
        encoders: one per field.
        trunk: layers that the fields share, between encoders and fusion.
        fusion: joins the embeddings.
        head: embedding to logits.
        impute: whether a learned embedding takes the place of an absent one; else the fusion leaves it out.
        unimodal_logits: whether training also gives what the model answers when it has field F alone, without
            gradient, for rules that balance the fields (``trainer.balance``) and for the log.
        attributes: how many attributes of field F a side head tells from its embedding alone, so that an encoder learns
            to see from more than the answers (target ``attributes``, objective ``bce``); no exported graph has them.

    Inputs: ``F``, ``has_F`` and, where lengths vary, ``F_mask`` for each field F. Returns: ``logits`` [B,classes] and,
    if asked for, ``F_logits`` [B,classes] for each field F and ``F_attributes`` for those of ``attributes``.
    """

    outputs = ("logits",)

    def __init__(
        self,
        encoders: dict[str, Encoder],
        *,
        trunk: Trunk | None = None,
        fusion: Fusion,
        head: Head,
        impute: bool = False,
        unimodal_logits: bool = False,
        attributes: dict[str, int] | None = None,
    ) -> None:
        super().__init__()
        if not encoders:
            raise ValueError("encoders must name at least one field")
        for field in attributes or {}:
            if field not in encoders:
                raise ValueError(f"attributes: no field '{field}'{did_you_mean(field, encoders)}")
        self.fields = tuple(encoders)
        self.encoders = nn.LayerDict(encoders)
        self.trunk = trunk
        sizes = {field: part.out_dim for field, part in encoders.items()} if trunk is None else trunk.out_dims
        self.imputation = Imputation(sizes) if impute else None
        self.fusion = fusion
        self.head = head
        self.unimodal_logits = unimodal_logits
        told = {field: nn.Linear(encoders[field].out_dim, size) for field, size in (attributes or {}).items()}
        self.attributes = nn.LayerDict(told)

    def forward(self, batch: Batch) -> Outputs:
        encoded, present = self.encode(batch)
        outputs = {"logits": self.answer(encoded, present)}
        if self.unimodal_logits and self.training:
            for field in self.fields:
                outputs[f"{field}_logits"] = self.answer_alone(field, encoded, present)
        for field, tell in self.attributes.items():
            outputs[f"{field}_attributes"] = tell(encoded[field].pooled)
        return outputs

    def encode(self, batch: Batch) -> tuple[dict[str, Encoded], dict[str, Tensor]]:
        """What its encoder makes of each field, and which rows have it."""
        return encode_fields(self.encoders, None, batch)

    def answer(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """Logits [B,classes] from the fields that are ``present``."""
        if self.trunk is not None:
            encoded = self.trunk(encoded, present)
        if self.imputation is not None:
            encoded, present = self.imputation(encoded, present)
        return self.head(self.fusion(encoded, present))

    def answer_alone(self, field: str, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor:
        """Logits [B,classes] as if every row had at most this field; no gradient flows through them."""
        alone = {name: flags if name == field else paddle.zeros_like(flags) for name, flags in present.items()}
        with paddle.no_grad():
            return self.answer(encoded, alone)
