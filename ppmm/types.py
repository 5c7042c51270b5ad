"""The things that travel between the parts of ppmm, and a Protocol for each kind of part.

A *field* is a named input of a kind (image, text, audio, numeric, tokens). Batch keys for a field ``F``:
``F`` (image [B,3,H,W] float32, or one channel; text/tokens [B,L] int64; audio [B,T,M] or [B,T] float32; numeric
[B,D] float32), ``F_mask`` [B,L] bool where lengths vary, ``has_F`` [B] bool (False where the sample lacks
the field), targets by name (see `Target`; beside a label ``T`` of a mixed batch ``soft_T`` [B,classes] float32, its
distribution), and ``index`` [B] int64, the row of the data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np
    from paddle import Tensor

__all__ = [
    "Augmentation",
    "Average",
    "Batch",
    "BatchAugmentation",
    "Compressor",
    "Dataset",
    "Encoded",
    "Encoder",
    "Field",
    "FieldSpec",
    "Fusion",
    "GradientRule",
    "Head",
    "Hook",
    "Metric",
    "Model",
    "Objective",
    "Optimizer",
    "Outputs",
    "Sample",
    "Sampler",
    "Schedule",
    "Target",
    "Tokenizer",
    "Transform",
    "Trunk",
]

Sample = dict[str, Any]
"""One row. Raw (from a Dataset): field -> path | bytes | array | text, target -> label, and ``id``.

An absent field is omitted."""
Batch = dict[str, "Tensor"]
Outputs = dict[str, "Tensor"]


class Encoded(NamedTuple):
    """What an encoder returns.

    ``pooled`` [B,D]; ``tokens`` [B,N,D] or None; ``token_mask`` [B,N] bool in the encoder's own time steps, or None
    where every token counts.
    """

    pooled: Tensor
    tokens: Tensor | None = None
    token_mask: Tensor | None = None


class FieldSpec(NamedTuple):
    """Shape (None where it varies) and dtype of one input of a graph."""

    shape: tuple[int | None, ...]
    dtype: str


class Tokenizer(Protocol):
    """Text -> ids; learned from a corpus, saved as one ``tokenizer.json``.

    ``end_id`` is the token that closes every text, None without; ``mask_id`` hides a token in training.
    """

    end_id: int | None

    @property
    def mask_id(self) -> int: ...

    def fit(self, texts: Sequence[str]) -> None: ...

    def encode(self, text: str) -> list[int]: ...

    def __len__(self) -> int: ...

    def to_json(self) -> str: ...

    def from_json(self, text: str) -> None: ...


class Augmentation(Protocol):
    """A random change of one value in training; draws only from the generator that it is given.

    It may state a ``kind`` (image | picture | waveform | features | text | tokens), so that fields refuse what they
    cannot use, and have ``at_rate(sample_rate) -> Augmentation`` where it counts in seconds.
    """

    def __call__(self, array: Any, rng: np.random.Generator) -> Any: ...


class BatchAugmentation(Protocol):
    """Mixes rows of a training batch of arrays with each other.

    Returns the mixed batch, the partner of each row [B] (itself where it was left alone), and the weight of its own
    label [B] in 0..1. ``kinds`` has the kind of each field.
    """

    def __call__(
        self, batch: dict[str, np.ndarray], kinds: Mapping[str, str], rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]: ...


class Field(Protocol):
    """Raw value -> array -> batch, the same object in training, evaluation and serving. NumPy only."""

    kind: str

    def __call__(self, value: Any, rng: np.random.Generator | None = None) -> np.ndarray:
        """Decode and transform one value; with ``rng``, augment it. Raises DataError."""

    def collate(self, name: str, arrays: Sequence[np.ndarray | None]) -> dict[str, np.ndarray]:
        """Stack arrays (None = absent) to the keys ``name``, ``name_mask`` where lengths vary, and ``has_name``."""

    def specs(self, name: str) -> dict[str, FieldSpec]:
        """Shape and dtype of every batch key that ``collate`` writes."""

    def provides(self) -> dict[str, int]:
        """Sizes that an encoder of this field may ask for: ``in_channels``, ``vocab_size``, ``in_features``.

        Raises DataError before ``fit`` or ``load_assets`` where something must be learned.
        """

    def fit(self, values: Sequence[Any]) -> None:
        """Learn from the training split what must be learned (a vocabulary)."""

    def save_assets(self, folder: Path) -> list[str]:
        """Write what was learned into ``folder``; returns the names of the files."""

    def load_assets(self, folder: Path) -> None:
        """Read what ``save_assets`` wrote."""


class Target(Protocol):
    """Raw target -> array.

    ``kind`` tells what stands in a batch: ``label`` [B] int64 class ids; ``multi_label`` [B,classes] float32 of 0 and
    1; ``number`` [B] float32; ``key`` [B] int64, equal where values are equal, -1 where a row has none; ``answers``
    [B,N] int64, such keys of what N people said. It may have ``thresholds``: the probability from which an answer gives
    each of its labels.
    """

    kind: str

    @property
    def labels(self) -> list[str] | None:
        """Names of the classes; None where there are none, or before they are known."""

    @property
    def out_dim(self) -> int | None:
        """Size of the model's answer; None where it answers nothing of this kind, or before classes are known."""

    @property
    def column(self) -> str | None:
        """Where the value stands in a row; None for the target's own name."""

    @property
    def absent(self) -> np.ndarray | None:
        """What a row that lacks the value gets; None where every row must have one."""

    def __call__(self, value: Any) -> np.ndarray: ...

    def fit(self, values: Sequence[Any]) -> None: ...

    def load_labels(self, labels: list[str]) -> None:
        """Take the classes that an earlier run learned. Raises DataError when others are listed."""


