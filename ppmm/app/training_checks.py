"""Keys of the trainer, and hooks, that exclude or need one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ppmm.config import ConfigNode
from ppmm.registry import GRADIENT_RULES, HOOKS

__all__ = ["check_training"]

CLIPS = ("clip_norm", "clip_value", "clip_adaptive")
"""Keys of the trainer of which one may be set."""


def check_training(config: ConfigNode) -> Iterator[str]:
    """What is wrong between the keys of ``trainer`` and ``hooks`` of a config, each of which is good by itself."""
    trainer = config["trainer"]
    clips = [key for key in CLIPS if trainer.get(key) is not None]
    if len(clips) > 1:
        place = trainer.place(clips[1])
        yield f"{place} trainer.{clips[1]}: gradients are clipped by {clips[0]} already; set the others to null"
    balance = trainer.get("balance")
    if isinstance(balance, ConfigNode) and not config["model"].get("unimodal_logits"):
        rule: Any = GRADIENT_RULES.get(balance["name"])
        if rule.reads_unimodal_logits:
            place = trainer.place("balance")
            yield f"{place} trainer.balance: {balance['name']} needs unimodal_logits: true of the model late_fusion"
    if trainer.get("sam") is not None and trainer.get("precision", "fp32").startswith("fp16"):
        precision = trainer["precision"]
        yield f"{trainer.place('sam')} trainer.sam: not with the scaled loss of {precision}; take fp32 or bf16"
    yield from _hooks_twice(config)


def _hooks_twice(config: ConfigNode) -> Iterator[str]:
    """Hooks whose class states ``only_one`` and that are there again."""
    seen: Counter[str] = Counter()
    for number, node in enumerate(config.get("hooks", [])):
        name = node["name"]
        if seen[name] and getattr(HOOKS.get(name), "only_one", False):
            place = config["hooks"].place(number)
            yield f"{place} hooks[{number}]: {name} is there more than once; keep one of them"
        seen[name] += 1
