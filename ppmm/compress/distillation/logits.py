"""The teacher's answers as targets."""

from __future__ import annotations

from typing import Literal

from paddle import Tensor
from paddle.nn import functional as F

__all__ = ["LogitsKind", "logits_loss"]

LogitsKind = Literal["softmax", "sigmoid", "mse"]


def logits_loss(student: Tensor, teacher: Tensor, temperature: float, kind: LogitsKind) -> Tensor:
    """How far the student's logits z are from the teacher's v, both [B,classes].

    ``softmax``: T^2 mean_i KL(softmax(v_i / T) || softmax(z_i / T)) (Hinton et al. 2015, section 2; T^2 keeps the size
    of the gradients). ``sigmoid``, for several labels at once: T^2 times the mean over rows and classes of
    KL(Bernoulli(sigmoid(v / T)) || Bernoulli(sigmoid(z / T))). ``mse``, for numbers: the mean of (z - v)^2, without T.
    """
    student, teacher = student.astype("float32"), teacher.astype("float32")
    if kind == "mse":
        return ((student - teacher) ** 2).mean()
    student, teacher = student / temperature, teacher / temperature
    if kind == "sigmoid":
        true = F.sigmoid(teacher)
        there = true * (F.log_sigmoid(teacher) - F.log_sigmoid(student))
        lacking = (1 - true) * (F.log_sigmoid(-teacher) - F.log_sigmoid(-student))
        return temperature**2 * (there + lacking).mean()
    wanted = F.log_softmax(teacher, axis=-1)
    return temperature**2 * (wanted.exp() * (wanted - F.log_softmax(student, axis=-1))).sum(axis=-1).mean()