class Dataset(Protocol):
    """Rows of raw samples."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class Sampler(Protocol):
    """The order of the rows in an epoch of training; a pure function of its arguments, so resume needs no state."""

    def order(self, rows: Dataset, seed: int, epoch: int) -> np.ndarray:
        """Row numbers int64 [N]; N is the same in every epoch, and a row may come several times."""


class Encoder(Protocol):
    """One modality -> an embedding.

    With ``any_size = True`` a trained one takes pictures of other sizes than it has learned from.
    """

    out_dim: int

    def __call__(self, x: Tensor, mask: Tensor | None = None) -> Encoded: ...


class Fusion(Protocol):
    """What encoders returned and presence {field: [B] bool} -> [B,out_dim].

    ``pooled`` and ``tokens`` of a field have its ``in_dims`` as size; where there are no tokens, the pooled embedding
    is the only one. An absent field never influences the result, which is finite for any set of present ones. It may
    state the ``target_kinds`` that its model can learn.
    """

    out_dim: int

    def __call__(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> Tensor: ...


class Trunk(Protocol):
    """Layers that fields share, between encoders and fusion; ``out_dims`` are the sizes that it makes of theirs.

    An absent field never influences another one.
    """

    out_dims: dict[str, int]

    def __call__(self, encoded: Mapping[str, Encoded], present: Mapping[str, Tensor]) -> dict[str, Encoded]: ...


class Head(Protocol):
    """[B,D] -> [B,classes]."""

    def __call__(self, embed: Tensor) -> Tensor: ...


class Model(Protocol):
    """Batch -> Outputs. ``fields`` names the fields that it reads, ``outputs`` what an exported graph answers."""

    fields: tuple[str, ...]
    outputs: tuple[str, ...]

    def __call__(self, batch: Batch) -> Outputs: ...


class Objective(Protocol):
    """Outputs and batch -> {"loss": scalar, term: scalar ...}.

    It may be a paddle Layer: its parameters are trained with the model's (named ``objective.*``, without weight decay)
    and saved with it. With ``passes = 2`` it is called ``objective(outputs, batch, again)`` in training, ``again``
    being the outputs of a second forward of the same batch; in evaluation there is none. It may state the
    ``target_kinds`` that its targets may have, and ``takes_soft_targets`` where it learns from mixed batches.

    With ``whole_batch`` its loss is no mean over rows: several processes, and the chunks of a gradient cache, compute
    it over all of their rows together. ``least_rows`` is how many a batch needs for it to learn anything, and with
    ``compares_in_model`` it reads outputs [B,B] that compare rows inside the model, which cannot be split.
    """

    def __call__(self, outputs: Outputs, batch: Batch) -> dict[str, Tensor]: ...


class Metric(Protocol):
    """Accumulates over batches. It may state the ``target_kinds`` that its target may have.

    The output that it reads stands in its ``logits``, or it reads ``F_embed`` of each of its ``fields`` F: a model that
    gives no such output is refused before training.
    """

    def update(self, outputs: Outputs, batch: Batch) -> None: ...

    def compute(self) -> dict[str, float]: ...

    def details(self) -> dict[str, Any]:
        """Tables (JSON values) that are not single numbers, such as a confusion matrix; {} where there are none."""

    def reset(self) -> None: ...


class Schedule(Protocol):
    """Factor on the base learning rate at an optimizer step; a pure function of the step, so resume needs no state."""

    def __call__(self, step: int, total_steps: int) -> float:
        """Raises ValueError when the schedule does not fit into ``total_steps``, whatever the step."""


class Optimizer(Protocol):
    """A recipe: parameters and a learning-rate scheduler -> a paddle optimizer."""

    learning_rate: float

    def build(self, named_parameters: Sequence[tuple[str, Tensor]], schedule: Any, clip: Any) -> Any:
        """``schedule`` is a paddle LRScheduler; ``clip`` a paddle ClipGradBase, or None.

        Raises ValueError for a pattern that fits no parameter.
        """


class GradientRule(Protocol):
    """Changes the gradients of a step after its last backward pass, before clipping and the update.

    ``reads_unimodal_logits`` tells that the model's outputs must have ``F_logits`` for each field F. It may state the
    ``target_kinds`` that its target may have.
    """

    reads_unimodal_logits: bool

    def __call__(self, model: Any, outputs: Sequence[Outputs], batches: Sequence[Batch]) -> dict[str, float]:
        """``outputs`` are those of each batch of the step; returns figures for the log, the same ones every time."""


class Average(Protocol):
    """How much of an average of the weights each optimizer step's weights become: a pure function, like a schedule.

    The average A, of a_n weights so far, becomes A + share (W - A). ``norm_batches`` training batches tell the batch
    statistics of averaged weights anew before each evaluation; with 0 they are averaged like the weights.
    """

    norm_batches: int

    def share(self, step: int, total_steps: int, taken: int, ended: bool) -> float:
        """The share after optimizer step ``step`` (from 1) of ``total_steps``; 0 leaves the average as it is.

        ``taken`` weights are in the average: with none, any share above 0 makes the weights the average. ``ended``:
        an epoch, or the run, ends with this step.
        """


class Transform(Protocol):
    """Changes layers of a built model in place, in training and again whenever a checkpoint is rebuilt.

    It depends on nothing but its arguments and the model's form, and draws only from Paddle's generator. What replaces
    a layer may have ``merged() -> Layer``, an equal layer of the plain kind, which is what is exported.
    """

    def __call__(self, model: Any) -> None:
        """Raises ConfigError where the model has no such layers."""


class Compressor(Protocol):
    """One step of ``compress:``: makes a trained model smaller or faster, or trains it again."""

    def apply(self, model: Any, context: Any) -> Any:
        """Change ``model`` in place; returns a `ppmm.compress.context.Compressed`. Raises CompressError.

        ``context`` is a `ppmm.compress.context.Context`: the data, the loss, the trainer and the measurements that a
        step may ask for.
        """


class Hook(Protocol):
    """Four events of a training run. ``trainer`` is the running `ppmm.engine.Trainer`.

    Of several processes each has the hook, so that all decide alike; one that writes states ``first_process_only``.
    """

    def on_start(self, trainer: Any) -> None: ...

    def on_step(self, trainer: Any) -> None: ...

    def on_epoch(self, trainer: Any) -> None: ...

    def on_stop(self, trainer: Any, error: BaseException | None) -> None: ...
