"""What of a config may change when a run is resumed."""

from __future__ import annotations

from ppmm.config import Change, ConfigNode, changes
from ppmm.errors import ConfigError

__all__ = ["FREE", "SAFE", "check_changes"]

FREE = (
    "name", "device", "threads", "output", "hooks", "loader.workers", "loader.max_bad_rows", "metrics", "export",
    "compress", "data.test", "trainer.epochs", "trainer.max_steps", "trainer.log_every", "trainer.save_every",
    "trainer.profile", "trainer.sharding",
)  # fmt: skip
"""Keys whose change does not change what the run so far has computed."""
SAFE = (
    "optimizer.", "schedule", "trainer.clip_", "trainer.sam", "trainer.balance", "trainer.to_static",
    "trainer.channels_last",
)  # fmt: skip
"""Keys that what is left of a run may have otherwise, when the user says so: the state of the run fits them all."""
UNSAFE = ("optimizer.name",)
SHOWN = 60


def check_changes(before: ConfigNode, after: ConfigNode, run: str, force: bool) -> list[str]:
    """See that a run with the config ``before`` may go on with ``after``; returns the keys that differ.

    Args:
        run: its folder, for the message.
        force: accept what is `SAFE`.

    Raises ConfigError with each key that stands in the way, its old and its new value.
    """
    found = changes(before, after)
    bound = [change for change in found if not change.key.startswith(FREE)]
    refused = [change for change in bound if not (_is_safe(change.key) and force)]
    if refused:
        differing = ", ".join(_told(change) for change in refused)
        raise ConfigError(f"cannot resume {run}: the config differs in {differing}; {_advice(refused)}")
    return [change.key for change in found]


def _advice(refused: list[Change]) -> str:
    never = [change.key for change in refused if not _is_safe(change.key)]
    if not never:
        return "put the old values back, or accept the new ones with --force, or use another name"
    return f"a run cannot go on with other {', '.join(never)}: put the old values back, or use another name"


def _is_safe(key: str) -> bool:
    return key.startswith(SAFE) and key not in UNSAFE


def _told(change: Change) -> str:
    before, after = _shown(change.before), _shown(change.after)
    return f"{change.key} (was {before}, now {after})"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 4]} ..."
