"""Where two models look: attention maps of activations, and attention weights of Transformers."""

from __future__ import annotations

from paddle import Tensor

from ppmm.compress.distillation.features import same_size
from ppmm.compress.distillation.taps import Value
from ppmm.errors import CompressError
from ppmm.types import Encoded

__all__ = ["activation_map", "map_distances", "weight_distances"]

EPSILON = 1e-12


def activation_map(value: Value, name: str) -> Tensor:
    """Q = sum_c |A_c|^2 (Zagoruyko and Komodakis 2017, section 3.1, p = 2).

    [B,C,H,W] -> [B,1,H,W], [B,N,D] -> [B,1,1,N]. Raises CompressError where there is no map.
    """
    found = value.tokens if isinstance(value, Encoded) else value
    if found is None or found.ndim not in (3, 4):
        shape = "no tokens" if found is None else str(list(found.shape))
        raise CompressError(f"attention: layer '{name}' gives {shape}; name one that gives [B,C,H,W] or [B,N,D]")
    if found.ndim == 4:
        return (found * found).sum(axis=1, keepdim=True)
    return (found * found).sum(axis=-1).unsqueeze(1).unsqueeze(1)


def map_distances(student: Tensor, teacher: Tensor) -> Tensor:
    """|Q_S / |Q_S| - Q_T / |Q_T||^2 of each row [B] (the same, equation 2, squared), Q [B,1,H,W].

    The larger map is averaged to the size of the smaller one.
    """
    student, teacher = (_unit(each.flatten(1)) for each in same_size(student, teacher))
    return ((student - teacher) ** 2).sum(axis=1)


def weight_distances(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over heads and queries of KL(A_T || A_S), [B] (Wang et al. 2020, MiniLM, section 3.1).

    The weights are [B,heads,N,M]. Models of other numbers of heads are compared by the mean of their heads. Raises
    CompressError where the numbers of queries or keys differ.
    """
    if student.shape[1] != teacher.shape[1]:
        student, teacher = student.mean(axis=1, keepdim=True), teacher.mean(axis=1, keepdim=True)
    if list(student.shape) != list(teacher.shape):
        raise CompressError(
            f"attention: weights {list(student.shape)} of the student and {list(teacher.shape)} of the teacher "
            "are not over the same tokens; pair layers that are"
        )
    gain = teacher * ((teacher + EPSILON).log() - (student + EPSILON).log())
    return gain.sum(axis=-1).flatten(1).mean(axis=1)


def _unit(x: Tensor) -> Tensor:
    return x / ((x * x).sum(axis=1, keepdim=True) + EPSILON).sqrt()
